"""`segment_anything.modeling.image_encoder`: the plain vision transformer, and its windows.

Legend: B images, C channels, H W rows and columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from anymask.compat.modeling.adopt import adopted, only
from anymask.networks.layers import windows_of, without_windows
from anymask.networks.vit import MLP_RATIO, PATCH_SIZE, Block, ViT
from anymask.networks.vit import RelativeAttention as Attention

__all__ = ["Attention", "Block", "ImageEncoderViT", "PatchEmbed", "window_partition", "window_unpartition"]


class PatchEmbed(nn.Module):
    """B x 3 x H x W to tokens B x H/16 x W/16 x C, channels last."""

    def __init__(
        self,
        kernel_size: tuple[int, int] = (PATCH_SIZE, PATCH_SIZE),
        stride: tuple[int, int] = (PATCH_SIZE, PATCH_SIZE),
        padding: tuple[int, int] = (0, 0),
        in_chans: int = 3,
        embed_dim: int = 768,
    ) -> None:
        super().__init__()
        self.proj: nn.Module = nn.Conv2d(in_chans, embed_dim, kernel_size, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.proj(x)
        return tokens.permute(0, 2, 3, 1)


class ImageEncoderViT(ViT):
    """The published arguments; those that no published weights use are refused with ValueError.

    Parts that subclasses and adapters reach for are there: `patch_embed` and `blocks` with channels last,
    `pos_embed`, `neck`, `blocks[i].window_size` (0: the whole image), `blocks[i].attn.qkv`.
    """

    img_size: int

    def __init__(
        self,
        img_size: int = 1024,
        patch_size: int = PATCH_SIZE,
        in_chans: int = 3,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = MLP_RATIO,
        out_chans: int = 256,
        qkv_bias: bool = True,
        norm_layer: Callable[[int], nn.Module] = nn.LayerNorm,
        act_layer: type[nn.Module] = nn.GELU,
        use_abs_pos: bool = True,
        use_rel_pos: bool = False,
        rel_pos_zero_init: bool = True,
        window_size: int = 0,
        global_attn_indexes: Sequence[int] = (),
    ) -> None:
        given = {
            "patch_size": (patch_size, PATCH_SIZE),
            "in_chans": (in_chans, 3),
            "mlp_ratio": (mlp_ratio, MLP_RATIO),
            "qkv_bias": (qkv_bias, True),
            "act_layer": (act_layer, nn.GELU),
            "use_abs_pos": (use_abs_pos, True),
            "use_rel_pos": (use_rel_pos, True),
        }
        for argument, (value, expected) in given.items():
            only(argument, value, expected)
        super().__init__(
            input_size=img_size,
            embed_dim=embed_dim,
            depth=depth,
            num_heads=num_heads,
            global_blocks=tuple(global_attn_indexes),
            window_size=window_size,
            out_channels=out_chans,
        )
        eps: float | None = getattr(norm_layer(embed_dim), "eps", None)
        for block in self.blocks:
            assert isinstance(block, Block) and eps is not None
            block.norm1.eps = block.norm2.eps = eps
        self._publish()

    @classmethod
    def of(cls, encoder: ViT) -> ImageEncoderViT:
        """An encoder of this package, with the same weights."""
        new = adopted(cls, encoder)
        new._publish()
        return new

    def _publish(self) -> None:
        self.img_size = self.pos_embed.shape[1] * PATCH_SIZE
        self.patch_embed = adopted(PatchEmbed, self.patch_embed)  # type: ignore[assignment]
        for block in self.blocks:
            block.window_size = block.window

    def forward(self, x: Tensor) -> Tensor:
        """Pixels B x 3 x S x S, as `Sam.preprocess` makes them, to B x C x S/16 x S/16."""
        tokens = self.patch_embed(x) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        embedding: Tensor = self.neck(tokens.permute(0, 3, 1, 2))
        return embedding


def window_partition(x: Tensor, window_size: int) -> tuple[Tensor, tuple[int, int]]:
    """B x H x W x C to windows (B n) x S x S x C, and the height and width after padding with zeros."""
    height, width = x.shape[1:3]
    padded = F.pad(x, (0, 0, 0, -width % window_size, 0, -height % window_size))
    return windows_of(padded, window_size), (padded.shape[1], padded.shape[2])


def window_unpartition(
    windows: Tensor, window_size: int, pad_hw: tuple[int, int], hw: tuple[int, int]
) -> Tensor:
    """The inverse of `window_partition`, without the padding: B x H x W x C."""
    only("window_size", window_size, windows.shape[1])
    return without_windows(windows, pad_hw)[:, : hw[0], : hw[1]]
