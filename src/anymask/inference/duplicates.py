"""Duplicates: of several masks of the same thing one stays, compared by boxes or by pixels.

Legend: M masks, K bytes of a mask's bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anymask.core.automatic_mask import AutomaticMask
from anymask.core.boxes import box_nms, mask_nms, matrix_nms
from anymask.core.mask import iou_matrix
from anymask.inference.account import Account
from anymask.inference.automatic_settings import AutomaticSettings
from anymask.inference.filters import Proposal


class Duplicates:
    """Counts what it drops."""

    def __init__(self, settings: AutomaticSettings, account: Account) -> None:
        self._settings, self._account = settings, account

    def distinct(self, proposals: Sequence[Proposal], side: int) -> NDArray[np.intp]:
        """Which stay, best first. `side`: of their low-resolution masks. Counts nothing."""
        if not proposals:
            return np.zeros(0, np.intp)
        scores = np.array([p.iou for p in proposals])
        if self._settings.duplicates == "box":
            boxes = np.array([p.box_xyxy for p in proposals])
            return box_nms(boxes, scores, self._settings.box_nms_thresh)
        bits_MK = np.stack([p.bits(side) for p in proposals])
        return mask_nms(bits_MK, scores, self._settings.box_nms_thresh)

    def without(self, proposals: Sequence[Proposal], side: int) -> list[Proposal]:
        """Those that stay, best first."""
        with self._account.timing("rest"):
            kept = self.distinct(proposals, side)
            self._account.rejected["duplicate"] += len(proposals) - len(kept)
            return [proposals[i] for i in kept]

    def across_crops(self, found: list[AutomaticMask]) -> list[AutomaticMask]:
        """Masks of smaller crops win."""
        if len({m.crop_box_xyxy for m in found}) < 2:
            return found
        crops = np.array([m.crop_box_xyxy for m in found], np.float64)
        scores = 1 / (crops[:, 2:] - crops[:, :2]).prod(axis=1)
        return self.best(found, scores, self._settings.crop_nms_thresh)

    def best(
        self, found: list[AutomaticMask], scores: NDArray[np.float64], threshold: float
    ) -> list[AutomaticMask]:
        """Of those with a larger IoU than the threshold the one with the best score; best first."""
        if not found:
            return found
        if self._settings.duplicates == "box":
            boxes = np.array([m.mask.box_xyxy for m in found], np.float64) - np.array([0, 0, 1, 1])
            kept = box_nms(boxes, scores, threshold)
        else:
            masks = [m.mask for m in found]
            kept = matrix_nms(iou_matrix(masks, masks), scores, threshold)
        self._account.rejected["duplicate"] += len(found) - len(kept)
        return [found[i] for i in kept]
