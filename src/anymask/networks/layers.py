"""Small parts shared by encoders and decoders. They know shapes, not images or prompts.

Legend: B images, C channels, H W rows and columns.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Callable[[], nn.Module]


class LayerNorm2d(nn.Module):
    """Normalise the channels of every pixel of a B x C x H x W map (ConvNeXt's channel norm)."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x_BCHW: Tensor) -> Tensor:
        # The fused layer norm on channels-last memory is faster than arithmetic over a strided channel axis.
        x_BHWC = F.layer_norm(x_BCHW.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, self.eps)
        return x_BHWC.permute(0, 3, 1, 2)


class FeedForward(nn.Module):
    """Two linear layers with one activation between: a transformer block's MLP."""

    def __init__(self, dim: int, hidden_dim: int, activation: Activation) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, hidden_dim)
        self.lin2 = nn.Linear(hidden_dim, dim)
        self.act = activation()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.lin2(self.act(self.lin1(x)))
        return out


class MLP(nn.Module):
    """`depth` linear layers with ReLU between: the decoder's heads."""

    def __init__(self, in_dim: int, hidden_dim: int, out_dim: int, depth: int) -> None:
        super().__init__()
        widths = [in_dim, *[hidden_dim] * (depth - 1), out_dim]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        out: Tensor = self.layers[-1](x)
        return out


def attend(q_BNLD: Tensor, k_BNLD: Tensor, v_BNLD: Tensor, scores: Tensor) -> Tensor:
    """Attention of N heads with `scores` added; the heads come back side by side, B x L x (N D)."""
    out_BLND = F.scaled_dot_product_attention(q_BNLD, k_BNLD, v_BNLD, scores).transpose(1, 2)
    # The fused attention answers in this very order, its decomposition for export does not: a copy fits both.
    return out_BLND.clone(memory_format=torch.contiguous_format).flatten(2)


def neck(in_channels: int, out_channels: int) -> nn.Sequential:
    """The published encoders' last step: to the embedding's width by 1 x 1 and 3 x 3 convolutions."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        LayerNorm2d(out_channels),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        LayerNorm2d(out_channels),
    )


def in_windows(attention: nn.Module, x_BHWC: Tensor, side: int) -> Tensor:
    """Attention within windows of a map that is padded with zeros below and to the right."""
    height, width = x_BHWC.shape[1:3]
    padded = pad_to_windows(x_BHWC, side)
    windows = attention(windows_of(padded, side))
    return without_windows(windows, (padded.shape[1], padded.shape[2]))[:, :height, :width]


def pad_to_windows(x_BHWC: Tensor, side: int) -> Tensor:
    """Add zeros below and to the right until both sides are multiples of `side`."""
    height, width = x_BHWC.shape[1:3]
    return F.pad(x_BHWC, (0, 0, 0, -width % side, 0, -height % side))


def windows_of(x_BHWC: Tensor, side: int) -> Tensor:
    """Cut a map whose sides are multiples of `side` into windows: (B rows columns) x side x side x C."""
    batch, height, width, channels = x_BHWC.shape
    grid = x_BHWC.reshape(batch, height // side, side, width // side, side, channels)
    return grid.transpose(2, 3).reshape(-1, side, side, channels)


def without_windows(windows: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Put windows together again to a map of B x `size_hw` x C: the inverse of `windows_of`."""
    _, side, _, channels = windows.shape
    height, width = size_hw
    grid = windows.reshape(-1, height // side, width // side, side, side, channels)
    return grid.transpose(2, 3).reshape(-1, height, width, channels)
