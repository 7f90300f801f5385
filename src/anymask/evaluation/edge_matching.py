"""Which edge pixels of one map have a partner in another: as many pairs as can be, none farther than a reach.

The published benchmark solves an assignment of least total distance in which leaving a pixel out is dearer
than any distance, so its number of pairs is the largest possible; so is ours. Among the matchings of that
size it takes the one of least total distance, which we do not: ours starts from the nearest free pairs and
only changes them where that makes one more pair. The recall of each person is the same; the precision, which
asks whether a pixel has a partner in any of several maps, can differ by the few pixels that could be chosen
in more than one way.
Legend: A pixels of the smaller map, B of the larger, O offsets within reach, nearest first.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Indices = NDArray[np.int32]
FREE = -1


def match_edges(first_HW: Flags, second_HW: Flags, reach: float) -> tuple[Flags, Flags]:
    """Two bool maps -> for the True pixels of either, in raster order: has it a partner?

    Each has at most one, and the number of pairs is the largest that a `reach` in pixels allows.
    """
    if np.count_nonzero(first_HW) > np.count_nonzero(second_HW):
        second, first = match_edges(second_HW, first_HW, reach)
        return first, second
    near_AO = _neighbours(first_HW, second_HW, reach)
    mates_A, mates_B = _pair_nearest(near_AO, int(np.count_nonzero(second_HW)))
    _add_pairs(near_AO, mates_A, mates_B)
    return mates_A != FREE, mates_B != FREE


def _neighbours(first_HW: Flags, second_HW: Flags, reach: float) -> Indices:
    """(A, O): the number of the pixel of the second map at each offset from a pixel of the first, or FREE."""
    margin = int(reach)
    height, width = second_HW.shape
    numbers = np.full((height + 2 * margin, width + 2 * margin), FREE, np.int32)
    inside = numbers[margin : margin + height, margin : margin + width]
    inside[second_HW] = np.arange(np.count_nonzero(second_HW), dtype=np.int32)
    ys, xs = np.mgrid[-margin : margin + 1, -margin : margin + 1].reshape(2, -1)
    squares = ys**2 + xs**2
    order = np.argsort(squares, kind="stable")
    order = order[squares[order] <= reach**2]
    offsets_O = (ys * numbers.shape[1] + xs)[order]
    rows, columns = np.nonzero(first_HW)
    places_A = (rows + margin) * numbers.shape[1] + columns + margin
    found: Indices = numbers.reshape(-1)[places_A[:, None] + offsets_O]
    return found


def _pair_nearest(near_AO: Indices, count_b: int) -> tuple[Indices, Indices]:
    """Offset by offset, nearest first, pair what is free. No two pixels share one at the same offset."""
    mates_A, mates_B = (np.full(count, FREE, np.int32) for count in (len(near_AO), count_b))
    free_A = np.flatnonzero((near_AO != FREE).any(axis=1))
    for offset in range(near_AO.shape[1]):
        wanted = near_AO[free_A, offset]
        fits = wanted != FREE
        fits[fits] = mates_B[wanted[fits]] == FREE
        mates_A[free_A[fits]] = wanted[fits]
        mates_B[wanted[fits]] = free_A[fits]
        free_A = free_A[~fits]
        if not len(free_A):
            break
    return mates_A, mates_B


def _add_pairs(near_AO: Indices, mates_A: Indices, mates_B: Indices) -> None:
    """Make the matching maximum, in place: one augmenting path after the other (Berge 1957).

    What a search in vain has seen leads nowhere for later ones either, and is not looked at again.
    """
    roots = np.flatnonzero((mates_A == FREE) & (near_AO != FREE).any(axis=1)).tolist()
    of_a, of_b = mates_A.tolist(), mates_B.tolist()
    dead: set[int] = set()
    for root in roots:
        came_from: dict[int, int] = {}
        end = _search(root, near_AO, of_b, dead, came_from)
        if end == FREE:
            dead.update(came_from)
        while end != FREE:
            start = came_from[end]
            of_a[start], of_b[end], end = end, start, of_a[start]
    mates_A[:], mates_B[:] = of_a, of_b


def _search(root: int, near_AO: Indices, of_b: list[int], dead: set[int], came_from: dict[int, int]) -> int:
    """The free end of a shortest path from a free pixel that alternates between pairs, or FREE."""
    queue = deque([root])
    while queue:
        start = queue.popleft()
        for end in near_AO[start].tolist():
            if end == FREE or end in dead or end in came_from:
                continue
            came_from[end] = start
            if of_b[end] == FREE:
                return int(end)
            queue.append(of_b[end])
    return FREE
