"""Stability score and bounding box of a mask before it exists, from low-resolution logits.

Two ways with the same answers up to a pixel of the low resolution: on the logits as they come, or on the
logits as they would be at the size of the image, of which only the parts that decide are worked out.

Legend: m side of the low-resolution square, h w its part that shows the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anymask.core.frames import ResizeLongest
from anymask.core.resample import Floats, SizeHW

Box = tuple[float, float, float, float]
MARGIN = 2  # two steps of bilinear upscaling look this far
STRIP_VALUES = 1 << 20  # upscaled at a time where a window is large
MOST_NEGATIVE = -32.0


@dataclass(frozen=True, slots=True)
class LowResBox:
    """A box of the low-resolution square: rows y0..y1, columns x0..x1, ends exclusive."""

    y0: int
    x0: int
    y1: int
    x1: int

    def grown(self, by: int, within_hw: SizeHW) -> LowResBox:
        height, width = within_hw
        return LowResBox(
            max(0, self.y0 - by), max(0, self.x0 - by), min(height, self.y1 + by), min(width, self.x1 + by)
        )

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


def mask_bbox(inside_hw: np.ndarray) -> LowResBox | None:
    """Bounding box of what is true; None where nothing is."""
    rows = np.flatnonzero(inside_hw.any(axis=1))
    if not len(rows):
        return None
    y0, y1 = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(inside_hw[y0:y1].any(axis=0))
    return LowResBox(y0, int(columns[0]), y1, int(columns[-1]) + 1)


class LowResScorer:
    """On the logits as they come."""

    def __init__(self, frame: ResizeLongest, low_res_size: int, offset: float) -> None:
        self.frame, self.offset = frame, offset
        self.extent_hw = frame.low_res_extent(low_res_size)
        self._stride = frame.input_size / low_res_size

    def stability(self, low_res_mm: Floats, at_least: float) -> float:
        """0..1: area above plus the offset over area above minus the offset (paper, section 5)."""
        inner, outer = self._areas(low_res_mm)
        return inner / outer if outer else 0.0

    def _areas(self, low_res_mm: Floats) -> list[int]:
        height, width = self.extent_hw
        shown_hw = low_res_mm[:height, :width]
        return [int(np.count_nonzero(shown_hw > t)) for t in (self.offset, -self.offset)]

    def box_xyxy(self, low_res_mm: Floats) -> Box | None:
        """In pixels of the crop, last row and column inclusive as published; None for an empty mask."""
        height, width = self.extent_hw
        cells = mask_bbox(low_res_mm[:height, :width] > 0)
        if cells is None:
            return None
        corners = np.array([cells.x0, cells.y0, cells.x1, cells.y1]) * self._stride
        image_height, image_width = self.frame.size_hw_image
        x0, y0, x1, y1 = self.frame.to_image_boxes(corners).astype(np.float64)
        return float(x0), float(y0), float(min(x1, image_width) - 1), float(min(y1, image_height) - 1)


class ImageScorer(LowResScorer):
    """As if the logits had been upscaled to the image: what the published generator works out.

    A first look at low resolution settles the clear cases; `stability` is exact where it is close to
    `at_least`, and `exact_stability` always.
    """

    def stability(self, low_res_mm: Floats, at_least: float) -> float:
        inner, outer = self._areas(low_res_mm)
        if not outer:
            return self.exact_stability(low_res_mm)
        estimate = inner / outer
        guard = 0.01 + (3 * outer**0.25 + 3) / outer
        return estimate if abs(estimate - at_least) > guard else self.exact_stability(low_res_mm)

    def exact_stability(self, low_res_mm: Floats) -> float:
        window = self._window(low_res_mm, -self.offset)
        if window is None:
            return 0.0
        inner = outer = 0
        for strip in strips(window):
            logits = self.frame.to_image_window(low_res_mm, *strip)
            inner += int(np.count_nonzero(logits > self.offset))
            outer += int(np.count_nonzero(logits > -self.offset))
        return inner / outer if outer else 0.0

    def box_xyxy(self, low_res_mm: Floats) -> Box | None:
        """Only the bands in which an edge of the box must lie are upscaled."""
        window = self._window(low_res_mm, 0.0)
        if window is None:
            return None
        y0, y1 = self._edge(low_res_mm, window, 0), self._edge(low_res_mm, window, 0, last=True)
        x0, x1 = self._edge(low_res_mm, window, 1), self._edge(low_res_mm, window, 1, last=True)
        return None if min(y0, y1, x0, x1) < 0 else (float(x0), float(y0), float(x1), float(y1))

    def _edge(self, low_res_mm: Floats, window: LowResBox, axis: int, last: bool = False) -> int:
        """First or last row (axis 0) or column (axis 1) of the image with a pixel inside; -1 without one."""
        start, stop = ((window.y0, window.y1), (window.x0, window.x1))[axis]
        across = slice(window.x0, window.x1) if axis == 0 else slice(window.y0, window.y1)
        cell = self.frame.size_hw_image[axis] / max(1, self.extent_hw[axis])
        step = max(1, int(np.ceil((MARGIN + 2) * cell)))
        for moved in range(0, stop - start, step):
            if last:
                along = slice(max(start, stop - moved - step), stop - moved)
            else:
                along = slice(start + moved, min(stop, start + moved + step))
            strip = (along, across) if axis == 0 else (across, along)
            hits = np.flatnonzero((self.frame.to_image_window(low_res_mm, *strip) > 0).any(axis=1 - axis))
            if len(hits):
                return int(along.start + (hits[-1] if last else hits[0]))
        return -1

    def _window(self, low_res_mm: Floats, above: float) -> LowResBox | None:
        """The part of the image outside of which no logit is above `above`."""
        height, width = (min(side + MARGIN, len(low_res_mm)) for side in self.extent_hw)
        cells = mask_bbox(low_res_mm[:height, :width] > above)
        if cells is None:
            return None
        return image_window(self.frame, len(low_res_mm), cells)


def image_window(frame: ResizeLongest, low_res_size: int, cells: LowResBox) -> LowResBox | None:
    """The pixels of the image that a window of the low-resolution square can have a say in."""
    rows = frame.reached(low_res_size, 0, cells.y0, cells.y1)
    columns = frame.reached(low_res_size, 1, cells.x0, cells.x1)
    window = LowResBox(rows.start, columns.start, rows.stop, columns.stop)
    return window if window.y0 < window.y1 and window.x0 < window.x1 else None


def strips(window: LowResBox) -> list[tuple[slice, slice]]:
    """The window in pieces of whole rows of at most `STRIP_VALUES` pixels."""
    rows = max(1, STRIP_VALUES // (window.x1 - window.x0))
    return [
        (slice(y, min(y + rows, window.y1)), slice(window.x0, window.x1))
        for y in range(window.y0, window.y1, rows)
    ]
