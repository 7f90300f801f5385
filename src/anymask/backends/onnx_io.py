"""The exported graphs: their files, and the names of their inputs and outputs (the published ones)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anymask.backends.base import DecodeInput
from anymask.core.spec import ModelSpec
from anymask.errors import ModelNotFound
from anymask.hub.card import NAMING_PARTS, PARTS, ModelFiles, check_files, read_card

ENCODER_INPUT = "image"
PROMPT_INPUTS = ("point_coords", "point_labels", "mask_input", "has_mask_input")
BOX_OUTPUTS = ("scores", "boxes")
EDGE_OUTPUTS = ("edge_logits",)
NAMING_OUTPUTS = ("features", "dense", "classes", "photo")
DECODER_OUTPUTS = ("low_res_masks", "iou_predictions", "probability_logits")  # the last where there is a head


def checked_model(card: Path) -> tuple[ModelSpec, ModelFiles]:
    """Raises ModelNotFound when the graphs are missing, WeightsError when a file is damaged."""
    spec, files = read_card(card).spec, ModelFiles.of(card)
    if not files.has_graphs:
        raise ModelNotFound(f"no ONNX files of {spec.name} in {card.parent}: see `anymask export`")
    check_files(card, [part for part in PARTS if part not in NAMING_PARTS])  # those when words are asked
    return spec, files


def named_points(prompts: DecodeInput) -> dict[str, np.ndarray]:
    """Inputs of the graph for prompts without masks."""
    return dict(zip(PROMPT_INPUTS[:2], prompts.arrays[:2], strict=True))


def named_inputs(prompts: DecodeInput) -> dict[str, np.ndarray]:
    return dict(zip(PROMPT_INPUTS, prompts.arrays, strict=True))
