"""Outlines through the centres of pixels, for programs that fill a polygon and draw its outline as well.

OpenCV (so the tools of YOLO) and Pillow (so LabelMe) paint every pixel that an edge passes. A polygon along
the edges of pixels grows by a pixel there; one through the centres of the outermost pixels comes out exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anymask.core.polygons import Ring
from anymask.errors import BadInput

Whole = NDArray[np.int64]
SUBPIXELS = 16  # bits: OpenCV's fixed point
MAX_LENGTH = 1 << 25  # pixels that the edges of one polygon pass: memory is needed for each


def through_pixels(ring: Ring, *, hole: bool = False) -> Ring:
    """A ring of `trace(..., cut=False)` moved half a pixel into the mask: a pixel x, y for each corner.

    Every pixel on the way between them is inside. What the way encloses, with itself, is what the ring
    encloses; around a hole, what it encloses without itself.
    """
    ahead = np.sign(np.roll(ring, -1, axis=0) - ring)
    turning = ahead + np.roll(ahead, 1, axis=0)
    to_the_right = np.stack(
        [-turning[:, 1], turning[:, 0]], axis=1
    )  # of the way; a hole is there, else the mask
    return np.asarray((2 * ring + (-to_the_right if hole else to_the_right) - 1) // 2)


def filled(starts: Whole, ends: Whole, size_hw: tuple[int, int]) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """The pixels of an image that `cv2.fillPoly` paints for the edges of a closed way, each N x 2 xy pixels.

    Only those of a box, and its left upper corner x, y. Raises BadInput for a way that is far too long.
    """
    reach = np.abs(ends - starts).max(axis=1)
    if (length := int(reach.sum()) + len(reach)) > MAX_LENGTH:
        raise BadInput(f"expected a polygon with an outline of at most {MAX_LENGTH:,} pixels, got {length:,}")
    low, high = (np.concatenate([f(starts, axis=0), f(ends, axis=0)]) for f in (np.min, np.max))
    limit = np.array(size_hw[::-1])
    corner = np.minimum(low.reshape(2, 2).min(axis=0), limit - 1).clip(0)
    width, height = (np.minimum(high.reshape(2, 2).max(axis=0) + 1, limit).clip(corner + 1) - corner).tolist()
    starts, ends = starts - corner, ends - corner
    first, last, y = _spans(starts, ends)
    within = (y >= 0) & (y < height) & (first < width) & (last >= 0) & (first <= last)
    changes_HW = np.zeros((height, width + 1), np.int32)
    np.add.at(changes_HW, (y[within], first[within].clip(0)), 1)
    np.add.at(changes_HW, (y[within], last[within].clip(None, width - 1) + 1), -1)
    inside_HW = np.cumsum(changes_HW, axis=1)[:, :-1] > 0
    x, y = _line_pixels(starts, ends)
    within = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    inside_HW[y[within], x[within]] = True
    return inside_HW, (int(corner[0]), int(corner[1]))


def _spans(starts: Whole, ends: Whole) -> tuple[Whole, Whole, Whole]:
    """First and last x, and y, of what lies between the edges, row by row, by the even-odd rule."""
    falls = starts[:, 1:] <= ends[:, 1:]
    upper, lower = np.where(falls, starts, ends), np.where(falls, ends, starts)
    heights = lower[:, 1] - upper[:, 1]
    slopes = ((lower[:, 0] - upper[:, 0]) << SUBPIXELS) // np.maximum(heights, 1)
    edge, step = _counted(heights)
    x, y = (upper[edge, 0] << SUBPIXELS) + step * slopes[edge], upper[edge, 1] + step
    order = np.lexsort((x, y))
    x, y = x[order], y[order]
    return (x[::2] + (1 << SUBPIXELS - 1)) >> SUBPIXELS, x[1::2] >> SUBPIXELS, y[::2]


def _line_pixels(starts: Whole, ends: Whole) -> tuple[Whole, Whole]:
    """x and y of the pixels that edges pass, by Bresenham's rule from left to right."""
    leftwards = starts[:, :1] > ends[:, :1]
    starts, ends = np.where(leftwards, ends, starts), np.where(leftwards, starts, ends)
    reach, sign = np.abs(ends - starts), np.sign(ends - starts)
    length = reach.max(axis=1)
    edge, step = _counted(length + 1)
    twice = 2 * np.maximum(length, 1)[edge]
    x, y = (
        starts[edge, axis] + sign[edge, axis] * -((length[edge] - 2 * step * reach[edge, axis]) // twice)
        for axis in (0, 1)
    )
    return x, y


def _counted(lengths: Whole) -> tuple[Whole, Whole]:
    """For every step of each: its number, and the step, from 0."""
    number = np.repeat(np.arange(len(lengths)), lengths)
    return number, np.arange(len(number)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
