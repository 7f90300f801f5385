"""The plain vision transformer of the published models: windowed attention, and global in a few blocks.

It knows pixels and embeddings, not prompts. Parameter names and results are the published ones.

Sources: Segment Anything, appendix A, "Image encoder"; ViTDet (Li et al. 2022); MViTv2 (positions).

Legend: B images (or windows), C channels, H W rows and columns of the token grid, L = H * W tokens, N heads,
D channels of a head, S side of a square.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, einsum, nn

from anymask.networks.layers import FeedForward, attend, in_windows, neck

NORM_EPS = 1e-6


class RelativeAttention(nn.Module):
    """Self-attention over a square of tokens, with learned scores for row and column offsets."""

    def __init__(self, dim: int, num_heads: int, side: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, dim // num_heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, dim // num_heads))

    def forward(self, x_BSSC: Tensor) -> Tensor:
        batch, side = x_BSSC.shape[:2]
        qkv = self.qkv(x_BSSC).reshape(batch, side * side, 3, self.num_heads, -1)
        q_BNLD, k_BNLD, v_BNLD = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        out: Tensor = self.proj(attend(q_BNLD, k_BNLD, v_BNLD, self.position_scores(q_BNLD)))
        return out.reshape(x_BSSC.shape)

    def position_scores(self, q_BNLD: Tensor) -> Tensor:
        """B x N x L x L: how each query likes each row and column. The query is unscaled, as published."""
        side = (len(self.rel_pos_h) + 1) // 2
        steps = torch.arange(side, device=q_BNLD.device)
        offsets_SS = steps[:, None] - steps[None, :] + side - 1
        q_BNHWD = q_BNLD.reshape(*q_BNLD.shape[:2], side, side, -1)
        rows = einsum("bnhwd,hkd->bnhwk", q_BNHWD, self.rel_pos_h[offsets_SS])
        columns = einsum("bnhwd,wkd->bnhwk", q_BNHWD, self.rel_pos_w[offsets_SS])
        return (rows.unsqueeze(-1) + columns.unsqueeze(-2)).flatten(4, 5).flatten(2, 3)


class Block(nn.Module):
    """Pre-norm transformer block over windows of side `window`; 0 means the whole grid of side `grid`.

    Windows that stick out of the grid are filled with zeros after the norm. Those tokens take part in
    attention: the published weights were trained that way.
    """

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, grid: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(dim, NORM_EPS)
        self.attn = RelativeAttention(dim, num_heads, window or grid)
        self.norm2 = nn.LayerNorm(dim, NORM_EPS)
        self.mlp = FeedForward(dim, int(dim * mlp_ratio), nn.GELU)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        normed = self.norm1(x_BHWC)
        x_BHWC = x_BHWC + (in_windows(self.attn, normed, self.window) if self.window else self.attn(normed))
        changed: Tensor = self.mlp(self.norm2(x_BHWC))
        return x_BHWC + changed


class PatchEmbedding(nn.Module):
    """Each `patch_size` square of pixels becomes one token: B x 3 x S x S to B x H x W x C."""

    def __init__(self, dim: int, patch_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)

    def forward(self, pixels_B3SS: Tensor) -> Tensor:
        tokens: Tensor = self.proj(pixels_B3SS)
        return tokens.permute(0, 2, 3, 1)


class ViT(nn.Module):
    """Pixels B x 3 x S x S to an embedding B x `out_channels` x S/16 x S/16.

    `global_blocks`: indices of the blocks that see the whole image; the others see windows of `window_size`.
    """

    def __init__(
        self,
        *,
        input_size: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        global_blocks: Collection[int],
        window_size: int = 14,
        patch_size: int = 16,
        mlp_ratio: float = 4.0,
        out_channels: int = 256,
    ) -> None:
        super().__init__()
        grid = input_size // patch_size
        self.patch_embed = PatchEmbedding(embed_dim, patch_size)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, embed_dim))
        self.blocks = nn.ModuleList(
            Block(embed_dim, num_heads, mlp_ratio, grid, 0 if i in global_blocks else window_size)
            for i in range(depth)
        )
        self.neck = neck(embed_dim, out_channels)

    def forward(self, pixels_B3SS: Tensor) -> Tensor:
        x_BHWC = self.patch_embed(pixels_B3SS) + self.pos_embed
        for block in self.blocks:
            x_BHWC = block(x_BHWC)
        embedding: Tensor = self.neck(x_BHWC.permute(0, 3, 1, 2))
        return embedding
