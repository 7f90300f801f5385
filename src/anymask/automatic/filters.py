"""MaskFilter: which answers to prompts become proposals; and the little that is remembered of each.

Legend: M masks, m side of the low-resolution masks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from anymask.automatic.config import AutomaticSettings
from anymask.automatic.points import Crop, touches_inner_edge
from anymask.automatic.stability import (
    MARGIN,
    MOST_NEGATIVE,
    Box,
    ImageScorer,
    LowResBox,
    LowResScorer,
    mask_bbox,
)
from anymask.core.frames import ResizeLongest
from anymask.core.resample import Floats, SizeHW


@dataclass(frozen=True, slots=True)
class PromptPoint:
    """What was asked. `point_xy`: the point, or the middle of the box, in pixels of the crop. `box_score`:
    of the detected box, 0..1; None for a point.
    """

    point_xy: tuple[float, float]
    box_score: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """An answer that passed the filters. `logits`: half precision, of `low_res_box`; below 0 elsewhere."""

    iou: float
    stability: float
    box_xyxy: Box  # in pixels of the crop, last row and column inclusive
    prompt: PromptPoint
    low_res_box: LowResBox
    logits: NDArray[np.float16]

    def low_res(self, side: int) -> Floats:
        """side x side logits."""
        full_mm = np.full((side, side), MOST_NEGATIVE, np.float32)
        full_mm[self.low_res_box.slices] = self.logits
        return full_mm

    def bits(self, side: int) -> NDArray[np.uint8]:
        """The mask at low resolution, eight pixels a byte."""
        inside = np.zeros((side, side), np.bool_)
        inside[self.low_res_box.slices] = self.logits > 0
        return np.packbits(inside)


class MaskFilter:
    """Predicted IoU, stability, area and crop edge, in the published order. Counts what it drops."""

    def __init__(
        self,
        settings: AutomaticSettings,
        frame: ResizeLongest,
        side: int,
        crop: Crop,
        size_hw: SizeHW,
        region: Crop,
        filtered_by: Counter[str],
    ) -> None:
        """`crop`: of an image of `size_hw`, which `frame` fits into the model's frame. `region`: what is
        searched of the image.
        """
        scorers = {"image": ImageScorer, "low_res": LowResScorer}
        self._settings, self._crop, self._size_hw, self._filtered_by = settings, crop, size_hw, filtered_by
        self._scorer = scorers[settings.scoring](frame, side, settings.stability_score_offset)
        self._max_cells = self._area_limit(region)

    def _area_limit(self, region: Crop) -> float:
        if self._settings.max_area_fraction >= 1:
            return float("inf")
        (x0, y0, x1, y1), (left, top, right, bottom) = self._crop, region
        area = (right - left) * (bottom - top)
        fraction_of_crop = self._settings.max_area_fraction * area / ((x1 - x0) * (y1 - y0))
        rows, columns = self._scorer.extent_hw
        return fraction_of_crop * rows * columns

    def passed(self, low_res_Mmm: Floats, iou_M: Floats, prompt: PromptPoint) -> Iterator[Proposal]:
        """Of the masks that answer one prompt those that no filter drops."""
        for low_res_mm, iou in zip(low_res_Mmm, iou_M.tolist(), strict=True):
            filtered_by, proposal = self._filtered(low_res_mm, iou, prompt)
            if proposal is None:
                self._filtered_by[filtered_by] += 1
            else:
                yield proposal

    def _filtered(self, low_res_mm: Floats, iou: float, prompt: PromptPoint) -> tuple[str, Proposal | None]:
        at_least = self._settings.stability_score_thresh
        if not iou > self._settings.pred_iou_thresh:
            return "predicted_iou", None
        stability = self._scorer.stability(low_res_mm, at_least)
        if stability < at_least:
            return "stability", None
        rows, columns = self._scorer.extent_hw
        if np.count_nonzero(low_res_mm[:rows, :columns] > 0) >= self._max_cells:
            return "too_large", None
        box = self._scorer.box_xyxy(low_res_mm)
        if box is None:
            return "empty", None
        if touches_inner_edge(np.array([box]), self._crop, self._size_hw, self._settings.crop_edge_px)[0]:
            return "crop_edge", None
        offset = self._settings.stability_score_offset
        return "", _proposal(low_res_mm, iou, stability, box, prompt, offset)


def _proposal(
    low_res_mm: Floats, iou: float, stability: float, box: Box, prompt: PromptPoint, offset: float
) -> Proposal:
    logits, kept = _kept_logits(low_res_mm, offset)
    return Proposal(iou, stability, box, prompt, kept, logits)


def with_logits(proposal: Proposal, low_res_mm: Floats) -> Proposal:
    """The proposal drawn again."""
    logits, kept = _kept_logits(low_res_mm, 0.0)
    return replace(proposal, logits=logits, low_res_box=kept)


def _kept_logits(low_res_mm: Floats, offset: float) -> tuple[NDArray[np.float16], LowResBox]:
    """Those that the mask and its stability depend on."""
    tight = mask_bbox(low_res_mm > -offset) or LowResBox(0, 0, 1, 1)
    kept = tight.grown(MARGIN + 1, (len(low_res_mm), len(low_res_mm)))
    return low_res_mm[kept.slices].astype(np.float16), kept
