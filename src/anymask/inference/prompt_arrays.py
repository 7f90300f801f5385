"""Prompts of an image to the arrays a decoder takes, and the grouping that lets unequal prompts share a call.

Prompts are grouped by their number of point columns, never padded to a common length: padding points take part in
attention, so a padded prompt would be answered differently in company than alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from anymask.core.geometry import ResizeLongest
from anymask.core.prompt import Prompt
from anymask.core.spec import ModelSpec
from anymask.inference.backend import DecodeInput, Floats

PAD, BOX_FIRST, BOX_LAST = -1.0, 2.0, 3.0
MASK_LOGIT = 6.0  # certainty of a binary mask given as a prompt
LOGIT_LIMIT = 32.0
MAX_BATCH = 64


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One prompt in the model frame."""

    points_N2: Floats
    labels_N: Floats
    mask_mm: Floats | None


def groups(
    prompts: Sequence[Prompt], spec: ModelSpec, transform: ResizeLongest
) -> Iterator[tuple[list[int], DecodeInput]]:
    """(indices, decoder input) of prompts with equally many point columns, at most 64 at a time."""
    rows = [prompt_row(p, spec, transform) for p in prompts]
    lengths = sorted({len(r.labels_N) for r in rows})
    for length in lengths:
        members = [i for i, r in enumerate(rows) if len(r.labels_N) == length]
        for start in range(0, len(members), MAX_BATCH):
            chosen = members[start : start + MAX_BATCH]
            yield chosen, stack([rows[i] for i in chosen], spec.low_res_size)


def stack(rows: Sequence[PromptRow], low_res_size: int) -> DecodeInput:
    masks = np.zeros((len(rows), 1, low_res_size, low_res_size), np.float32)
    has_mask = np.zeros(len(rows), np.float32)
    for p, row in enumerate(rows):
        if row.mask_mm is not None:
            masks[p, 0], has_mask[p] = row.mask_mm, 1
    return DecodeInput(np.stack([r.points_N2 for r in rows]), np.stack([r.labels_N for r in rows]), masks, has_mask)


def prompt_row(prompt: Prompt, spec: ModelSpec, transform: ResizeLongest) -> PromptRow:
    """Points, box corners and mask of one prompt, in the column order the family was trained with."""
    points = transform.to_model_points(prompt.points_xy) + np.float32(spec.pixel_offset)
    labels = prompt.labels.astype(np.float32)
    corners = np.zeros((0, 2), np.float32)
    if prompt.box_xyxy is not None:
        corners = transform.to_model_boxes(prompt.box_xyxy).reshape(2, 2) + np.float32(spec.pixel_offset)
    arrange = _lite_columns if spec.family == "lite" else _sam_columns
    xy, marks = arrange(points, labels, corners)
    return PromptRow(xy.astype(np.float32), marks.astype(np.float32), mask_logits(prompt.mask, spec, transform))


def _sam_columns(points: Floats, labels: Floats, corners: Floats) -> tuple[np.ndarray, np.ndarray]:
    """Points, then the corners of the box or, without a box, one padding point (published code)."""
    tail = corners if len(corners) else np.zeros((1, 2))
    marks = [BOX_FIRST, BOX_LAST] if len(corners) else [PAD]
    return np.concatenate([points, tail]), np.concatenate([labels, marks])


def _lite_columns(points: Floats, labels: Floats, corners: Floats) -> tuple[np.ndarray, np.ndarray]:
    """Two columns for a box and at least one for points, padding where there is none: the layout of training."""
    box, box_marks = (corners, [BOX_FIRST, BOX_LAST]) if len(corners) else (np.zeros((2, 2)), [PAD, PAD])
    own, own_marks = (points, labels) if len(points) else (np.zeros((1, 2)), np.array([PAD]))
    return np.concatenate([box, own]), np.concatenate([box_marks, own_marks])


def mask_logits(mask: np.ndarray | None, spec: ModelSpec, transform: ResizeLongest) -> Floats | None:
    """A mask prompt as low-resolution logits: earlier logits are clipped, a binary mask is resized into the frame."""
    if mask is None:
        return None
    if mask.dtype != np.bool_:
        return mask.clip(-LOGIT_LIMIT, LOGIT_LIMIT).astype(np.float32) if spec.family == "lite" else mask
    side = spec.low_res_size
    height, width = (max(1, round(s * side / spec.input_size)) for s in transform.size_hw_model)
    cover = np.full((side, side), -MASK_LOGIT, np.float32)
    cover[:height, :width] = (2 * _share_covered(mask, (height, width)) - 1) * MASK_LOGIT
    return cover


def _share_covered(mask_HW: np.ndarray, size_hw: tuple[int, int]) -> Floats:
    """How much of each cell of a `size_hw` grid the mask covers, 0..1."""
    from PIL import Image

    image = Image.fromarray(mask_HW.astype(np.uint8) * 255)
    resized = image.resize((size_hw[1], size_hw[0]), Image.Resampling.BOX)
    return np.asarray(resized, np.float32) / 255
