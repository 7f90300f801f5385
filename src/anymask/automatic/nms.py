"""Near-duplicates: non-maximum suppression of proposals and masks, by their boxes or by their pixels.

Legend: M masks, K bytes of a mask's bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anymask.automatic.config import Duplicates
from anymask.automatic.filters import Proposal
from anymask.core.boxes import box_nms, mask_nms, matrix_nms
from anymask.core.mask import Mask, iou_matrix

Indices = NDArray[np.intp]
Scores = NDArray[np.float64]


def nms_of_proposals(proposals: Sequence[Proposal], side: int, by: Duplicates, threshold: float) -> Indices:
    """Which of the proposals of one crop stay, best predicted IoU first. `side`: of their logits."""
    if not proposals:
        return np.zeros(0, np.intp)
    scores = np.array([p.iou for p in proposals])
    if by == "box":
        return box_nms(np.array([p.box_xyxy for p in proposals]), scores, threshold)
    return mask_nms(np.stack([p.bits(side) for p in proposals]), scores, threshold)


def nms_of_masks(masks: Sequence[Mask], scores: Scores, by: Duplicates, threshold: float) -> Indices:
    """Which masks stay, best score first; a mask goes when its IoU with a better one is above `threshold`."""
    if not masks:
        return np.zeros(0, np.intp)
    if by == "box":
        boxes = np.array([m.box_xyxy for m in masks], np.float64) - np.array([0, 0, 1, 1])
        return box_nms(boxes, scores, threshold)
    return matrix_nms(iou_matrix(masks, masks), scores, threshold)
