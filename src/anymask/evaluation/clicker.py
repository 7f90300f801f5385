"""The click simulator: where the next corrective click goes, by the rule of RITM (Sofiiuk et al. 2021).

Among the pixels that are wrong, the click goes to the one deepest inside its kind of error. The rule,
exactly: missing = ground truth and not predicted (false negatives), surplus = predicted and not ground truth
(false positives), both without the pixels that are not scored; each is padded with one pixel of zeros (so the
photo's edge counts as a boundary) and gets an exact Euclidean distance transform; pixels clicked before count
as depth 0. The click is positive only if the deepest missing pixel is deeper than the deepest surplus one (a
tie is negative), and lies on the first pixel in raster order of that depth.

Knows arrays only: no models, files or prompts. Legend: H W image pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from anymask.evaluation.extras import cv2


@dataclass(frozen=True, slots=True)
class Click:
    """A click on pixel column `x`, row `y`; positive says "this belongs", negative "this does not"."""

    x: int
    y: int
    positive: bool

    @property
    def point_xy(self) -> tuple[float, float]:
        """The centre of the pixel, in image coordinates."""
        return (self.x + 0.5, self.y + 0.5)

    @property
    def label(self) -> int:
        return int(self.positive)


def next_click(
    ground_truth_HW: np.ndarray,
    predicted_HW: np.ndarray,
    scored_HW: np.ndarray,
    earlier: Sequence[Click] = (),
) -> Click | None:
    """The next click on a prediction, or None where no unclicked pixel is wrong.

    All maps are bool H x W; `scored_HW` is False on the pixels to leave out. For the first click
    `predicted_HW` is empty, which puts the click on the centre-most pixel of the ground truth.
    """
    missing = _deepest(ground_truth_HW & ~predicted_HW & scored_HW, earlier)
    surplus = _deepest(predicted_HW & ~ground_truth_HW & scored_HW, earlier)
    positive = missing[0] > surplus[0]
    depth, x, y = missing if positive else surplus
    return Click(x, y, positive) if depth else None


def random_click(ground_truth_HW: np.ndarray, rng: np.random.Generator) -> Click:
    """A positive click on any pixel of a ground truth that is not empty, all with the same chance."""
    inside = np.flatnonzero(ground_truth_HW)
    y, x = np.unravel_index(int(inside[rng.integers(len(inside))]), ground_truth_HW.shape)
    return Click(int(x), int(y), positive=True)


def _deepest(region_HW: np.ndarray, earlier: Iterable[Click]) -> tuple[float, int, int]:
    """Largest distance to the outside, and x and y of the first pixel in raster order that has it.

    Only the bounding box is transformed, with its ring of zeros: no pixel outside is nearer than the ring.
    """
    rows, columns = np.flatnonzero(region_HW.any(1)), np.flatnonzero(region_HW.any(0))
    if not len(rows):
        return 0.0, 0, 0
    top, left = int(rows[0]), int(columns[0])
    depth_hw = _distance(region_HW[top : rows[-1] + 1, left : columns[-1] + 1])
    for click in earlier:
        y, x = click.y - top, click.x - left
        if 0 <= y < depth_hw.shape[0] and 0 <= x < depth_hw.shape[1]:
            depth_hw[y, x] = 0
    y, x = divmod(int(depth_hw.argmax()), depth_hw.shape[1])
    return float(depth_hw[y, x]), left + x, top + y


def _distance(region_hw: np.ndarray) -> np.ndarray:
    """Exact Euclidean distance of every pixel centre to the nearest one outside the region; float32."""
    padded = np.pad(region_hw.astype(np.uint8), 1)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))[1:-1, 1:-1]
