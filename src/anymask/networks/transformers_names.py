"""Parameter names of the transformers library's SamModel and their published counterparts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

POSITIONS = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
MARK = "vision_encoder."

# (pattern, replacement), all applied in this order
RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^(shared_image_embedding|prompt_encoder\.shared_embedding)\.positional_embedding$", POSITIONS),
        (r"^vision_encoder\.", "image_encoder."),
        (r"^(image_encoder\.)layers\.", r"\1blocks."),
        (r"^(image_encoder\.patch_embed\.)projection\.", r"\1proj."),
        (r"^(image_encoder\.neck\.)conv1\.", r"\g<1>0."),
        (r"^(image_encoder\.neck\.)layer_norm1\.", r"\g<1>1."),
        (r"^(image_encoder\.neck\.)conv2\.", r"\g<1>2."),
        (r"^(image_encoder\.neck\.)layer_norm2\.", r"\g<1>3."),
        (r"^(prompt_encoder\.)point_embed\.", r"\1point_embeddings."),
        (r"^(prompt_encoder\.)mask_embed\.conv1\.", r"\1mask_downscaling.0."),
        (r"^(prompt_encoder\.)mask_embed\.layer_norm1\.", r"\1mask_downscaling.1."),
        (r"^(prompt_encoder\.)mask_embed\.conv2\.", r"\1mask_downscaling.3."),
        (r"^(prompt_encoder\.)mask_embed\.layer_norm2\.", r"\1mask_downscaling.4."),
        (r"^(prompt_encoder\.)mask_embed\.conv3\.", r"\1mask_downscaling.6."),
        (r"^(mask_decoder\.)upscale_conv1\.", r"\1output_upscaling.0."),
        (r"^(mask_decoder\.)upscale_layer_norm\.", r"\1output_upscaling.1."),
        (r"^(mask_decoder\.)upscale_conv2\.", r"\1output_upscaling.3."),
        (
            r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head)\.)layers\.0\.",
            r"\1layers.1.",
        ),
        (r"\.proj_in\.", ".layers.0."),
        (r"\.proj_out\.", ".layers.2."),
        (r"\.layer_norm(\d)\.", r".norm\1."),
        (r"\.layer_norm_final_attn\.", ".norm_final_attn."),
    )
)


def is_transformers_state(state: Mapping[str, Tensor]) -> bool:
    return any(key.startswith(MARK) for key in state)


def from_transformers_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under the published names. The positions, kept twice there, are kept once."""
    return {published_name(key): tensor for key, tensor in state.items()}


def published_name(key: str) -> str:
    for pattern, replacement in RULES:
        key = pattern.sub(replacement, key)
    return key
