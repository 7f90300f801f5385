"""Floors: what a method without any learning reaches under the same protocol.

GrabCut (Rother et al. 2004) fits two colour mixtures, one inside and one outside, and cuts the image between
them. A box says that everything outside it is background. Clicks are disks of known pixels; around a positive
click lies a larger disk that is probably inside. An earlier answer says what is probably inside. Answers are
single masks.
Legend: H W image pixels, h w the pixels the cut is made on (the long side is at most 320, for speed).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anymask.errors import BadPrompt
from anymask.evaluation.opencv import cv2
from anymask.evaluation.subject import Subject

LONG_SIDE = 320
ROUNDS = 5
SEED = 3
CLICK_RADIUS = 0.02
GUESS_RADIUS = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class HardMask:
    """A mask without a score."""

    array: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class SingleAnswer:
    """One mask, fit to be the `mask` of the next prompt. `cut_hw`: the same at the size of the cut."""

    best: HardMask
    cut_hw: np.ndarray

    def __iter__(self) -> Iterator[HardMask]:
        return iter((self.best,))


class GrabCut:
    """GrabCut as a model: same interface, no weights."""

    name = "grabcut"

    def encode(self, source: np.ndarray, /) -> GrabCutImage:
        """`source`: uint8 H x W x 3, RGB."""
        return GrabCutImage(source)


class GrabCutImage:
    def __init__(self, pixels_HW3: np.ndarray) -> None:
        self._size_HW = pixels_HW3.shape[:2]
        self._scale = min(1.0, LONG_SIDE / max(self._size_HW))
        size_wh = [max(1, round(side * self._scale)) for side in reversed(self._size_HW)]
        self._pixels_hw3 = np.asarray(cv2.resize(pixels_HW3, size_wh, interpolation=cv2.INTER_AREA))

    def segment(
        self,
        *,
        points: Sequence[tuple[float, float]] | None = None,
        labels: Sequence[int] | None = None,
        box: Sequence[float] | None = None,
        mask: Any = None,
    ) -> SingleAnswer:
        """Raises BadPrompt without points and box, and for a mask that is not an earlier answer."""
        if not points and box is None:
            raise BadPrompt("grabcut: expected points or a box, got neither")
        trimap = self._guess(points, labels, box, mask)
        self._fix_clicks(trimap, points, labels)
        return self._answer(self._cut(trimap))

    def _guess(self, points: Any, labels: Any, box: Any, mask: Any) -> np.ndarray:
        """What is probably inside: the earlier answer, else the box, else disks around positive clicks."""
        size_hw = self._pixels_hw3.shape[:2]
        trimap = np.full(size_hw, cv2.GC_PR_BGD if box is None else cv2.GC_BGD, np.uint8)
        if mask is not None:
            if not isinstance(mask, SingleAnswer):
                raise BadPrompt(f"grabcut: expected an earlier answer as mask, got {type(mask).__name__}")
            trimap[mask.cut_hw] = cv2.GC_PR_FGD
        elif box is not None:
            x0, y0, x1, y1 = (int(round(v * self._scale)) for v in box)
            trimap[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = cv2.GC_PR_FGD
        else:
            self._draw(trimap, points, labels, GUESS_RADIUS * min(size_hw), {1: cv2.GC_PR_FGD})
        return trimap

    def _fix_clicks(self, trimap_hw: np.ndarray, points: Any, labels: Any) -> None:
        if points:
            radius = CLICK_RADIUS * max(trimap_hw.shape)
            self._draw(trimap_hw, points, labels, radius, {0: cv2.GC_BGD, 1: cv2.GC_FGD})

    def _draw(
        self, trimap_hw: np.ndarray, points: Any, labels: Any, radius: float, values: dict[int, int]
    ) -> None:
        """Disks around the clicks whose label has a value."""
        for (x, y), label in zip(points, labels or [1] * len(points), strict=True):
            if label in values:
                centre = int(x * self._scale), int(y * self._scale)
                cv2.circle(trimap_hw, centre, max(1, round(radius)), values[label], cv2.FILLED)

    def _cut(self, trimap_hw: np.ndarray) -> np.ndarray:
        """The foreground GrabCut finds; the guess itself where one side has no pixels to learn from."""
        inside = _is_inside(trimap_hw)
        if inside.all() or not inside.any():
            return inside
        cv2.setRNGSeed(SEED)
        background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(
            self._pixels_hw3, trimap_hw, (0, 0, 0, 0), background, foreground, ROUNDS, cv2.GC_INIT_WITH_MASK
        )
        return _is_inside(trimap_hw)

    def _answer(self, cut_hw: np.ndarray) -> SingleAnswer:
        soft = cv2.resize(cut_hw.astype(np.float32), self._size_HW[::-1], interpolation=cv2.INTER_LINEAR)
        return SingleAnswer(HardMask(np.asarray(soft) > 0.5), cut_hw)


def _is_inside(trimap_hw: np.ndarray) -> np.ndarray:
    return np.isin(trimap_hw, (cv2.GC_FGD, cv2.GC_PR_FGD))


FLOORS: dict[str, type[Subject]] = {"grabcut": GrabCut}
