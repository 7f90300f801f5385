"""The box head: class-agnostic box proposals from the image embedding.

One score and one box for every cell of four maps, anchor-free (Tian et al. 2019, "FCOS"; a score predicts the
IoU of its box, Li et al. 2020, "Generalized Focal Loss"). Boxes are better prompts than the points of a grid
(Zhang et al. 2023, "MobileSAMv2"). The encoder is frozen, so interactive masks do not change.

Legend: B images, A cells of all maps, C channels, S input size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anymask.core.spec import BOXES_READ
from anymask.networks.head import Head, HeadNetwork
from anymask.networks.lite import EMBED_DIM, SKIP_CHANNELS, Lite, upsample_2x

STRIDES = (8, 16, 32, 64)
WIDTH = 96
SCORE_PRIOR_LOGIT = -4.0  # initial score of every cell: most are negatives
INITIAL_REACH = 1.5  # about: cells from a centre to the sides of its initial box


class BoxHead(Head):
    """`forward`: score logits B x A, and boxes B x A x 4 (x0, y0, x1, y1 in pixels of the model frame)."""

    reads = BOXES_READ

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.fine_8, self.coarse_8 = nn.Conv2d(SKIP_CHANNELS[0], width, 1), nn.Conv2d(EMBED_DIM, width, 1)
        self.level_8, self.level_16 = block(width, width), block(EMBED_DIM, width)
        self.level_32, self.level_64 = block(EMBED_DIM, width, 2), block(width, width, 2)
        self.shared = block(width, width)
        self.score = nn.Sequential(block(width, width), nn.Conv2d(width, 1, 3, padding=1))
        self.sides = nn.Sequential(block(width, width), nn.Conv2d(width, 4, 3, padding=1))
        self.scale = nn.Parameter(torch.ones(len(STRIDES)))
        nn.init.constant_(self.score[1].bias, SCORE_PRIOR_LOGIT)  # type: ignore[arg-type]

    def forward(self, embedding_BC16: Tensor, skip_BC8: Tensor) -> tuple[Tensor, Tensor]:
        map_8 = self.level_8(self.fine_8(skip_BC8) + upsample_2x(self.coarse_8(embedding_BC16)))
        map_32 = self.level_32(embedding_BC16)
        maps = (map_8, self.level_16(embedding_BC16), map_32, self.level_64(map_32))
        scores, boxes = [], []
        for level, (map_BChw, stride) in enumerate(zip(maps, STRIDES, strict=True)):
            map_BChw = self.shared(map_BChw)
            sides_B4hw = F.softplus((self.sides(map_BChw) * self.scale[level]).float() + 1)
            sides_BA4 = (sides_B4hw * (INITIAL_REACH * stride)).flatten(2).transpose(1, 2)
            centres_A2 = cell_centres(map_BChw.shape[-2], map_BChw.shape[-1], stride).to(sides_BA4)
            scores.append(self.score(map_BChw).flatten(1).float())
            boxes.append(torch.cat([centres_A2 - sides_BA4[..., :2], centres_A2 + sides_BA4[..., 2:]], -1))
        return torch.cat(scores, 1), torch.cat(boxes, 1)


def block(in_chans: int, out_chans: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(in_chans, out_chans, 3, stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.GroupNorm(8, out_chans), nn.ReLU())


def cell_centres(height: int, width: int, stride: int) -> Tensor:
    """x, y of every cell of a map, in pixels of the model frame, row by row."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], -1) * stride


def all_centres(input_size: int) -> Tensor:
    """A x 2, in the order of the head's outputs."""
    return torch.cat([cell_centres(input_size // stride, input_size // stride, stride) for stride in STRIDES])


class BoxNetwork(HeadNetwork):
    def __init__(self, network: Lite) -> None:
        super().__init__(network, BoxHead())
