"""Frames: image pixels (`*_image`) and the model's square input (`*_model`). The only file that converts.

Coordinates are continuous, x right and y down; the centre of pixel (0, 0) is (0.5, 0.5) in every frame.
Boxes are `x0, y0, x1, y1` edges.
Legend: H W image pixels, h w low-resolution pixels, M masks, S side of the model's input.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
SizeHW = tuple[int, int]

BLOCK_VALUES = 1 << 18  # upscaled at a time: 1 MiB of float32, which stays in the cache


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

        Rounded to whole values before they are normalised, as the published reference does.
        """
        from PIL import Image

        height, width = self.size_hw_model
        if pixels_HW3.shape[:2] == (height, width):
            return pixels_HW3
        resized = Image.fromarray(pixels_HW3).resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(resized)

    def to_image_logits(self, low_res_Mhw: Floats) -> Floats:
        """Low-resolution logits of the whole square -> (M, H, W) float32 of the image.

        The published two steps: up to the model's square, cut off the padding, then to the size of the image.
        """
        height, width = self.size_hw_image
        logits_MHW = np.empty((len(low_res_Mhw), height, width), np.float32)
        for low_res_hw, out_HW in zip(low_res_Mhw, logits_MHW, strict=True):
            for rows, block in self._image_logit_blocks(low_res_hw):
                out_HW[rows] = block
        return logits_MHW

    def to_image_mask(self, low_res_hw: Floats, threshold: float = 0.0) -> NDArray[np.bool_]:
        """(H, W): where the logits of the image are above `threshold`; without holding them all at once."""
        mask_HW = np.empty(self.size_hw_image, np.bool_)
        for rows, block in self._image_logit_blocks(low_res_hw):
            np.greater(block, threshold, out=mask_HW[rows])
        return mask_HW

    def to_image_window(self, low_res_hw: Floats, rows: slice, columns: slice) -> Floats:
        """The part `[rows, columns]` of the logits of the image, worked out alone; equal to the whole."""
        (height, width), (height_model, width_model) = self.size_hw_image, self.size_hw_model
        side = len(low_res_hw)
        x_steps = _two_steps(side, self.input_size, width_model, width, columns.start, columns.stop)
        y_steps = _two_steps(side, self.input_size, height_model, height, rows.start, rows.stop)
        (first, last), _, _ = y_steps
        wide = _stepped(np.ascontiguousarray(low_res_hw[first:last].T), x_steps)
        return _stepped(np.ascontiguousarray(wide.T), ((0, last - first), *y_steps[1:]))

    def low_res_extent(self, low_res_size: int) -> SizeHW:
        """How many rows and columns of the low-resolution square show the image; the rest is padding."""
        share = low_res_size / self.input_size
        height, width = (math.ceil(side * share) for side in self.size_hw_model)
        return height, width

    def _image_logit_blocks(self, low_res_hw: Floats) -> Iterator[tuple[slice, Floats]]:
        """Both steps along x, while there are few rows; then both along y: the axes are independent."""
        (height, width), (height_model, width_model) = self.size_hw_image, self.size_hw_model
        columns = _resized_rows(_resized_rows(low_res_hw.T, self.input_size, width_model), width, width)
        wide = _resized_rows(np.ascontiguousarray(columns.T), self.input_size, height_model)
        return _resized_row_blocks(wide, height, height)


def _resized_rows(image_hw: Floats, new_height: int, keep: int) -> Floats:
    resized = np.empty((keep, image_hw.shape[1]), np.float32)
    for rows, block in _resized_row_blocks(image_hw, new_height, keep):
        resized[rows] = block
    return resized


def _resized_row_blocks(image_hw: Floats, new_height: int, keep: int) -> Iterator[tuple[slice, Floats]]:
    """The first `keep` of `new_height` rows, some at a time; each block is valid until the next is asked for.

    Bilinear between pixel centres, without antialias also where it shrinks (PyTorch's `align_corners=False`).
    The rows that lie between the same two make a block: one product and one sum, while they are in the cache.
    """
    height, width = image_hw.shape
    before, weight = (values[:keep] for values in _neighbours(height, new_height))
    starts = np.flatnonzero(np.diff(before, prepend=-1))
    most = max(1, BLOCK_VALUES // width)
    buffer = np.empty((min(most, int(np.diff(starts, append=keep).max())), width), np.float32)
    for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), keep], strict=True):
        upper = image_hw[before[start]]
        rise = image_hw[min(before[start] + 1, height - 1)] - upper
        for first in range(start, stop, most):
            rows = slice(first, min(first + most, stop))
            block = buffer[: rows.stop - first]
            np.multiply(weight[rows, None], rise, out=block)
            block += upper
            yield rows, block


Step = tuple[NDArray[np.intp], Floats]


def _two_steps(
    size: int, square: int, model: int, image: int, start: int, stop: int
) -> tuple[tuple[int, int], Step, Step]:
    """Along one axis, for image pixels start..stop: the low-resolution range that counts, and both steps."""
    before_2, weight_2 = _neighbours(model, image)
    before_2, weight_2 = before_2[start:stop], weight_2[start:stop]
    first, last = int(before_2[0]), min(int(before_2[-1]) + 1, model - 1) + 1
    before_1, weight_1 = _neighbours(size, square)
    before_1, weight_1 = before_1[first:last], weight_1[first:last]
    low, high = int(before_1[0]), min(int(before_1[-1]) + 1, size - 1) + 1
    return (low, high), (before_1 - low, weight_1), (before_2 - first, weight_2)


def _stepped(lines_Nw: Floats, steps: tuple[tuple[int, int], Step, Step]) -> Floats:
    """Both steps along the first axis, the lines outside the range left out."""
    (low, high), *both = steps
    lines = lines_Nw[low:high]
    for before, weight in both:
        upper = lines[before]
        lines = weight[:, None] * (lines[np.minimum(before + 1, len(lines) - 1)] - upper)
        lines += upper
    return lines


def _neighbours(size: int, new_size: int) -> tuple[NDArray[np.intp], Floats]:
    """For each new pixel of one axis: the pixel before, and the weight of the one after.

    Rounded to float32 where the reference is: in large images the fourth digit of the weights depends on it.
    """
    scale = float(np.float32(size) / np.float32(new_size))
    position = (scale * (np.arange(new_size) + 0.5) - 0.5).astype(np.float32).clip(0)
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
