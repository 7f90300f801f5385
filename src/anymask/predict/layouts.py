"""Prompt layouts: prompts to the arrays a decoder takes, grouped so that unequal ones share a call.

Each family of networks has its own order of point and box columns. Prompts are grouped by their number of
columns and never padded to a common length: padding points take part in attention, so a padded prompt would
be answered differently in company than alone.

Legend: P prompts, N point columns, K box corners, m side of the low-resolution masks, H W image pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from anymask.backends.base import DecodeInput
from anymask.core.frames import ResizeLongest
from anymask.core.prompt import ImageMask, MaskPrompt, Prompt
from anymask.core.resample import Floats, SizeHW
from anymask.core.spec import ModelSpec

PADDING, BOX_FIRST, BOX_LAST = -1, 2, 3  # labels of columns that are no points
MASK_LOGIT = 6.0  # certainty of a binary mask, as in training


class Layout(Protocol):
    """How a family of networks takes a prompt. `logit_limit`: of mask prompts, as in its training."""

    logit_limit: float

    def column_count(self, prompt: Prompt) -> int: ...

    def columns(self, points_N2: Floats, labels_N: Floats, corners_K2: Floats) -> tuple[Floats, Floats]:
        """Coordinates and labels of the columns; K is 2 with a box and 0 without."""
        ...


class SamLayout:
    """The published layout: points, then the corners of the box or, without a box, one padding point."""

    logit_limit = np.inf

    def column_count(self, prompt: Prompt) -> int:
        return len(prompt.points_xy) + (1 if prompt.box_xyxy is None else 2)

    def columns(self, points_N2: Floats, labels_N: Floats, corners_K2: Floats) -> tuple[Floats, Floats]:
        marks = [BOX_FIRST, BOX_LAST] if len(corners_K2) else [PADDING]
        tail = corners_K2 if len(corners_K2) else np.zeros((1, 2), np.float32)
        return np.concatenate([points_N2, tail]), np.concatenate([labels_N, np.array(marks, np.float32)])


class LiteLayout:
    """Two columns for the box, then at least one for points; padding where there is none."""

    logit_limit = 32.0

    def column_count(self, prompt: Prompt) -> int:
        return 2 + max(len(prompt.points_xy), 1)

    def columns(self, points_N2: Floats, labels_N: Floats, corners_K2: Floats) -> tuple[Floats, Floats]:
        marks = [BOX_FIRST, BOX_LAST] if len(corners_K2) else [PADDING, PADDING]
        head = corners_K2 if len(corners_K2) else np.zeros((2, 2), np.float32)
        if not len(points_N2):
            points_N2, labels_N = np.zeros((1, 2), np.float32), np.array([PADDING], np.float32)
        return np.concatenate([head, points_N2]), np.concatenate([np.array(marks, np.float32), labels_N])


LAYOUTS: Mapping[str, Layout] = {"sam": SamLayout(), "mobile_sam": SamLayout(), "lite": LiteLayout()}


@dataclass(frozen=True, slots=True, eq=False)
class PromptRow:
    """One prompt in the model frame."""

    points_N2: Floats
    labels_N: Floats
    mask_mm: Floats | None


def batches(
    prompts: Sequence[Prompt], spec: ModelSpec, frame: ResizeLongest, batch_size: int
) -> Iterator[tuple[list[int], DecodeInput]]:
    """Indices and decoder input of up to `batch_size` prompts with equally many columns at a time."""
    members: dict[int, list[int]] = {}
    for index, prompt in enumerate(prompts):
        members.setdefault(LAYOUTS[spec.family].column_count(prompt), []).append(index)
    for indices in members.values():
        for start in range(0, len(indices), batch_size):
            chosen = indices[start : start + batch_size]
            yield chosen, stack([prompt_row(prompts[i], spec, frame) for i in chosen], spec.low_res_size)


def stack(rows: Sequence[PromptRow], low_res_size: int) -> DecodeInput:
    """Rows with equally many columns as one decoder input; masks are zeros where there is none."""
    masks = np.zeros((len(rows), 1, low_res_size, low_res_size), np.float32)
    has_mask = np.zeros(len(rows), np.float32)
    for p, row in enumerate(rows):
        if row.mask_mm is not None:
            masks[p, 0], has_mask[p] = row.mask_mm, 1
    points, labels = np.stack([r.points_N2 for r in rows]), np.stack([r.labels_N for r in rows])
    return DecodeInput(points, labels, masks, has_mask)


def prompt_row(prompt: Prompt, spec: ModelSpec, frame: ResizeLongest) -> PromptRow:
    """Points, box corners and mask of one prompt, in the columns its family was trained with."""
    layout, offset = LAYOUTS[spec.family], np.float32(spec.pixel_offset)
    points = frame.to_model_points(prompt.points_xy) + offset
    corners = np.zeros((0, 2), np.float32)
    if prompt.box_xyxy is not None:
        corners = frame.to_model_boxes(prompt.box_xyxy).reshape(2, 2) + offset
    xy, marks = layout.columns(points, prompt.labels.astype(np.float32), corners)
    mask = None if prompt.mask is None else mask_logits(prompt.mask, spec, frame)
    return PromptRow(xy, marks, mask)


def mask_logits(mask: MaskPrompt, spec: ModelSpec, frame: ResizeLongest) -> Floats:
    """A mask prompt as low-resolution logits of the padded model frame, m x m.

    A binary mask of the image is resized, its edge cells get the fraction that is covered. Logits of an
    earlier answer stay as they are, but for the limit of the family.
    """
    if not isinstance(mask, ImageMask):
        limit = LAYOUTS[spec.family].logit_limit
        return mask.logits_hw.clip(-limit, limit).astype(np.float32)
    side = spec.low_res_size
    height, width = (max(1, round(s * side / spec.input_size)) for s in frame.size_hw_model)
    logits = np.full((side, side), -MASK_LOGIT, np.float32)
    logits[:height, :width] = (2 * covered_fraction(mask.inside_HW, (height, width)) - 1) * MASK_LOGIT
    return logits


def covered_fraction(mask_HW: np.ndarray, size_hw: SizeHW) -> Floats:
    """How much of each cell of a `size_hw` grid the mask covers, 0..1."""
    from PIL import Image

    image = Image.fromarray(mask_HW.view(np.uint8) * np.uint8(255))
    resized = image.resize((size_hw[1], size_hw[0]), Image.Resampling.BOX)
    return np.asarray(resized, np.float32) / np.float32(255)
