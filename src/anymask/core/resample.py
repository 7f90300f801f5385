"""Resampling: images down to the model's size, logits up to the image's; in blocks, so that no copy is large.

Bilinear between pixel centres, as PyTorch's `align_corners=False`. Knows arrays and sizes, no frames.
Legend: H W image pixels, h w of the network's input or of low-resolution lines, N lines.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
SizeHW = tuple[int, int]
Step = tuple[NDArray[np.intp], Floats]  # of each new line the line before it, and the weight of the one after

LARGE = 1 << 22  # pixels of an image from which on strips are sooner
STRIP_PIXELS = 1 << 20  # of an image at a time, so that intermediate copies stay small
BLOCK_VALUES = 1 << 16  # upscaled at a time: 256 KiB of float32, which stays in the cache


def strips(height: int, width: int) -> Iterator[slice]:
    """Rows, about `STRIP_PIXELS` at a time."""
    rows = max(1, STRIP_PIXELS // width)
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))


def resize_antialias(pixels_HW3: Pixels, size_hw: SizeHW) -> Pixels:
    """uint8 -> uint8 of `size_hw`: bilinear with antialias, rounded.

    A large image along x first, in strips: they share the processor's cores, and no copy of it all is needed.
    """
    if pixels_HW3.shape[:2] == size_hw:
        return pixels_HW3
    if pixels_HW3.shape[0] * pixels_HW3.shape[1] > LARGE:
        pixels_HW3 = _narrowed(pixels_HW3, size_hw[1])
    return _resized(pixels_HW3, size_hw)


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


def neighbours(size: int, new_size: int, part: slice) -> Step:
    """For each new pixel in a part of one axis: the pixel before, and the weight of the one after.

    Rounded to float32 where the reference is: in large images the fourth digit of the weights depends on it.
    """
    scale = float(np.float32(size) / np.float32(new_size))
    position = (scale * (np.arange(part.start, part.stop) + 0.5) - 0.5).astype(np.float32).clip(0)
    before = np.minimum(position.astype(np.intp), size - 1)
    return before, np.clip(position - before.astype(np.float32), 0, 1)


def lines_between(lines_Nw: Floats, step: Step) -> Floats:
    """New lines between lines: see `line_blocks`."""
    return fill(np.empty((len(step[0]), lines_Nw.shape[1]), np.float32), line_blocks(lines_Nw, step))


def fill(lines: Floats, blocks: Iterator[tuple[slice, Floats]]) -> Floats:
    for part, block in blocks:
        lines[part] = block
    return lines


def line_blocks(lines_Nw: Floats, step: Step) -> Iterator[tuple[slice, Floats]]:
    """New lines between lines, some at a time; each block is valid until the next is asked for.

    Without antialias also where it shrinks.
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


def sample_lines(lines: Floats, position: NDArray[np.float64]) -> Floats:
    """Lines at continuous positions (the centre of line 0 is 0.5) along the first axis; the ends continue."""
    last = len(lines) - 1
    before = np.floor(position - 0.5)
    weight = (position - 0.5 - before).astype(np.float32)[:, None]
    index = before.astype(np.intp)
    upper, lower = lines[index.clip(0, last)], lines[(index + 1).clip(0, last)]
    sampled: Floats = upper + weight * (lower - upper)
    return sampled
