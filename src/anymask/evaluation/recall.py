"""Average recall of a ranked list of masks: recall at ten IoU thresholds, as COCO counts it.

At each threshold the masks choose in the order of their rank: each takes the free target it fits best, if it
fits any well enough (of equal fits the last). A target found at rank r counts for every list that is longer
than r. Knows masks and numbers; knows no model and no records.
Legend: D masks in the order of their rank, G targets, T thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anymask.core.mask import Mask, iou_matrix

THRESHOLDS = np.linspace(0.5, 0.95, 10)
NOT_FOUND = np.iinfo(np.int64).max

Ious = NDArray[np.float64]
Ranks = NDArray[np.int64]


def fitting_ious(masks: Sequence[Mask], targets: Sequence[Mask]) -> Ious:
    """(D, G) intersection over union; 0 for pairs whose areas and boxes rule out even the lowest threshold.

    All others are exact. Most pairs are ruled out, which is what makes a thousand masks quick to score.
    """
    ious = np.zeros((len(masks), len(targets)))
    possible = _bounds(masks, targets) >= THRESHOLDS[0]
    for column, target in enumerate(targets):
        rows = np.flatnonzero(possible[:, column])
        ious[rows, column] = iou_matrix([masks[int(row)] for row in rows], [target])[:, 0]
    return ious


def _bounds(masks: Sequence[Mask], targets: Sequence[Mask]) -> Ious:
    """(D, G): no IoU is larger. The intersection fits into either mask and into the overlap of the boxes."""
    (boxes_D, area_D), (boxes_G, area_G) = (_boxes_and_areas(ms) for ms in (masks, targets))
    sides = np.minimum(boxes_D[:, None, 2:], boxes_G[None, :, 2:])
    sides = sides - np.maximum(boxes_D[:, None, :2], boxes_G[None, :, :2])
    areas = area_D[:, None] + area_G[None, :]
    most = np.minimum(sides.clip(0).prod(axis=2), np.minimum(area_D[:, None], area_G[None, :]))
    bounds: Ious = most / np.maximum(areas - most, 1)
    return bounds


def _boxes_and_areas(masks: Sequence[Mask]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    boxes = np.array([m.box_xyxy for m in masks], np.int64).reshape(-1, 4)
    return boxes, np.array([m.area for m in masks], np.int64)


def ranks_of_finds(ious: Ious) -> Ranks:
    """(D, G) IoUs -> (T, G): the rank, from 0, of the mask that takes each target, or `NOT_FOUND`."""
    count = ious.shape[1]
    ranks_TG = np.full((len(THRESHOLDS), count), NOT_FOUND)
    for rank in np.flatnonzero((ious >= THRESHOLDS[0]).any(axis=1)):
        free_TG = (ranks_TG == NOT_FOUND) & (ious[rank] >= THRESHOLDS[:, None])
        fits_TG = np.where(free_TG, ious[rank], -1.0)
        best_T = count - 1 - fits_TG[:, ::-1].argmax(axis=1)
        takes_T = free_TG.any(axis=1)
        ranks_TG[takes_T, best_T[takes_T]] = rank
    return ranks_TG


def recall_per_target(ranks: Ranks, length: int) -> NDArray[np.float64]:
    """(T, G) -> (G,): at which share of the thresholds the first `length` masks find each target.

    The mean over all targets is the average recall AR@length.
    """
    shares: NDArray[np.float64] = (ranks < length).mean(axis=0)
    return shares
