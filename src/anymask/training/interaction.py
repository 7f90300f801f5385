"""The simulated annotator: a first prompt drawn from the true mask, then clicks where the answer is wrong.

Works on masks at the mask stride, in NumPy; coordinates leave in model pixels. Knows nothing of networks
or losses.

Legend: P prompts, N points, m mask side.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

PAD, NEGATIVE, POSITIVE, TOP_LEFT, BOTTOM_RIGHT = -1, 0, 1, 2, 3
POINT, BOX, MASK = 0, 1, 2


@dataclass(frozen=True, slots=True)
class FirstPrompt:
    """How often a first prompt is a point or a box (the rest: a loose mask), and how far a box is off.

    `box_jitter`: uniform error of each coordinate relative to the side; `centre`: share of clicks put at
    the centre of the object or the error instead of anywhere in it; `mixed`: False draws one kind for the
    whole batch.
    """

    point: float = 0.5
    box: float = 0.45
    box_jitter: float = 0.1
    centre: float = 0.5
    mixed: bool = True


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts of P objects: `points_PN2` model pixels, `labels_PN`, `masks_P1mm` logits, `has_mask_P`."""

    points_PN2: np.ndarray
    labels_PN: np.ndarray
    masks_P1mm: np.ndarray
    has_mask_P: np.ndarray

    @property
    def ambiguous_P(self) -> np.ndarray:
        """True where one point is all there is: several masks may be meant."""
        return np.asarray(((self.labels_PN >= 0).sum(1) == 1) & (self.has_mask_P == 0))

    def with_clicks(self, points_P2: np.ndarray, labels_P: np.ndarray) -> Prompts:
        points = np.concatenate([self.points_PN2, points_P2[:, None]], 1)
        return Prompts(
            points, np.concatenate([self.labels_PN, labels_P[:, None]], 1), self.masks_P1mm, self.has_mask_P
        )

    def with_masks(self, logits_Pmm: np.ndarray, has_mask_P: np.ndarray) -> Prompts:
        return Prompts(self.points_PN2, self.labels_PN, logits_Pmm[:, None], has_mask_P.astype(np.float32))


def first_prompts(target_Pmm: np.ndarray, stride: int, how: FirstPrompt, rng: Generator) -> Prompts:
    """A point, a jittered box or a loose mask for every object.

    Columns of `labels_PN`: box corners, then one point; absent ones are padding, and a column that is all
    padding is left out.
    """
    count, side = len(target_Pmm), target_Pmm.shape[-1]
    kinds = _draw_kinds(count, how, rng)
    points = np.zeros((count, 3, 2), np.float32)
    labels = np.full((count, 3), PAD, np.int64)
    masks = np.zeros((count, 1, side, side), np.float32)
    for p, (target, kind) in enumerate(zip(target_Pmm, kinds, strict=True)):
        if kind == POINT:
            points[p, 2], labels[p, 2] = pick_cell(target, how.centre, rng) * stride, POSITIVE
        elif kind == BOX:
            points[p, :2] = jittered_box(target, how.box_jitter, rng).reshape(2, 2) * stride
            labels[p, :2] = TOP_LEFT, BOTTOM_RIGHT
        else:
            masks[p, 0] = loose_mask(target, rng)
    used = (labels != PAD).any(0)
    used[2] |= not used.any()
    return Prompts(points[:, used], labels[:, used], masks, (kinds == MASK).astype(np.float32))


def _draw_kinds(count: int, how: FirstPrompt, rng: Generator) -> np.ndarray:
    draws = rng.random(count if how.mixed else 1)
    kinds = np.where(draws < how.point, POINT, np.where(draws < how.point + how.box, BOX, MASK))
    return np.broadcast_to(kinds, count).copy()


def pick_cell(region_mm: np.ndarray, centre: float, rng: Generator) -> np.ndarray:
    """Centre (x, y), in cells, of a cell of a non-empty region: its innermost one, or any with chance 1 -
    `centre`.
    """
    if rng.random() < centre:
        distance = cv2.distanceTransform(np.pad(region_mm, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
        y, x = np.unravel_index(int(distance[1:-1, 1:-1].argmax()), region_mm.shape)
    else:
        cells = np.flatnonzero(region_mm)
        y, x = np.unravel_index(int(cells[rng.integers(len(cells))]), region_mm.shape)
    return np.array([x + 0.5, y + 0.5], np.float32)


def jittered_box(region_mm: np.ndarray, jitter: float, rng: Generator) -> np.ndarray:
    """Tight box x0, y0, x1, y1 in cells, every coordinate off by up to `jitter` of the side, inside the
    frame.
    """
    ys, xs = np.flatnonzero(region_mm.any(1)), np.flatnonzero(region_mm.any(0))
    box = np.array([xs[0], ys[0], xs[-1] + 1, ys[-1] + 1], np.float32)
    reach = jitter * np.tile(box[2:] - box[:2], 2)
    noisy = box + rng.uniform(-1, 1, 4) * reach * rng.random()
    return np.clip(noisy, 0, region_mm.shape[-1]).astype(np.float32)


def loose_mask(region_mm: np.ndarray, rng: Generator) -> np.ndarray:
    """Logits of a mask that is right in the large and wrong at its boundary: shrunk, grown or shifted
    by a few cells.
    """
    reach = max(1, int(0.15 * np.sqrt(region_mm.sum())))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * int(rng.integers(1, reach + 1)) + 1,) * 2)
    change = cv2.dilate if rng.random() < 0.5 else cv2.erode
    changed = np.asarray(change(region_mm.astype(np.uint8), kernel))
    shifted = np.roll(changed, tuple(rng.integers(-reach, reach + 1, 2)), (0, 1))
    return np.where(shifted > 0, 6.0, -6.0).astype(np.float32)


def correction_clicks(
    predicted_Pmm: np.ndarray, target_Pmm: np.ndarray, stride: int, centre: float, rng: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One click per object in its error region (positive where something is missing); padding when all is
    right.

    Returns points P x 2 in model pixels and labels P.
    """
    points, labels = np.zeros((len(target_Pmm), 2), np.float32), np.full(len(target_Pmm), PAD, np.int64)
    for p, (predicted, target) in enumerate(zip(predicted_Pmm, target_Pmm, strict=True)):
        missing, surplus = target & ~predicted, predicted & ~target
        if missing.any() or surplus.any():
            region = _larger_error(missing, surplus) if rng.random() < centre else missing | surplus
            cell = pick_cell(region, centre, rng)
            points[p] = cell * stride
            labels[p] = POSITIVE if target[int(cell[1]), int(cell[0])] else NEGATIVE
    return points, labels


def _larger_error(missing: np.ndarray, surplus: np.ndarray) -> np.ndarray:
    """The kind of error that reaches deeper, as a person would see first."""
    depth = [
        cv2.distanceTransform(np.pad(e, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5).max()
        for e in (missing, surplus)
    ]
    return missing if depth[0] > depth[1] else surplus
