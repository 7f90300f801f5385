"""Window: a part of an image that a model was shown alone, and so from closer.

An answer about a window is an answer about the image: outside the window it says no. `redraw` carries
low-resolution logits from one frame to another.
Legend: H W image pixels, h w low-resolution pixels of the model's square, M masks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from anymask.core.frames import Floats, Pixels, ResizeLongest, SizeHW

OUTSIDE = -10.0  # the logit of what a frame does not show: surely not inside

Edges = tuple[int, int, int, int]


class Frame(Protocol):
    """What an answer was drawn in: the whole image (`ResizeLongest`) or a `Window` of it."""

    @property
    def size_hw_image(self) -> SizeHW: ...

    def to_image_mask(self, low_res_hw: Floats, threshold: float = 0.0) -> NDArray[np.bool_]: ...

    def to_image_logits(self, low_res_Mhw: Floats) -> Floats: ...


@dataclass(frozen=True, slots=True)
class Window:
    """The pixels `edges_xyxy` of an image of `size_hw_image`, fitted into the model's square."""

    size_hw_image: SizeHW
    edges_xyxy: Edges
    input_size: int

    @property
    def inside(self) -> ResizeLongest:
        """The frame of the window's own pixels."""
        x0, y0, x1, y1 = self.edges_xyxy
        return ResizeLongest((y1 - y0, x1 - x0), self.input_size)

    @property
    def origin_xy(self) -> tuple[int, int]:
        return self.edges_xyxy[:2]

    def cut(self, array_HW: NDArray[np.generic]) -> Pixels:
        """The window of something of the size of the image; a view."""
        return array_HW[self._slices]  # type: ignore[return-value]

    def to_image_logits(self, low_res_Mhw: Floats) -> Floats:
        """(M, H, W) float32 of the image; OUTSIDE around the window."""
        logits_MHW = np.full((len(low_res_Mhw), *self.size_hw_image), OUTSIDE, np.float32)
        logits_MHW[:, *self._slices] = self.inside.to_image_logits(low_res_Mhw)
        return logits_MHW

    def to_image_mask(self, low_res_hw: Floats, threshold: float = 0.0) -> NDArray[np.bool_]:
        """(H, W) bool of the image: where the logits are above `threshold`."""
        mask_HW = np.full(self.size_hw_image, threshold < OUTSIDE, np.bool_)
        mask_HW[self._slices] = self.inside.to_image_mask(low_res_hw, threshold)
        return mask_HW

    @property
    def _slices(self) -> tuple[slice, slice]:
        x0, y0, x1, y1 = self.edges_xyxy
        return slice(y0, y1), slice(x0, x1)


def around(
    low: float, high: float, side: int, room: float, least: float, off: float = 0.0
) -> tuple[int, int]:
    """The first and last edge, along one axis of an image of `side` pixels, of a window around low..high:
    `room` times as long, at least `least` pixels, moved by `off`, cut at the edges of the image.
    """
    middle, reach = (low + high) / 2 + off, max((high - low) * room, least) / 2
    return max(0, int(middle - reach)), min(side, math.ceil(middle + reach))


def redraw(low_res_hw: Floats, drawn_in: Frame, frame: Frame) -> Floats:
    """Logits drawn in one frame of an image in the cells of another; OUTSIDE where they say nothing.

    Bilinear between cell centres, along one axis after the other: both frames are upright.
    """
    size = len(low_res_hw)
    rows, columns = (_positions(size, drawn_in, frame, axis) for axis in (1, 0))
    drawn = _sampled(np.ascontiguousarray(_sampled(low_res_hw, rows).T), columns).T
    known = _shown(rows, drawn_in, 1, size)[:, None] & _shown(columns, drawn_in, 0, size)
    return np.where(known, drawn, np.float32(OUTSIDE))


def _parts(frame: Frame) -> tuple[tuple[int, int], ResizeLongest]:
    if isinstance(frame, Window):
        return frame.origin_xy, frame.inside
    assert isinstance(frame, ResizeLongest)
    return (0, 0), frame


def _positions(size: int, drawn_in: Frame, frame: Frame, axis: int) -> NDArray[np.float64]:
    """Where the cell centres of `frame` lie, in cells of `drawn_in`. Axis 0 is x."""
    (origin, inside), (origin_before, before) = _parts(frame), _parts(drawn_in)
    centres = (np.arange(size) + 0.5) * (inside.input_size / size)
    image = centres / _factor(inside, axis) + (origin[axis] - origin_before[axis])
    return np.asarray(image * _factor(before, axis) * (size / before.input_size))


def _factor(inside: ResizeLongest, axis: int) -> float:
    """Model pixels for each image pixel."""
    return inside.size_hw_model[1 - axis] / inside.size_hw_image[1 - axis]


def _sampled(lines: Floats, position: NDArray[np.float64]) -> Floats:
    """Lines at continuous positions (the centre of line 0 is 0.5) along the first axis; the ends continue."""
    last = len(lines) - 1
    before = np.floor(position - 0.5)
    weight = (position - 0.5 - before).astype(np.float32)[:, None]
    index = before.astype(np.intp)
    upper, lower = lines[index.clip(0, last)], lines[(index + 1).clip(0, last)]
    sampled: Floats = upper + weight * (lower - upper)
    return sampled


def _shown(position: NDArray[np.float64], frame: Frame, axis: int, size: int) -> NDArray[np.bool_]:
    """Which positions lie in the image, not in the padding around it."""
    _, inside = _parts(frame)
    end = inside.size_hw_model[1 - axis] * (size / inside.input_size)
    return np.asarray((position >= 0) & (position <= end))
