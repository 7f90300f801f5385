"""Outlines of masks as polygons with holes, and the polygons people hand in.

A corner is a pixel corner where an outline turns. In a row of corners, ordered by x, the first joins the
second, the third the fourth and so on; the same holds for columns. So two sorts link all rings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anymask.errors import BadInput

Ring = NDArray[np.int64]


def trace(inside_HW: NDArray[np.bool_], *, cut: bool = True) -> list[list[Ring]]:
    """Per 4-connected piece its outline and then its holes; each ring N x 2 xy corners, none twice.

    `cut=False`: rings that touch themselves at a corner stay whole, and pass it twice.
    """
    padded = np.pad(inside_HW, 1)
    corners_xy, rising = _corners(padded)
    ring_of, rings = _link(corners_xy, rising)
    width = padded.shape[1]
    keys = corners_xy[:, 1] * width + corners_xy[:, 0]
    owner: list[int] = []  # of each ring: the outline of its piece
    pieces: dict[int, list[Ring]] = {}
    for number, ring in enumerate(rings):  # ordered by their topmost, leftmost corner
        x, y = corners_xy[ring[0]]
        if padded[y + 1, x + 1]:
            owner.append(number)
        else:  # a hole: the edge above it, through the piece, belongs to a ring of the same piece
            above = y - int(np.argmin(padded[y::-1, x + 1]))
            edge = int(np.searchsorted(keys, above * width + x, side="right")) - 1
            owner.append(owner[ring_of[edge]])
        corners = corners_xy[ring]
        pieces.setdefault(owner[-1], []).extend(_simple(corners) if cut else [corners])
    return list(pieces.values())


def _corners(padded: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Corners (xy, row by row), and at which of them a lower left and an upper right pixel meet.

    Where two diagonal pixels meet there are two corners, one for each pixel.
    """
    a, b, c, d = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    turns = a ^ b ^ c ^ d
    crossing = (a == d) & (b == c) & (a != b)
    y, x = np.nonzero(turns | crossing)
    times = 1 + crossing[y, x]
    corners_xy = np.repeat(np.stack([x, y], axis=1), times, axis=0).astype(np.int64)
    return corners_xy, np.repeat(b[y, x] & crossing[y, x], times)


def _link(corners_xy: NDArray[np.int64], rising: NDArray[np.bool_]) -> tuple[list[int], list[list[int]]]:
    """Ring number of each corner, and each ring as corner numbers, its topmost, leftmost corner first."""
    count = len(corners_xy)
    second = np.zeros(count, np.bool_)
    second[1:] = (corners_xy[1:] == corners_xy[:-1]).all(axis=1)
    # Of two corners at one place, the one with the edge above: each pixel keeps its own two edges.
    upper = second ^ ~rising
    order = np.lexsort((~upper, corners_xy[:, 1], corners_xy[:, 0]))
    vertical = np.empty(count, np.int64)
    vertical[order] = order.reshape(-1, 2)[:, ::-1].reshape(-1)
    partner = vertical.tolist()
    ring_of, rings = [-1] * count, list[list[int]]()
    for first in range(count):
        if ring_of[first] >= 0:
            continue
        ring, at = [], first
        while ring_of[at] < 0:
            across = at ^ 1  # the other end of the horizontal edge
            ring_of[at] = ring_of[across] = len(rings)
            ring += [at, across]
            at = partner[across]
        rings.append(ring)
    return ring_of, rings


def _simple(ring: Ring) -> list[Ring]:
    """Cut where it touches itself: the part with the first corner, then holes that hang on it by a corner."""
    loops: list[Ring] = []
    open_corners: dict[tuple[int, int], None] = {}
    for x, y in ring.tolist():
        if (x, y) in open_corners:
            loop = [open_corners.popitem()[0]]
            while loop[-1] != (x, y):
                loop.append(open_corners.popitem()[0])
            loops.append(np.array(loop[::-1]))
        open_corners[x, y] = None
    return [np.array(list(open_corners)), *loops] if loops else [ring]


def coco_rings(polygons: Sequence[Any], side: int) -> Iterator[list[NDArray[np.float64]]]:
    """Each polygon as its rings, the outline first.

    `side`: the longest of the image. Raises BadInput for what is not a polygon, and for one that reaches more
    than a `side` out of the image: rasterising takes memory for every pixel that an edge passes.
    """
    if isinstance(polygons, str | bytes) or not isinstance(polygons, Sequence | np.ndarray):
        raise BadInput(f"polygons: expected a list of polygons, got {type(polygons).__name__}")
    for polygon in polygons:
        rings = [_ring(ring) for ring in polygon] if _depth(polygon) == 3 else [_ring(polygon)]
        for ring in rings:
            if ring.min() < -side or ring.max() > 2 * side:
                reach = f"{ring.min():g}..{ring.max():g}"
                raise BadInput(f"polygons: expected coordinates near an image of side {side}, got {reach}")
        yield rings


def _depth(inner: Any) -> int:
    depth = 0
    while isinstance(inner, list | tuple | np.ndarray) and len(inner) and depth < 4:
        depth, inner = depth + 1, inner[0]
    return depth


def _ring(points: Any) -> NDArray[np.float64]:
    try:
        ring = np.asarray(points, np.float64)
    except (TypeError, ValueError):
        raise BadInput(f"polygons: expected numbers, got {str(points)[:60]!r}") from None
    if ring.ndim == 1 and ring.size % 2 == 0:
        ring = ring.reshape(-1, 2)
    if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3:
        raise BadInput(f"polygons: expected at least three x, y points per ring, got shape {ring.shape}")
    if not np.isfinite(ring).all():
        raise BadInput("polygons: expected finite coordinates")
    return ring
