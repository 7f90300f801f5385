"""Prompt encoder and mask decoder of the lite network.

Points and boxes are encoded twice: as the paper's sparse tokens, and as disk maps (RITM) at stride 2 beside
the previous mask, so that a click acts on the very pixels it lands on.

Legend: P prompts, N points, T output tokens, C channels, h w of a map, m mask side (stride 2).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anymask.networks.segmenter import Decoded
from anymask.networks.transformer import TwoWayTransformer

STRIDE = 16
MASK_STRIDE = 2
DISK_RADIUS = 3.0  # in mask cells
MASK_SLOTS = 4
LABELS = 5  # -1 padding, 0 negative, 1 positive, 2 and 3 box corners


class LitePromptEncoder(nn.Module):
    """Points, box corners and a previous mask to sparse tokens and to maps at strides 16, 8 and 4."""

    def __init__(self, embed_dim: int, skip_channels: tuple[int, int, int]) -> None:
        super().__init__()
        s8, s4, _ = skip_channels
        self.register_buffer("frequencies_2C", torch.randn(2, embed_dim // 2))
        self.label_embed = nn.Embedding(LABELS, embed_dim)
        self.text_type = nn.Parameter(torch.zeros(embed_dim))
        self.map_4 = nn.Conv2d(5, s4, 3, 2, 1)
        self.map_8 = nn.Conv2d(s4, s8, 3, 2, 1)
        self.map_16 = nn.Conv2d(s8, embed_dim, 3, 2, 1)

    def forward(
        self, points_PN2: Tensor, labels_PN: Tensor, masks_P1hw: Tensor, has_mask_P: Tensor, side: int
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """Returns sparse tokens P x N x C and maps at strides 16, 8, 4; `side`: m of the whole square."""
        sparse = self.embed_points(points_PN2 / (side * MASK_STRIDE), labels_PN)
        drawn = draw_prompts(points_PN2 / MASK_STRIDE, labels_PN, masks_P1hw, has_mask_P)
        at_4 = F.relu(self.map_4(drawn))
        at_8 = F.relu(self.map_8(at_4))
        return sparse, (self.map_16(at_8), at_8, at_4)

    def embed_points(self, unit_xy: Tensor, labels_PN: Tensor) -> Tensor:
        is_point = (labels_PN >= 0).unsqueeze(-1).to(unit_xy.dtype)
        labels: Tensor = self.label_embed(labels_PN.long() + 1)
        return self.position(unit_xy) * is_point + labels

    def position(self, unit_xy: Tensor) -> Tensor:
        """Random Fourier features of coordinates in 0..1 (last axis x, y)."""
        assert isinstance(self.frequencies_2C, Tensor)
        angles = 2 * math.pi * ((2 * unit_xy - 1) @ self.frequencies_2C)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    def dense_pe(self, embedding: dict[str, Tensor], side: int) -> Tensor:
        """Features of every grid centre at stride 16, 1 x C x h x w, in a square of `side` mask cells: of all
        of it first, which a graph works out once.
        """
        image = embedding["image_embeddings"]
        height, width = image.shape[-2:]
        cells = side * MASK_STRIDE // STRIDE
        along = (torch.arange(cells, device=image.device, dtype=image.dtype) + 0.5) / cells
        y, x = torch.meshgrid(along, along, indexing="ij")
        square = self.position(torch.stack([x, y], dim=-1)).permute(2, 0, 1).unsqueeze(0)
        return square[..., :height, :width]


def draw_prompts(cells_PN2: Tensor, labels_PN: Tensor, masks_P1hw: Tensor, has_mask_P: Tensor) -> Tensor:
    """Maps P x 5 x h x w: positive disks, negative disks, box interior, previous mask, "there is a previous
    mask".
    """
    height, width = masks_P1hw.shape[-2:]
    dx_PNw, dy_PNh = (
        torch.arange(n, device=cells_PN2.device, dtype=cells_PN2.dtype) + 0.5 - cells_PN2[..., i, None]
        for i, n in enumerate((width, height))
    )
    distance = (dx_PNw.square().unsqueeze(-2) + dy_PNh.square().unsqueeze(-1)).sqrt()
    disks_PNhw = (DISK_RADIUS + 0.5 - distance).clamp(0, 1)
    clicks_P2hw = _sums_by_label(disks_PNhw, labels_PN, (1, 0))
    has_mask = has_mask_P.to(masks_P1hw.dtype)[:, None, None, None]
    previous = (masks_P1hw / 4).tanh() * has_mask
    box = _box_interior(dx_PNw, dy_PNh, labels_PN).unsqueeze(1)
    return torch.cat([clicks_P2hw, box, previous, has_mask.expand_as(previous)], dim=1)


def _sums_by_label(disks_PNhw: Tensor, labels_PN: Tensor, labels: tuple[int, ...]) -> Tensor:
    """For each label the sum of its disks, at most 1: one matrix product, much faster than sums."""
    which_PKN = torch.stack([labels_PN == label for label in labels], dim=1).to(disks_PNhw.dtype)
    sums_PKhw: Tensor = (which_PKN @ disks_PNhw.flatten(2)).unflatten(2, disks_PNhw.shape[-2:])
    return sums_PKhw.clamp(max=1)


def _box_interior(dx_PNw: Tensor, dy_PNh: Tensor, labels_PN: Tensor) -> Tensor:
    """1 inside the box whose corners carry labels 2 and 3, 0 outside and where there is no box."""
    first, last = ((labels_PN == label).to(dx_PNw.dtype).unsqueeze(-1) for label in (2, 3))
    inside_x, inside_y = (
        ((d * first).sum(1) + 0.5).clamp(0, 1) * ((-d * last).sum(1) + 0.5).clamp(0, 1)
        for d in (dx_PNw, dy_PNh)
    )
    has_box_P = first.sum(1).clamp(max=1).unsqueeze(-1)
    return inside_y.unsqueeze(-1) * inside_x.unsqueeze(-2) * has_box_P


def mlp(in_dim: int, hidden: int, out_dim: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_dim, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, out_dim)
    )


class LiteDecoder(nn.Module):
    """Two-way transformer at stride 16, then masks at stride 2 by dynamic weights over an upscaled map."""

    def __init__(self, embed_dim: int, skip_channels: tuple[int, int, int]) -> None:
        super().__init__()
        s8, s4, s2 = skip_channels
        self.presence_token = nn.Embedding(1, embed_dim)
        self.iou_token = nn.Embedding(1, embed_dim)
        self.mask_tokens = nn.Embedding(MASK_SLOTS, embed_dim)
        self.transformer = TwoWayTransformer(depth=2, embedding_dim=embed_dim, num_heads=4, mlp_dim=512)
        self.up_8, self.refine_8 = nn.ConvTranspose2d(embed_dim, s8, 2, 2), nn.Conv2d(s8, s8, 3, padding=1)
        self.up_4, self.refine_4 = nn.ConvTranspose2d(s8, s4, 2, 2), nn.Conv2d(s4, s4, 3, padding=1)
        self.up_2 = nn.ConvTranspose2d(s4, s2, 2, 2)
        self.mask_weights = nn.ModuleList(mlp(embed_dim, embed_dim, s2) for _ in range(MASK_SLOTS))
        self.iou_head = mlp(embed_dim, embed_dim, MASK_SLOTS)
        self.probability_head = mlp(embed_dim, embed_dim, MASK_SLOTS + 1)
        self.presence_head = mlp(embed_dim, embed_dim, 1)

    def forward(
        self,
        embedding: dict[str, Tensor],
        image_pe: Tensor,
        sparse_PNC: Tensor,
        maps: tuple[Tensor, Tensor, Tensor],
    ) -> Decoded:
        at_16, at_8, at_4 = maps
        tokens_PTC = torch.cat([self.output_tokens(sparse_PNC.shape[0]), sparse_PNC], dim=1)
        source = embedding["image_embeddings"] + at_16
        tokens_PTC, image_PLC = self.transformer(source, image_pe, tokens_PTC)
        image = image_PLC.transpose(1, 2).unflatten(2, source.shape[-2:])
        masks = self.masks(tokens_PTC[:, 2 : 2 + MASK_SLOTS], self.upscale(image, embedding, at_8, at_4))
        quality = tokens_PTC[:, 1]
        return Decoded(masks, self.iou_head(quality).sigmoid(), self.probability_head(quality))

    def output_tokens(self, prompts: int) -> Tensor:
        tokens = torch.cat([self.presence_token.weight, self.iou_token.weight, self.mask_tokens.weight])
        return tokens.unsqueeze(0).expand(prompts, -1, -1)

    def upscale(self, image: Tensor, embedding: dict[str, Tensor], at_8: Tensor, at_4: Tensor) -> Tensor:
        x = F.relu(self.up_8(image) + embedding["skip_8"] + at_8)
        x = F.relu(x + self.refine_8(x))
        x = F.relu(self.up_4(x) + embedding["skip_4"] + at_4)
        x = F.relu(x + self.refine_4(x))
        return F.relu(self.up_2(x) + embedding["skip_2"])

    def masks(self, mask_tokens_P4C: Tensor, features_PCmm: Tensor) -> Tensor:
        heads = enumerate(self.mask_weights)  # not `unbind`: the exported graph stays as it is
        weights = torch.stack([head(mask_tokens_P4C[:, i]) for i, head in heads], dim=1)
        flat: Tensor = torch.bmm(weights, features_PCmm.flatten(2))
        return flat.reshape(*flat.shape[:2], *features_PCmm.shape[-2:])
