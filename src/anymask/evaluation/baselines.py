"""Baselines: methods without learning under the same protocol.

GrabCut (Rother et al. 2004): everything outside a box is background; the cut is made on the box and half a
side around it. Clicks are disks of known pixels. Probable foreground is the earlier answer, else the box,
else larger disks around positive clicks; where the cut leaves nothing, it is the answer. Legend: H W image
pixels, h w the pixels the cut is made on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anymask.errors import BadPrompt
from anymask.evaluation.extras import cv2
from anymask.evaluation.protocol import Box, Labels, Points, Predictor

LONG_SIDE, ROUNDS, SEED = 320, 5, 3  # at most 320 pixels for speed
CLICK_RADIUS, GUESS_RADIUS, BOX_MARGIN = 0.02, 0.25, 0.5  # of the sides of the cut, and of those of the box


@dataclass(frozen=True, slots=True, eq=False)
class SingleMask:
    """An answer of one mask without a score; it may be the `mask` of the next prompt."""

    array: np.ndarray

    @property
    def best(self) -> SingleMask:
        return self

    def __iter__(self) -> Iterator[SingleMask]:
        yield self


@dataclass(frozen=True, slots=True)
class Crop:
    """The part of an image a cut is made on: edges in whole image pixels, and its size in cut pixels."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def scale(self) -> float:
        return min(1.0, LONG_SIDE / max(self.x1 - self.x0, self.y1 - self.y0))

    @property
    def size_hw(self) -> tuple[int, int]:
        height, width = (round(side * self.scale) for side in (self.y1 - self.y0, self.x1 - self.x0))
        return max(1, height), max(1, width)

    def shrink(self, map_HW: np.ndarray) -> np.ndarray:
        """From an image-sized map to one of the cut."""
        part = map_HW[self.y0 : self.y1, self.x0 : self.x1]
        return np.asarray(cv2.resize(part, self.size_hw[::-1], interpolation=cv2.INTER_AREA))

    def paste(self, inside_hw: np.ndarray, size_HW: tuple[int, int]) -> np.ndarray:
        """A mask of the cut as a mask of the image."""
        part_wh = self.x1 - self.x0, self.y1 - self.y0
        part = cv2.resize(inside_hw.astype(np.float32), part_wh, interpolation=cv2.INTER_LINEAR)
        whole = np.zeros(size_HW, bool)
        whole[self.y0 : self.y1, self.x0 : self.x1] = np.asarray(part) > 0.5
        return whole

    def cell(self, x: float, y: float) -> tuple[int, int]:
        """The pixel of the cut, as x, y, under a point of the image."""
        return int((x - self.x0) * self.scale), int((y - self.y0) * self.scale)


class GrabCut:
    """GrabCut as a model: same interface, no weights."""

    name = "grabcut"

    def encode(self, source: np.ndarray, /) -> GrabCutImage:
        """`source`: uint8 H x W x 3, RGB."""
        return GrabCutImage(source)


@dataclass(frozen=True, slots=True, eq=False)
class GrabCutImage:
    pixels_HW3: np.ndarray

    def segment(
        self, *, points: Points = None, labels: Labels = None, box: Box = None, mask: Any = None
    ) -> SingleMask:
        """Raises BadPrompt without points and box, and for a mask that is not an earlier answer."""
        if not points and box is None:
            raise BadPrompt("grabcut: expected points or a box, got neither")
        if mask is not None and not isinstance(mask, SingleMask):
            raise BadPrompt(f"grabcut: expected an earlier answer as mask, got {type(mask).__name__}")
        height, width = self.pixels_HW3.shape[:2]
        crop = Crop(0, 0, width, height) if box is None else _around(box, width, height)
        clicks = list(zip(points or (), labels or [1] * len(points or ()), strict=True))
        trimap = _guess(crop, clicks, box, mask)
        _draw(trimap, crop, clicks, CLICK_RADIUS * max(crop.size_hw), {0: cv2.GC_BGD, 1: cv2.GC_FGD})
        return SingleMask(crop.paste(_cut(crop.shrink(self.pixels_HW3), trimap), (height, width)))


def _around(box_xyxy: Sequence[float], width: int, height: int) -> Crop:
    """The box and a margin, inside the image."""
    x0, y0, x1, y1 = box_xyxy
    dx, dy = BOX_MARGIN * (x1 - x0), BOX_MARGIN * (y1 - y0)
    left, top = max(0, int(x0 - dx)), max(0, int(y0 - dy))
    return Crop(left, top, min(width, int(x1 + dx) + 1), min(height, int(y1 + dy) + 1))


def _guess(crop: Crop, clicks: list[Any], box: Box, mask: Any) -> np.ndarray:
    """What is probably inside: the earlier answer, else the box, else disks around positive clicks."""
    trimap = np.full(crop.size_hw, cv2.GC_PR_BGD if box is None else cv2.GC_BGD, np.uint8)
    if mask is not None:
        trimap[crop.shrink(mask.array.astype(np.float32)) > 0.5] = cv2.GC_PR_FGD
    elif box is not None:
        (x0, y0), (x1, y1) = crop.cell(box[0], box[1]), crop.cell(box[2], box[3])
        trimap[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = cv2.GC_PR_FGD
    else:
        _draw(trimap, crop, clicks, GUESS_RADIUS * min(crop.size_hw), {1: cv2.GC_PR_FGD})
    return trimap


def _draw(
    trimap_hw: np.ndarray, crop: Crop, clicks: list[Any], radius: float, values: dict[int, int]
) -> None:
    """Disks around the clicks whose label has a value."""
    for (x, y), label in clicks:
        if label in values:
            cv2.circle(trimap_hw, crop.cell(x, y), max(1, round(radius)), values[label], cv2.FILLED)


def _cut(pixels_hw3: np.ndarray, trimap_hw: np.ndarray) -> np.ndarray:
    """The foreground GrabCut finds. The guess itself where one side is empty, before or after."""
    guess = np.isin(trimap_hw, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if guess.all() or not guess.any():
        return guess
    cv2.setRNGSeed(SEED)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(pixels_hw3, trimap_hw, (0, 0, 0, 0), *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    inside = np.isin(trimap_hw, (cv2.GC_FGD, cv2.GC_PR_FGD))
    return inside if inside.any() else guess


BASELINES: dict[str, type[Predictor]] = {"grabcut": GrabCut}
