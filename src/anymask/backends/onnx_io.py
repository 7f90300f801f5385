"""The names of the exported graphs' inputs and outputs; those the published decoder has keep its names."""

from __future__ import annotations

import numpy as np

from anymask.backends.base import DecodeInput

ENCODER_INPUT = "image"
PROMPT_INPUTS = ("point_coords", "point_labels", "mask_input", "has_mask_input")
BOX_OUTPUTS = ("scores", "boxes")
EDGE_OUTPUTS = ("edge_logits",)
DECODER_OUTPUTS = ("low_res_masks", "iou_predictions", "probability_logits")  # the last where there is a head


def named_points(prompts: DecodeInput) -> dict[str, np.ndarray]:
    """Of the graph for prompts without masks."""
    return dict(zip(PROMPT_INPUTS, (prompts.points_PN2, prompts.labels_PN), strict=False))


def named_inputs(prompts: DecodeInput) -> dict[str, np.ndarray]:
    arrays = (prompts.points_PN2, prompts.labels_PN, prompts.masks_P1mm, prompts.has_mask_P)
    return dict(zip(PROMPT_INPUTS, arrays, strict=True))
