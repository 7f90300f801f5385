"""The networks by name, with random weights: the only file that knows their sizes. It knows nothing of
files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from anymask.core.spec import ModelSpec
from anymask.errors import ModelNotFound
from anymask.networks.mask_decoder import MaskDecoder
from anymask.networks.prompt_encoder import PromptEncoder
from anymask.networks.sam import Sam
from anymask.networks.segmenter import Segmenter
from anymask.networks.tiny_vit import TinyViT
from anymask.networks.transformer import TwoWayTransformer
from anymask.networks.vit import ViT

SAM_SPEC = ModelSpec(
    name="sam",
    family="sam",
    input_size=1024,
    low_res_size=256,
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    pixel_offset=-0.5,
)
EMBED_DIM = 256
STRIDE = 16


def sam_vit_b() -> Sam:
    encoder = ViT(input_size=1024, embed_dim=768, depth=12, num_heads=12, global_blocks=(2, 5, 8, 11))
    return sam(encoder, replace(SAM_SPEC, name="sam_vit_b"))


def sam_vit_l() -> Sam:
    encoder = ViT(input_size=1024, embed_dim=1024, depth=24, num_heads=16, global_blocks=(5, 11, 17, 23))
    return sam(encoder, replace(SAM_SPEC, name="sam_vit_l"))


def sam_vit_h() -> Sam:
    encoder = ViT(input_size=1024, embed_dim=1280, depth=32, num_heads=16, global_blocks=(7, 15, 23, 31))
    return sam(encoder, replace(SAM_SPEC, name="sam_vit_h"))


def mobile_sam() -> Sam:
    return sam(TinyViT(), replace(SAM_SPEC, name="mobile_sam", family="mobile_sam"))


def lite() -> Segmenter:
    from anymask.networks.lite import Lite  # here, so that the published networks load without it

    return Lite()


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
    "lite": lite,
    "mobile_sam": mobile_sam,
    "sam_vit_b": sam_vit_b,
    "sam_vit_l": sam_vit_l,
    "sam_vit_h": sam_vit_h,
}


def build(name: str) -> Segmenter:
    """A network with random weights, in training mode. Raises ModelNotFound for an unknown name."""
    if name not in PRESETS:
        raise ModelNotFound(f"unknown network {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name]()
