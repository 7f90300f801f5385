"""Boxes and non-maximum suppression (NMS): by boxes, by the pixels of masks, by IoUs that are known.

Boxes are `x0, y0, x1, y1` edges. Legend: M boxes or masks, K bytes of a mask's bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def box_iou(boxes_xyxy_a: ArrayLike, boxes_xyxy_b: ArrayLike) -> NDArray[np.float64]:
    """(A, 4), (B, 4) -> (A, B) intersection over union; 0 where both boxes are empty."""
    a, b = (np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in (boxes_xyxy_a, boxes_xyxy_b))
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    intersection = sides.clip(0).prod(axis=2)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1) for boxes in (a, b))
    union = area_a[:, None] + area_b[None, :] - intersection
    iou: NDArray[np.float64] = np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
    return iou


def box_nms(
    boxes_xyxy: NDArray[np.float64], scores: NDArray[np.floating], threshold: float
) -> NDArray[np.intp]:
    """Indices that stay, best score first: a box goes when its IoU with a better one is above `threshold`.

    Of equal scores the first is the better one. Boxes without area stay.
    """
    order = np.argsort(-scores, kind="stable")
    boxes = boxes_xyxy[order]
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    alive = np.ones(len(order), np.bool_)
    for i in range(len(order)):
        if not alive[i]:
            continue
        rest = boxes[i + 1 :]
        sides = np.minimum(boxes[i, 2:], rest[:, 2:]) - np.maximum(boxes[i, :2], rest[:, :2])
        shared = sides.clip(0).prod(axis=1)
        alive[i + 1 :] &= ~(shared > threshold * (areas[i] + areas[i + 1 :] - shared))
    return order[alive]


def mask_nms(bits_MK: NDArray[np.uint8], scores: NDArray[np.floating], threshold: float) -> NDArray[np.intp]:
    """As `box_nms`, by the IoU of the masks themselves: packed bits (`numpy.packbits`), one row per mask."""
    order = np.argsort(-scores, kind="stable")
    words = _words(bits_MK[order])
    areas = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
    alive = np.ones(len(order), np.bool_)
    for i in range(len(order)):
        if not alive[i]:
            continue
        rest = np.flatnonzero(alive[i + 1 :]) + i + 1
        shared = np.bitwise_count(words[rest] & words[i]).sum(axis=1, dtype=np.int64)
        alive[rest[shared > threshold * (areas[i] + areas[rest] - shared)]] = False
    return order[alive]


def matrix_nms(
    iou_MM: NDArray[np.float64], scores: NDArray[np.floating], threshold: float
) -> NDArray[np.intp]:
    """As `box_nms`, by IoUs that are known."""
    order = np.argsort(-scores, kind="stable")
    alive = np.ones(len(order), np.bool_)
    for i in order:
        if alive[i]:
            alive &= iou_MM[i] <= threshold
            alive[i] = True
    return order[alive[order]]


def _words(bits_MK: NDArray[np.uint8]) -> NDArray[np.uint64]:
    padding = -bits_MK.shape[1] % 8
    return np.pad(bits_MK, ((0, 0), (0, padding))).view(np.uint64)
