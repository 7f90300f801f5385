"""The lite network, the default: a small convolutional encoder and a mask decoder with skips and click maps.

`Lite` composes the trunk, one attention block at stride 32, a feature pyramid neck (FPN) and the decoder of
`lite_decoder.py`. It implements the same `Segmenter` protocol as the published models.

Legend: B images, P prompts, N points, C channels, S input size, h w part of it, m low-res mask size (S / 2).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from anymask.core.frames import OUTSIDE
from anymask.core.spec import ModelSpec
from anymask.networks.lite_decoder import MASK_STRIDE, STRIDE, LiteDecoder, LitePromptEncoder
from anymask.networks.lite_trunk import TAP_CHANNELS, LiteTrunk
from anymask.networks.segmenter import Decoded

LITE_SPEC = ModelSpec(
    name="lite", family="lite", input_size=512, low_res_size=256, mean=(127.0, 127.0, 127.0),
    std=(128.0, 128.0, 128.0), pixel_offset=0.0,
    embedding_names=("image_embeddings", "skip_8", "skip_4", "skip_2"), frame_multiple=32,
)  # fmt: skip
EMBED_DIM = 128
SKIP_CHANNELS = (48, 32, 16)  # strides 8, 4, 2
DETAIL_LAYERS = ("top_8", "skip_4", "skip_2")  # of the encoder; not read by the box head


class GlobalBlock(nn.Module):
    """Pre-norm global self-attention plus an MLP, at the coarsest stride.

    Positions come from a depthwise convolution (conditional positional encoding), so any grid size works.
    """

    def __init__(self, dim: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.heads = heads
        self.position = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, mlp_ratio * dim), nn.ReLU(), nn.Linear(mlp_ratio * dim, dim))

    def forward(self, x_BChw: Tensor) -> Tensor:
        x_BChw = x_BChw + self.position(x_BChw)
        tokens: Tensor = x_BChw.flatten(2).transpose(1, 2)
        tokens = tokens + self.attend(self.norm1(tokens))
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.transpose(1, 2).reshape(x_BChw.shape)

    def attend(self, tokens_BNC: Tensor) -> Tensor:
        q, k, v = (
            t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in self.qkv(tokens_BNC).chunk(3, -1)
        )
        out: Tensor = self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return out


class LiteEncoder(nn.Module):
    """Image to embedding (stride 16) and skips (strides 8, 4, 2), computed once per image."""

    def __init__(self) -> None:
        super().__init__()
        c2, c4, c8, c16, c32 = TAP_CHANNELS
        s8, s4, s2 = SKIP_CHANNELS
        self.trunk = LiteTrunk()
        self.reduce_32 = nn.Conv2d(c32, 256, 1)
        self.global_block = GlobalBlock(256, heads=8, mlp_ratio=3)
        self.top_32, self.lateral_16 = nn.Conv2d(256, EMBED_DIM, 1), nn.Conv2d(c16, EMBED_DIM, 1)
        self.smooth_16 = nn.Conv2d(EMBED_DIM, EMBED_DIM, 3, padding=1)
        self.out_16, self.norm_16 = nn.Conv2d(EMBED_DIM, EMBED_DIM, 1), nn.LayerNorm(EMBED_DIM)
        self.top_16, self.lateral_8 = nn.Conv2d(EMBED_DIM, 64, 1), nn.Conv2d(c8, 64, 1)
        self.smooth_8 = nn.Conv2d(64, 64, 3, padding=1)
        self.skip_8 = nn.Conv2d(64, s8, 1)
        self.top_8, self.skip_4 = nn.Conv2d(64, s4, 1), nn.Conv2d(c4, s4, 1)
        self.skip_2 = nn.Conv2d(c2, s2, 1)

    def forward(self, pixels_B3SS: Tensor) -> dict[str, Tensor]:
        t2, t4, t8, t16, t32 = self.trunk(pixels_B3SS)
        p32 = self.global_block(self.reduce_32(t32))
        p16 = F.relu(self.smooth_16(F.relu(self.lateral_16(t16) + upsample_2x(self.top_32(p32)))))
        p8 = F.relu(self.smooth_8(F.relu(self.lateral_8(t8) + upsample_2x(self.top_16(p16)))))
        embedding = self.norm_16(self.out_16(p16).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return {
            "image_embeddings": embedding,
            "skip_8": self.skip_8(p8),
            "skip_4": self.skip_4(t4) + upsample_2x(self.top_8(p8)),
            "skip_2": self.skip_2(t2),
        }


def upsample_2x(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class Lite(nn.Module):
    """The default model. Any input size that is a multiple of 32 works; `spec` names the shipped one.

    Of a square of that size the encoder takes any part h x w from the upper left corner whose sides are
    multiples of 32 and one of which is S: what is beyond the image need not be computed.
    """

    spec = LITE_SPEC

    def __init__(self) -> None:
        super().__init__()
        self.image_encoder = LiteEncoder()
        self.prompt_encoder = LitePromptEncoder(EMBED_DIM, SKIP_CHANNELS)
        self.mask_decoder = LiteDecoder(EMBED_DIM, SKIP_CHANNELS)

    def encode_image(self, pixels_B3hw: Tensor) -> dict[str, Tensor]:
        """Embedding B x 128 x h/16 x w/16 and three skips of a normalised, zero-padded batch."""
        return self.image_encoder(pixels_B3hw)  # type: ignore[no-any-return]

    def decode(
        self,
        embedding: dict[str, Tensor],
        points_PN2: Tensor,
        labels_PN: Tensor,
        masks_P1mm: Tensor | None = None,
        has_mask_P: Tensor | None = None,
    ) -> Decoded:
        """Decode P prompts. The embedding's batch is 1 (shared by all) or P (one image per prompt).

        Masks are those of the whole square, also where a part of it was encoded: OUTSIDE beyond that part.
        """
        height, width = (n * (STRIDE // MASK_STRIDE) for n in embedding["image_embeddings"].shape[-2:])
        if masks_P1mm is None or has_mask_P is None:
            side = max(height, width)
            masks_P1mm = points_PN2.new_zeros(len(points_PN2), 1, side, side)
            has_mask_P = points_PN2.new_zeros(len(points_PN2))
        side = masks_P1mm.shape[-1]
        cropped_P1hw = masks_P1mm[..., :height, :width]
        sparse, maps = self.prompt_encoder(points_PN2, labels_PN, cropped_P1hw, has_mask_P, side)
        dense = self.prompt_encoder.dense_pe(embedding, side)
        masks, iou, probability = self.mask_decoder(embedding, dense, sparse, maps)
        padding = (0, side - width, 0, side - height)
        return Decoded(F.pad(masks, padding, value=OUTSIDE), iou, probability)


def freeze_early_layers(model: Lite, blocks: int = 3) -> None:
    """Freeze the stem and the first `blocks` blocks: generic features whose backward pass costs the most."""
    for module in (model.image_encoder.trunk.stem, *model.image_encoder.trunk.blocks[:blocks]):
        module.requires_grad_(False)
