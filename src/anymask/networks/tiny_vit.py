"""TinyViT as MobileSAM uses it: convolutions first, then windowed attention at three more stages.

Parameter names and results are those of the published checkpoint. The last stage keeps the size of the one
before, so that the embedding has stride 16.

Sources: TinyViT (Wu et al. 2022), table 9 (5M); MobileSAM (Zhang et al. 2023).

Legend: B images (or windows), C channels, H W rows and columns, L tokens of a window, N heads, D channels of
a head, S input size.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anymask.networks.layers import attend, in_windows, neck

MBCONV_RATIO = 4
MLP_RATIO = 4


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: `window` 0 means convolutions; `stride` belongs to the step to the next (0: no step)."""

    dim: int
    depth: int
    num_heads: int
    window: int
    stride: int


TINY_VIT_5M = (
    Stage(dim=64, depth=2, num_heads=2, window=0, stride=2),
    Stage(dim=128, depth=2, num_heads=4, window=7, stride=2),
    Stage(dim=160, depth=6, num_heads=5, window=14, stride=1),
    Stage(dim=320, depth=2, num_heads=10, window=7, stride=0),
)


class ConvNorm(nn.Sequential):
    """Convolution without bias and BatchNorm; the padding keeps the size at stride 1."""

    def __init__(self, in_dim: int, out_dim: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        conv = nn.Conv2d(in_dim, out_dim, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(OrderedDict(c=conv, bn=nn.BatchNorm2d(out_dim)))


class PatchEmbedding(nn.Sequential):
    """Two strided convolutions: B x 3 x S x S to B x C x S/4 x S/4."""

    def __init__(self, dim: int) -> None:
        seq = nn.Sequential(ConvNorm(3, dim // 2, 3, 2), nn.GELU(), ConvNorm(dim // 2, dim, 3, 2))
        super().__init__(OrderedDict(seq=seq))


class Bottleneck(nn.Sequential):
    """Change the width, filter each channel (with a stride), mix: the step between stages."""

    def __init__(self, dim: int, hidden: int, out_dim: int, stride: int = 1) -> None:
        conv1, conv2 = ConvNorm(dim, hidden, 1), ConvNorm(hidden, hidden, 3, stride, groups=hidden)
        conv3 = ConvNorm(hidden, out_dim, 1)
        super().__init__(OrderedDict(conv1=conv1, act1=nn.GELU(), conv2=conv2, act2=nn.GELU(), conv3=conv3))


class MBConv(Bottleneck):
    """Inverted bottleneck with a residual."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, dim * MBCONV_RATIO, dim)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        changed_BCHW = x_BCHW
        for layer in self:
            changed_BCHW = layer(changed_BCHW)
        return F.gelu(x_BCHW + changed_BCHW)


class WindowAttention(nn.Module):
    """Pre-norm self-attention in a square window, with one learned score per distance (|dy|, |dx|)."""

    def __init__(self, dim: int, num_heads: int, side: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(num_heads, side * side))

    def forward(self, x_BSSC: Tensor) -> Tensor:
        x_BLC = self.norm(x_BSSC.flatten(1, 2))
        # Unlike in the plain transformer, q, k and v of one head lie together.
        qkv = self.qkv(x_BLC).reshape(*x_BLC.shape[:2], self.num_heads, -1).transpose(1, 2)
        q_BNLD, k_BNLD, v_BNLD = qkv.chunk(3, dim=-1)
        scores_NLL = self.attention_biases[:, distance_indices(x_BSSC.shape[1], x_BSSC.device)]
        out: Tensor = self.proj(attend(q_BNLD, k_BNLD, v_BNLD, scores_NLL))
        return out.reshape(x_BSSC.shape)


def distance_indices(side: int, device: torch.device) -> Tensor:
    """L x L indices of the distances (|dy|, |dx|) between the cells of a window, row-major.

    The published order, that of first sight when all pairs of cells are walked in raster order, is the same.
    """
    cells = torch.arange(side * side, device=device)
    rows, columns = cells // side, cells % side
    return (rows[:, None] - rows).abs() * side + (columns[:, None] - columns).abs()


class NormedMLP(nn.Sequential):
    """Pre-norm MLP."""

    def __init__(self, dim: int) -> None:
        norm, fc1 = nn.LayerNorm(dim), nn.Linear(dim, dim * MLP_RATIO)
        super().__init__(OrderedDict(norm=norm, fc1=fc1, act=nn.GELU(), fc2=nn.Linear(dim * MLP_RATIO, dim)))


class WindowBlock(nn.Module):
    """Attention in windows, a 3 x 3 filter per channel that lets neighbours across windows meet, an MLP.

    The map is padded with zeros before the norm, and the padding attended to, as in the published training.
    """

    def __init__(self, dim: int, num_heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = WindowAttention(dim, num_heads, window)
        self.local_conv = ConvNorm(dim, dim, 3, groups=dim)
        self.mlp = NormedMLP(dim)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        attended_BHWC = in_windows(self.attn, x_BCHW.permute(0, 2, 3, 1), self.window)
        x_BCHW = x_BCHW + attended_BHWC.permute(0, 3, 1, 2)
        x_BHWC: Tensor = self.local_conv(x_BCHW).permute(0, 2, 3, 1)
        changed: Tensor = self.mlp(x_BHWC)
        return (x_BHWC + changed).permute(0, 3, 1, 2)


def stage_of(stage: Stage, next_dim: int) -> nn.Sequential:
    """The blocks of one stage and the step to the next, if there is one."""
    blocks = nn.Sequential(*(block_of(stage) for _ in range(stage.depth)))
    step = Bottleneck(stage.dim, next_dim, next_dim, stage.stride) if stage.stride else nn.Identity()
    return nn.Sequential(OrderedDict(blocks=blocks, downsample=step))


def block_of(stage: Stage) -> nn.Module:
    return WindowBlock(stage.dim, stage.num_heads, stage.window) if stage.window else MBConv(stage.dim)


class TinyViT(nn.Sequential):
    """Pixels B x 3 x S x S to an embedding B x `out_channels` x S/16 x S/16. Any S that 16 divides works."""

    def __init__(self, out_channels: int = 256) -> None:
        dims = [stage.dim for stage in TINY_VIT_5M]
        embed = PatchEmbedding(dims[0])
        layers = nn.Sequential(*map(stage_of, TINY_VIT_5M, [*dims[1:], 0]))
        super().__init__(OrderedDict(patch_embed=embed, layers=layers, neck=neck(dims[-1], out_channels)))
