"""The edge head: the probability that a person would draw an edge at each place, from the image embedding.

A top-down pathway with lateral connections (Lin et al. 2017, "FPN") and side outputs for deep supervision
(Xie and Tu 2015, "HED"). The SAM paper takes the outlines of automatic masks (section 7.2) instead: seconds,
where this takes milliseconds.

Legend: B images, C channels, h w of a map at stride 2.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from anymask.core.spec import EDGES_READ
from anymask.networks.head import Head, HeadNetwork
from anymask.networks.lite import EMBED_DIM, SKIP_CHANNELS, Lite, upsample_2x

WIDTH = 32
FINEST_WIDTH = 16  # channels at stride 2, where most of the computation is
EDGE_PRIOR_LOGIT = -2.0  # initial logit of every cell: few lie on an edge


class EdgeHead(Head):
    """`forward`: logits B x 1 x h x w of lying on an edge."""

    reads = EDGES_READ

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        channels = (EMBED_DIM, *SKIP_CHANNELS)  # strides 16, 8, 4, 2
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.refine = nn.ModuleList(refinement(width) for _ in channels[:-1])
        self.hints = nn.ModuleList(nn.Conv2d(width, 1, 1) for _ in channels[:-1])
        self.finest = nn.Sequential(
            nn.Conv2d(width, FINEST_WIDTH, 3, padding=1), nn.ReLU(),
            nn.Conv2d(FINEST_WIDTH, FINEST_WIDTH, 3, padding=1), nn.ReLU(),
            nn.Conv2d(FINEST_WIDTH, 1, 1),
        )  # fmt: skip
        nn.init.constant_(self.finest[-1].bias, EDGE_PRIOR_LOGIT)  # type: ignore[arg-type]

    def forward(self, *maps: Tensor) -> tuple[Tensor]:
        return (self.all_strides(*maps)[-1],)

    def all_strides(self, *maps: Tensor) -> tuple[Tensor, ...]:
        """Logits at strides 16, 8, 4 (side outputs, for training) and 2 (the output)."""
        x, logits = F.relu(self.lateral[0](maps[0])), []
        steps = zip(self.refine, self.hints, self.lateral[1:], maps[1:], strict=True)
        for refine, hint, lateral, finer in steps:
            x = F.relu(x + refine(x))
            logits.append(hint(x))
            x = F.relu(lateral(finer) + upsample_2x(x))
        return *logits, self.finest(x)


def refinement(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)
    )


class EdgeNetwork(HeadNetwork):
    """`forward`: logits at all strides."""

    head: EdgeHead

    def __init__(self, network: Lite) -> None:
        super().__init__(network, EdgeHead())

    def forward(self, pixels_B3SS: Tensor) -> tuple[Tensor, ...]:
        return self.head.all_strides(*self.features(pixels_B3SS))
