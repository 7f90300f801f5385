"""Edges one pixel wide: the ridges of a strength map, and the thinning of a map of True pixels.

Knows arrays only. Legend: H W image pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anymask.evaluation.extras import cv2

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

SMOOTHING = 4  # radius of the triangle filter that the direction of a ridge is taken from
TOLERANCE = 1.01  # a neighbour must be stronger by this factor to win
MARGIN = 5  # pixels near the edge of the photo, where gradients are unsure: weakened


def keep_ridges(strength_HW: Floats) -> Floats:
    """(H, W) -> (H, W): 0 wherever a neighbour across the ridge is stronger, weakened near the photo's edge.

    The usual suppression of edge detectors (Canny 1986; Dollár and Zitnick 2015). A ridge is crossed in the
    direction in which the smoothed strength curves most.
    """
    step_x, step_y = _across(strength_HW)
    columns, rows = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in strength_HW.shape[::-1]))
    kept = strength_HW * _border_weights(strength_HW.shape)
    for sign in (-1, 1):
        beside = cv2.remap(
            strength_HW, columns + sign * step_x, rows + sign * step_y, cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        kept[strength_HW * TOLERANCE < beside] = 0
    return np.asarray(kept, np.float32)


def _across(strength_HW: Floats) -> tuple[Floats, Floats]:
    """x and y of the unit vector along which the smoothed map curves most: an eigenvector of its Hessian."""
    triangle = np.bartlett(2 * SMOOTHING + 3)[1:-1]
    kernel = triangle / triangle.sum()
    smooth = cv2.sepFilter2D(strength_HW, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REFLECT)
    slope_y, slope_x = np.gradient(smooth)
    curve_xy, curve_xx = np.gradient(slope_x)
    curve_yy = np.gradient(slope_y, axis=0)
    angle = 0.5 * np.arctan2(2 * curve_xy, curve_xx - curve_yy)  # of the larger eigenvalue
    angle += np.where(curve_xx + curve_yy < 0, np.pi / 2, 0)  # the other one is larger in size
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def _border_weights(size_hw: tuple[int, ...]) -> Floats:
    """From 0 at the outermost pixel to 1 at `MARGIN` pixels from it."""
    rows, columns = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in size_hw)
    distance = np.minimum(rows[:, None], columns[None, :])
    return np.minimum(distance / MARGIN, 1).astype(np.float32)


def thin(edges_HW: Flags) -> Flags:
    """Lines of one pixel, connected as before: the two alternating passes of Guo and Hall (1989), until
    nothing changes.
    """
    map_HW = edges_HW.astype(np.uint8)
    while True:
        before = np.count_nonzero(map_HW)
        for deletes in _DELETES:
            codes = cv2.filter2D(map_HW, -1, _CODE_WEIGHTS, borderType=cv2.BORDER_CONSTANT)
            map_HW &= ~deletes[codes]
        if np.count_nonzero(map_HW) == before:
            return map_HW.astype(bool)


_CODE_WEIGHTS = np.array([[8, 4, 2], [16, 0, 1], [32, 64, 128]], np.float32)
"""A pixel's eight neighbours as the bits of a number: east first, then against the clock."""


def _deletes(second_pass: bool) -> NDArray[np.uint8]:
    """(256,): 1 for neighbourhoods whose centre goes."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1  # column 0 is east
    even, odd, next_even = bits[:, 0::2], bits[:, 1::2], np.roll(bits[:, 0::2], -1, axis=1)
    crossings = ((1 - even) & (odd | next_even)).sum(axis=1)
    pairs = np.minimum((even | odd).sum(axis=1), (odd | next_even).sum(axis=1))
    turned = np.roll(bits, -4, axis=1) if second_pass else bits
    blocked = (turned[:, 1] | turned[:, 2] | (1 - turned[:, 7])) & turned[:, 0]
    goes: Flags = (crossings == 1) & (pairs >= 2) & (pairs <= 3) & (blocked == 0)
    return goes.astype(np.uint8)


_DELETES = (_deletes(False), _deletes(True))
