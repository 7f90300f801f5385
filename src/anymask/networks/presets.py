"""Networks by name, with random weights: the only file that knows their sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from anymask.core.spec import ModelSpec
from anymask.errors import ModelNotFound
from anymask.networks.lite import Lite
from anymask.networks.mask_decoder import MaskDecoder
from anymask.networks.prompt_encoder import PromptEncoder
from anymask.networks.sam import Sam
from anymask.networks.segmenter import Segmenter
from anymask.networks.tiny_vit import TinyViT
from anymask.networks.transformer import TwoWayTransformer
from anymask.networks.vit import ViT

SAM_SPEC = ModelSpec(
    name="sam", family="sam", input_size=1024, low_res_size=256, mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375), pixel_offset=-0.5,
)  # fmt: skip
EMBED_DIM = 256
STRIDE = 16


def sam_vit(name: str, embed_dim: int, depth: int, num_heads: int) -> Sam:
    """A published ViT; the last block of each quarter has global attention."""
    global_blocks = range(depth // 4 - 1, depth, depth // 4)
    encoder = ViT(
        input_size=1024, embed_dim=embed_dim, depth=depth, num_heads=num_heads, global_blocks=global_blocks
    )
    return sam(encoder, replace(SAM_SPEC, name=name))


def sam(image_encoder: nn.Module, spec: ModelSpec) -> Sam:
    """An image encoder with a prompt encoder and a mask decoder of the published sizes for `spec`'s frame."""
    grid = spec.input_size // STRIDE
    transformer = TwoWayTransformer(depth=2, embedding_dim=EMBED_DIM, num_heads=8, mlp_dim=2048)
    return Sam(
        image_encoder,
        PromptEncoder(EMBED_DIM, (grid, grid), (spec.input_size, spec.input_size), mask_in_chans=16),
        MaskDecoder(transformer_dim=EMBED_DIM, transformer=transformer),
        spec,
    )


PRESETS: dict[str, Callable[[], Segmenter]] = {
    "lite": Lite,
    "mobile_sam": lambda: sam(TinyViT(), replace(SAM_SPEC, name="mobile_sam", family="mobile_sam")),
    "sam_vit_b": lambda: sam_vit("sam_vit_b", 768, 12, 12),
    "sam_vit_l": lambda: sam_vit("sam_vit_l", 1024, 24, 16),
    "sam_vit_h": lambda: sam_vit("sam_vit_h", 1280, 32, 16),
}


def build(name: str) -> Segmenter:
    """A network with random weights, in training mode. Raises ModelNotFound for an unknown name."""
    if name not in PRESETS:
        raise ModelNotFound(f"unknown network {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name]()
