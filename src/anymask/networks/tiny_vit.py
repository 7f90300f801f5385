"""TinyViT as MobileSAM uses it: convolutions first, then windowed attention at three more stages.

It knows pixels and embeddings, not prompts. Parameter names and results are those of the published
checkpoint. The last stage keeps the size of the one before, so that the embedding has stride 16.

Sources: TinyViT (Wu et al. 2022), table 9 (5M); MobileSAM (Zhang et al. 2023).

Legend: B images (or windows), C channels, H W rows and columns, L tokens of a window, N heads, D channels of
a head, S input size.
"""

from __future__ import annotations

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


class ConvNorm(nn.Module):
    """Convolution without bias and BatchNorm; the padding keeps the size at stride 1."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.c = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        out: Tensor = self.bn(self.c(x_BCHW))
        return out


class PatchEmbedding(nn.Module):
    """Two strided convolutions: B x 3 x S x S to B x C x S/4 x S/4."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(ConvNorm(3, dim // 2, 3, 2), nn.GELU(), ConvNorm(dim // 2, dim, 3, 2))

    def forward(self, pixels_B3SS: Tensor) -> Tensor:
        out: Tensor = self.seq(pixels_B3SS)
        return out


class MBConv(nn.Module):
    """Widen, filter each channel, narrow, add."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = dim * MBCONV_RATIO
        self.conv1 = ConvNorm(dim, hidden, 1)
        self.conv2 = ConvNorm(hidden, hidden, 3, groups=hidden)
        self.conv3 = ConvNorm(hidden, dim, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        changed = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x_BCHW)))))
        return F.gelu(x_BCHW + changed)


class PatchMerging(nn.Module):
    """The step between stages: change the width, filter each channel (with a stride), mix."""

    def __init__(self, dim: int, out_dim: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(dim, out_dim, 1)
        self.conv2 = ConvNorm(out_dim, out_dim, 3, stride, groups=out_dim)
        self.conv3 = ConvNorm(out_dim, out_dim, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        out: Tensor = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x_BCHW)))))
        return out


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


class NormedMLP(nn.Module):
    """Pre-norm MLP."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, dim * MLP_RATIO)
        self.fc2 = nn.Linear(dim * MLP_RATIO, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return out


class WindowBlock(nn.Module):
    """Attention in windows, a 3 x 3 filter per channel that lets neighbours across windows meet, an MLP.

    The map is padded with zeros before the norm. The published weights were trained with the padding attended
    to.
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


class TinyViTStage(nn.Module):
    """Blocks of one stage and the step to the next, if there is one."""

    def __init__(self, stage: Stage, next_dim: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(build_block(stage) for _ in range(stage.depth))
        self.downsample = PatchMerging(stage.dim, next_dim, stage.stride) if stage.stride else nn.Identity()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        for block in self.blocks:
            x_BCHW = block(x_BCHW)
        out: Tensor = self.downsample(x_BCHW)
        return out


def build_block(stage: Stage) -> nn.Module:
    if not stage.window:
        return MBConv(stage.dim)
    return WindowBlock(stage.dim, stage.num_heads, stage.window)


class TinyViT(nn.Module):
    """Pixels B x 3 x S x S to an embedding B x `out_channels` x S/16 x S/16. Any S that 16 divides works."""

    def __init__(self, stages: tuple[Stage, ...] = TINY_VIT_5M, out_channels: int = 256) -> None:
        super().__init__()
        next_dims = [stage.dim for stage in stages[1:]] + [stages[-1].dim]
        self.patch_embed = PatchEmbedding(stages[0].dim)
        self.layers = nn.ModuleList(TinyViTStage(s, d) for s, d in zip(stages, next_dims, strict=True))
        self.neck = neck(stages[-1].dim, out_channels)

    def forward(self, pixels_B3SS: Tensor) -> Tensor:
        x_BCHW = self.patch_embed(pixels_B3SS)
        for layer in self.layers:
            x_BCHW = layer(x_BCHW)
        embedding: Tensor = self.neck(x_BCHW)
        return embedding
