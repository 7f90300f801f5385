"""Filters: which answers to the points of a grid are kept, and the little that is remembered of each.

Legend: M masks, m side of the low-resolution masks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anymask.automatic.points import Crop, touches_inner_edge
from anymask.core.frames import ResizeLongest
from anymask.core.resample import Floats, SizeHW
from anymask.inference.automatic_settings import AutomaticSettings
from anymask.inference.scoring import (
    MARGIN_CELLS,
    MOST_NEGATIVE,
    Box,
    Cells,
    ImageScorer,
    LowResScorer,
    tight_cells,
)


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """An answer that passed the filters. `logits`: half precision, of `cells`; below 0 everywhere else."""

    iou: float
    stability: float
    box_xyxy: Box  # in pixels of the crop, last row and column inclusive
    point_xy: tuple[float, float]  # in pixels of the crop
    cells: Cells
    logits: NDArray[np.float16]

    def low_res(self, side: int) -> Floats:
        full_mm = np.full((side, side), MOST_NEGATIVE, np.float32)
        full_mm[self.cells.slices] = self.logits
        return full_mm

    def bits(self, side: int) -> NDArray[np.uint8]:
        inside = np.zeros((side, side), np.bool_)
        inside[self.cells.slices] = self.logits > 0
        return np.packbits(inside)


class Judge:
    """The filters, in the published order. Counts what it drops."""

    def __init__(
        self,
        settings: AutomaticSettings,
        transform: ResizeLongest,
        side: int,
        crop: Crop,
        size_hw: SizeHW,
        rejected: Counter[str],
    ) -> None:
        scorers = {"image": ImageScorer, "low_res": LowResScorer}
        self._settings, self._crop, self._size_hw, self._rejected = settings, crop, size_hw, rejected
        self._scorer = scorers[settings.scoring](transform, side, settings.stability_score_offset)
        self._most_cells = self._area_limit()

    def _area_limit(self) -> float:
        if self._settings.max_area_share >= 1:
            return float("inf")
        (x0, y0, x1, y1), (height, width) = self._crop, self._size_hw
        share_of_crop = self._settings.max_area_share * height * width / ((x1 - x0) * (y1 - y0))
        rows, columns = self._scorer.extent_hw
        return share_of_crop * rows * columns

    def passed(self, low_res_Mmm: Floats, iou_M: Floats, point_xy: tuple[float, float]) -> Iterator[Proposal]:
        for low_res_mm, iou in zip(low_res_Mmm, iou_M.tolist(), strict=True):
            reason, proposal = self._judged(low_res_mm, iou, point_xy)
            if proposal is None:
                self._rejected[reason] += 1
            else:
                yield proposal

    def _judged(
        self, low_res_mm: Floats, iou: float, point_xy: tuple[float, float]
    ) -> tuple[str, Proposal | None]:
        at_least = self._settings.stability_score_thresh
        if not iou > self._settings.pred_iou_thresh:
            return "predicted_iou", None
        stability = self._scorer.stability(low_res_mm, at_least)
        if stability < at_least:
            return "stability", None
        rows, columns = self._scorer.extent_hw
        inside_hw = low_res_mm[:rows, :columns] > 0
        if np.count_nonzero(inside_hw) >= self._most_cells:
            return "too_large", None
        box = self._scorer.box_xyxy(low_res_mm)
        if box is None:
            return "empty", None
        if touches_inner_edge(np.array([box]), self._crop, self._size_hw)[0]:
            return "crop_edge", None
        return "", _proposal(low_res_mm, iou, stability, box, point_xy, self._settings.stability_score_offset)


def _proposal(
    low_res_mm: Floats, iou: float, stability: float, box: Box, point_xy: tuple[float, float], offset: float
) -> Proposal:
    """Keeps the cells that the mask and its stability depend on."""
    tight = tight_cells(low_res_mm > -offset) or Cells(0, 0, 1, 1)
    cells = tight.grown(MARGIN_CELLS + 1, (len(low_res_mm), len(low_res_mm)))
    return Proposal(iou, stability, box, point_xy, cells, low_res_mm[cells.slices].astype(np.float16))
