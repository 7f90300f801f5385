"""Frames: image pixels (`*_image`), the model's square (`*_model`), windows of an image shown alone.

The only file that converts. Coordinates are continuous, x right and y down; the centre of pixel (0, 0) is
(0.5, 0.5) in every frame. Boxes are `x0, y0, x1, y1` edges. A mask in a window is a mask in the image:
outside the window it says no. `redraw` carries low-resolution logits from one frame to another.
Legend: H W image pixels, h w low-resolution pixels, M masks, S side of the model's input.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anymask.core.resample import (
    Floats,
    Pixels,
    SizeHW,
    Step,
    fill,
    line_blocks,
    lines_between,
    neighbours,
    resize_antialias,
    sample_lines,
)

OUTSIDE = -10.0  # the logit of what a frame does not show: surely not inside

Edges = tuple[int, int, int, int]
Scalar = TypeVar("Scalar", bound=np.generic)


class Frame(Protocol):
    """What a mask was predicted in: the whole image (`ResizeLongest`) or a `Window` of it."""

    @property
    def size_hw_image(self) -> SizeHW: ...

    @property
    def origin_xy(self) -> tuple[int, int]:
        """Where the pixels that the model was shown begin in the image."""
        ...

    @property
    def inside(self) -> ResizeLongest:
        """The frame of those pixels alone."""
        ...

    def to_image_mask(self, low_res_hw: Floats, threshold: float = 0.0) -> NDArray[np.bool_]: ...

    def to_image_logits(self, low_res_Mhw: Floats) -> Floats: ...


@dataclass(frozen=True, slots=True)
class ResizeLongest:
    """An image fitted into the model's square: the longest side becomes `input_size`, the rest is padding.

    Sides are rounded half up and are at least one pixel, so each axis has its own factor.
    """

    size_hw_image: SizeHW
    input_size: int

    @property
    def size_hw_model(self) -> SizeHW:
        """Size of the image inside the model's square."""
        scale = self.input_size / max(self.size_hw_image)
        height, width = (max(1, int(side * scale + 0.5)) for side in self.size_hw_image)
        return height, width

    @property
    def origin_xy(self) -> tuple[int, int]:
        return 0, 0

    @property
    def inside(self) -> ResizeLongest:
        return self

    @property
    def _factors_xy(self) -> NDArray[np.float64]:
        (height, width), (height_model, width_model) = self.size_hw_image, self.size_hw_model
        return np.array([width_model / width, height_model / height])

    def to_model_points(self, points_xy_image: ArrayLike) -> Floats:
        """(..., 2) -> (..., 2) float32."""
        return (np.asarray(points_xy_image, np.float64) * self._factors_xy).astype(np.float32)

    def to_image_points(self, points_xy_model: ArrayLike) -> Floats:
        """(..., 2) -> (..., 2) float32."""
        return (np.asarray(points_xy_model, np.float64) / self._factors_xy).astype(np.float32)

    def to_model_boxes(self, boxes_xyxy_image: ArrayLike) -> Floats:
        """(..., 4) -> (..., 4) float32; corners move as points do."""
        return (np.asarray(boxes_xyxy_image, np.float64) * np.tile(self._factors_xy, 2)).astype(np.float32)

    def to_image_boxes(self, boxes_xyxy_model: ArrayLike) -> Floats:
        """(..., 4) -> (..., 4) float32."""
        return (np.asarray(boxes_xyxy_model, np.float64) / np.tile(self._factors_xy, 2)).astype(np.float32)

    def resize_image(self, pixels_HW3: Pixels) -> Pixels:
        """uint8 of `size_hw_image` -> uint8 of `size_hw_model`: bilinear with antialias.

        Rounded to whole values before they are normalised, as the published reference does.
        """
        return resize_antialias(pixels_HW3, self.size_hw_model)

    def to_image_logits(self, low_res_Mhw: Floats) -> Floats:
        """Low-resolution logits of the whole square -> (M, H, W) float32 of the image.

        The published two steps: up to the model's square, cut off the padding, then to the size of the image.
        """
        rows, columns = (slice(0, side) for side in self.size_hw_image)
        logits_MHW = np.empty((len(low_res_Mhw), *self.size_hw_image), np.float32)
        for low_res_hw, out_HW in zip(low_res_Mhw, logits_MHW, strict=True):
            fill(out_HW, self._image_logit_blocks(low_res_hw, rows, columns))
        return logits_MHW

    def to_image_mask(self, low_res_hw: Floats, threshold: float = 0.0) -> NDArray[np.bool_]:
        """(H, W): where the logits of the image are above `threshold`; without holding them all at once.

        Logits of the image lie between those of the cells around them, so only where a cell is above it.
        """
        mask_HW = np.zeros(self.size_hw_image, np.bool_)
        above_hw = low_res_hw > threshold
        cells_y, cells_x = (np.flatnonzero(above_hw.any(1 - axis)) for axis in (0, 1))
        if not len(cells_y):
            return mask_HW
        rows = self.reached(len(low_res_hw), 0, cells_y[0], cells_y[-1] + 1)
        columns = self.reached(len(low_res_hw), 1, cells_x[0], cells_x[-1] + 1)
        inside = mask_HW[rows, columns]
        if inside.size:
            for part, block in self._image_logit_blocks(low_res_hw, rows, columns):
                np.greater(block, threshold, out=inside[part])
        return mask_HW

    def to_image_window(self, low_res_hw: Floats, rows: slice, columns: slice) -> Floats:
        """The part `[rows, columns]` of the logits of the image, worked out alone; equal to the whole."""
        logits = np.empty((rows.stop - rows.start, columns.stop - columns.start), np.float32)
        return fill(logits, self._image_logit_blocks(low_res_hw, rows, columns))

    def reached(self, low_res_size: int, axis: int, start: int, stop: int) -> slice:
        """The part of an axis of the image in whose logits the low-resolution cells start..stop have a share;
        empty where they lie in the padding.
        """
        image, model = self.size_hw_image[axis], self.size_hw_model[axis]
        cell = self.input_size / low_res_size * image / model
        reach = cell + image / model  # from the middle of a cell: one of its own size, then a model's pixel
        first, last = (start + 0.5) * cell - reach, (stop - 0.5) * cell + reach
        return slice(max(0, math.floor(first)), min(image, math.ceil(last)))

    def extended_to_edges(self, low_res_Mhw: Floats) -> Floats:
        """A copy in which cells that are wholly or partly padding say what the last whole ones before them
        do, as far as upscaling reads.
        """
        extended_Mhw, size = low_res_Mhw.copy(), low_res_Mhw.shape[-1]
        for axis, cells in enumerate((extended_Mhw.swapaxes(0, 1), extended_Mhw.transpose(2, 0, 1))):
            image = self.size_hw_image[axis]
            (_, stop), *_ = self._steps(size, axis, slice(image - 1, image))
            whole = max(1, self.size_hw_model[axis] * size // self.input_size)
            cells[whole:stop] = cells[whole - 1]
        return extended_Mhw

    def low_res_extent(self, low_res_size: int) -> SizeHW:
        """How many rows and columns of the low-resolution square show the image; the rest is padding."""
        share = low_res_size / self.input_size
        height, width = (math.ceil(side * share) for side in self.size_hw_model)
        return height, width

    def _image_logit_blocks(
        self, low_res_hw: Floats, rows: slice, columns: slice
    ) -> Iterator[tuple[slice, Floats]]:
        """Both steps along x, while there are few rows; then both along y: the axes are independent."""
        top_bottom, *y_steps = self._steps(len(low_res_hw), 0, rows)
        left_right, *x_steps = self._steps(len(low_res_hw), 1, columns)
        lines = low_res_hw[slice(*top_bottom), slice(*left_right)].T
        for step in x_steps:
            lines = lines_between(lines, step)
        lines = np.ascontiguousarray(lines.T)
        return line_blocks(lines_between(lines, y_steps[0]), y_steps[1])

    def _steps(self, size: int, axis: int, part: slice) -> tuple[tuple[int, int], Step, Step]:
        """For a part of an axis of the image: the cells that count, and both steps from them."""
        model, image = self.size_hw_model[axis], self.size_hw_image[axis]
        before_2, weight_2 = neighbours(model, image, part)
        first, last = int(before_2[0]), min(int(before_2[-1]) + 1, model - 1) + 1
        before_1, weight_1 = neighbours(size, self.input_size, slice(first, last))
        low, high = int(before_1[0]), min(int(before_1[-1]) + 1, size - 1) + 1
        return (low, high), (before_1 - low, weight_1), (before_2 - first, weight_2)


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

    def cut(self, array_HW: NDArray[Scalar]) -> NDArray[Scalar]:
        """The window of something of the size of the image; a view."""
        return array_HW[self._slices]

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
    low: float, high: float, side: int, scale: float, min_side: float, offset: float = 0.0
) -> tuple[int, int]:
    """The first and last edge, along one axis of an image of `side` pixels, of a window around low..high:
    `scale` times as long, at least `min_side` pixels, moved by `offset`, clipped to the image.
    """
    middle, reach = (low + high) / 2 + offset, max((high - low) * scale, min_side) / 2
    return max(0, int(middle - reach)), min(side, math.ceil(middle + reach))


def redraw(low_res_hw: Floats, drawn_in: Frame, frame: Frame) -> Floats:
    """Logits drawn in one frame of an image in the cells of another; OUTSIDE where they say nothing.

    Bilinear between cell centres, along one axis after the other: both frames are upright.
    """
    size = len(low_res_hw)
    rows, columns = (_positions(size, drawn_in, frame, axis) for axis in (1, 0))
    drawn = sample_lines(np.ascontiguousarray(sample_lines(low_res_hw, rows).T), columns).T
    known = _shown(rows, drawn_in, 1, size)[:, None] & _shown(columns, drawn_in, 0, size)
    return np.where(known, drawn, np.float32(OUTSIDE))


def _positions(size: int, drawn_in: Frame, frame: Frame, axis: int) -> NDArray[np.float64]:
    """Where the cell centres of `frame` lie, in cells of `drawn_in`. Axis 0 is x."""
    inside, before = frame.inside, drawn_in.inside
    centres = (np.arange(size) + 0.5) * (inside.input_size / size)
    image = centres / _factor(inside, axis) + (frame.origin_xy[axis] - drawn_in.origin_xy[axis])
    return np.asarray(image * _factor(before, axis) * (size / before.input_size))


def _factor(inside: ResizeLongest, axis: int) -> float:
    """Model pixels for each image pixel."""
    return inside.size_hw_model[1 - axis] / inside.size_hw_image[1 - axis]


def _shown(position: NDArray[np.float64], frame: Frame, axis: int, size: int) -> NDArray[np.bool_]:
    """Which positions lie in the image, not in the padding around it."""
    inside = frame.inside
    end = inside.size_hw_model[1 - axis] * (size / inside.input_size)
    return np.asarray((position >= 0) & (position <= end))
