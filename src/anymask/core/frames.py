"""Frames: image pixels (`*_image`) and the model's square input (`*_model`). The only file that converts.

Coordinates are continuous, x right and y down; the centre of pixel (0, 0) is (0.5, 0.5) in every frame.
Boxes are `x0, y0, x1, y1` edges.
Legend: H W image pixels, h w low-resolution pixels, M masks, S side of the model's input.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anymask.images.pixels import strips

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
SizeHW = tuple[int, int]

LARGE = 1 << 22  # pixels of an image from which on strips are sooner
BLOCK_VALUES = 1 << 16  # upscaled at a time: 256 KiB of float32, which stays in the cache

Step = tuple[NDArray[np.intp], Floats]  # of each new line the line before it, and the weight of the one after


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
        """uint8 of `size_hw_image` -> uint8 of `size_hw_model`: bilinear with antialias, rounded.

        Rounded to whole values before they are normalised, as the published reference does. A large image
        along x first, in strips: they share the processor's cores, and no copy of it all is needed.
        """
        height, width = self.size_hw_model
        if pixels_HW3.shape[:2] == (height, width):
            return pixels_HW3
        if pixels_HW3.shape[0] * pixels_HW3.shape[1] > LARGE:
            pixels_HW3 = _narrowed(pixels_HW3, width)
        return _resized(pixels_HW3, (height, width))

    def to_image_logits(self, low_res_Mhw: Floats) -> Floats:
        """Low-resolution logits of the whole square -> (M, H, W) float32 of the image.

        The published two steps: up to the model's square, cut off the padding, then to the size of the image.
        """
        rows, columns = (slice(0, side) for side in self.size_hw_image)
        logits_MHW = np.empty((len(low_res_Mhw), *self.size_hw_image), np.float32)
        for low_res_hw, out_HW in zip(low_res_Mhw, logits_MHW, strict=True):
            _filled(out_HW, self._image_logit_blocks(low_res_hw, rows, columns))
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
        return _filled(logits, self._image_logit_blocks(low_res_hw, rows, columns))

    def reached(self, low_res_size: int, axis: int, start: int, stop: int) -> slice:
        """The part of an axis of the image in whose logits the low-resolution cells start..stop have a share;
        empty where they lie in the padding.
        """
        image, model = self.size_hw_image[axis], self.size_hw_model[axis]
        cell = self.input_size / low_res_size * image / model
        reach = cell + image / model  # from the middle of a cell: one of its own size, then a model's pixel
        first, last = (start + 0.5) * cell - reach, (stop - 0.5) * cell + reach
        return slice(max(0, math.floor(first)), min(image, math.ceil(last)))

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
            lines = _lines_between(lines, step)
        lines = np.ascontiguousarray(lines.T)
        return _line_blocks(_lines_between(lines, y_steps[0]), y_steps[1])

    def _steps(self, size: int, axis: int, part: slice) -> tuple[tuple[int, int], Step, Step]:
        """For a part of an axis of the image: the cells that count, and both steps from them."""
        model, image = self.size_hw_model[axis], self.size_hw_image[axis]
        before_2, weight_2 = _neighbours(model, image, part)
        first, last = int(before_2[0]), min(int(before_2[-1]) + 1, model - 1) + 1
        before_1, weight_1 = _neighbours(size, self.input_size, slice(first, last))
        low, high = int(before_1[0]), min(int(before_1[-1]) + 1, size - 1) + 1
        return (low, high), (before_1 - low, weight_1), (before_2 - first, weight_2)


def _narrowed(pixels_HW3: Pixels, width: int) -> Pixels:
    """Resized along x alone."""
    height, width_before = pixels_HW3.shape[:2]
    narrow = np.empty((height, width, 3), np.uint8)

    def narrow_strip(rows: slice) -> None:
        narrow[rows] = _resized(pixels_HW3[rows], (rows.stop - rows.start, width))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(narrow_strip, strips(height, width_before)))
    return narrow


def _resized(pixels_HW3: Pixels, size_hw: SizeHW) -> Pixels:
    from PIL import Image

    return np.asarray(Image.fromarray(pixels_HW3).resize(size_hw[::-1], Image.Resampling.BILINEAR))


def _lines_between(lines_Nw: Floats, step: Step) -> Floats:
    return _filled(np.empty((len(step[0]), lines_Nw.shape[1]), np.float32), _line_blocks(lines_Nw, step))


def _filled(lines: Floats, blocks: Iterator[tuple[slice, Floats]]) -> Floats:
    for part, block in blocks:
        lines[part] = block
    return lines


def _line_blocks(lines_Nw: Floats, step: Step) -> Iterator[tuple[slice, Floats]]:
    """New lines between lines, some at a time; each block is valid until the next is asked for.

    Bilinear between pixel centres, without antialias also where it shrinks (PyTorch's `align_corners=False`).
    """
    before, weight = step
    rise_Nw = np.zeros_like(lines_Nw, order="C")
    np.subtract(lines_Nw[1:], lines_Nw[:-1], out=rise_Nw[:-1])
    most = max(1, BLOCK_VALUES // lines_Nw.shape[1])
    block, upper = np.empty((2, min(most, len(before)), lines_Nw.shape[1]), np.float32)
    for start in range(0, len(before), most):
        part = slice(start, min(start + most, len(before)))
        count = part.stop - start
        np.take(rise_Nw, before[part], axis=0, out=block[:count], mode="clip")  # "raise" copies once more
        np.take(lines_Nw, before[part], axis=0, out=upper[:count], mode="clip")
        block[:count] *= weight[part, None]
        block[:count] += upper[:count]
        yield part, block[:count]


def _neighbours(size: int, new_size: int, part: slice) -> Step:
    """For each new pixel in a part of one axis: the pixel before, and the weight of the one after.

    Rounded to float32 where the reference is: in large images the fourth digit of the weights depends on it.
    """
    scale = float(np.float32(size) / np.float32(new_size))
    position = (scale * (np.arange(part.start, part.stop) + 0.5) - 0.5).astype(np.float32).clip(0)
    before = np.minimum(position.astype(np.intp), size - 1)
    return before, np.clip(position - before.astype(np.float32), 0, 1)


def normalise_and_pad(
    pixels_model_HW3: Pixels, mean: tuple[float, ...], std: tuple[float, ...], frame_hw: SizeHW
) -> Floats:
    """(1, 3, *frame_hw) float32: (pixels - mean) / std per channel, then zeros to the right and below."""
    height, width = pixels_model_HW3.shape[:2]
    network_13hw = np.zeros((1, 3, *frame_hw), np.float32)
    image_3HW = network_13hw[0, :, :height, :width]
    image_3HW[...] = pixels_model_HW3.transpose(2, 0, 1)
    image_3HW -= np.asarray(mean, np.float32)[:, None, None]
    image_3HW /= np.asarray(std, np.float32)[:, None, None]
    return network_13hw


def box_iou(boxes_xyxy_a: ArrayLike, boxes_xyxy_b: ArrayLike) -> NDArray[np.float64]:
    """(A, 4), (B, 4) -> (A, B) intersection over union; 0 where both boxes are empty."""
    a, b = (np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in (boxes_xyxy_a, boxes_xyxy_b))
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    intersection = sides.clip(0).prod(axis=2)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1) for boxes in (a, b))
    union = area_a[:, None] + area_b[None, :] - intersection
    iou: NDArray[np.float64] = np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
    return iou
