"""Keyhole polygons: rings of a mask joined by bridges without width, for formats without holes or parts.

A bridge is walked there and back, so it encloses nothing: filled by the even-odd or by the non-zero rule, the
joined ring is exactly the mask. Bridges to holes run straight up through the piece; programs that also draw
the outline draw there only pixels of the mask. Bridges between pieces are short, but pass outside of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from anymask.core.polygons import Ring

Point = tuple[int, int]
MAX_CORNERS = 400  # of a ring, looked at to find a short bridge to it


@dataclass(slots=True)
class _Node:
    """A ring, walked from corner `entry`; `joined[i]`: rings hung on the edge after corner i, by distance."""

    ring: Ring
    entry: int = 0
    joined: dict[int, list[tuple[int, Point, _Node]]] = field(default_factory=lambda: defaultdict(list))


def bridge_holes(pieces: Sequence[Sequence[Ring]]) -> list[Ring]:
    """Of each piece, given as `Mask.polygons` gives it, one ring that leaves out its holes."""
    return [_walk(_with_holes(rings)[0]) for rings in pieces]


def bridge_rings(pieces: Sequence[Sequence[Ring]]) -> Ring:
    """All pieces with their holes as one ring, N x 2 xy. `pieces` has at least one."""
    nodes = [_with_holes(rings)[0] for rings in pieces]
    boxes = np.array([(*node.ring.min(axis=0), *node.ring.max(axis=0)) for node in nodes])
    for number in range(1, len(nodes)):
        nearest = int(np.argmin(_distances(boxes[:number], boxes[number])))
        _join_nearest(nodes[nearest], nodes[number])
    return _walk(nodes[0])


def _with_holes(rings: Sequence[Ring]) -> list[_Node]:
    """The outline first; every hole hangs on the edge that lies straight above its first corner."""
    nodes = [_Node(rings[0])]
    forward = _runs_clockwise(rings[0])
    for ring in rings[1:]:  # the other way round: for the non-zero rule
        nodes.append(_Node(ring[::-1] if _runs_clockwise(ring) == forward else ring))
    if len(nodes) == 1:
        return nodes
    columns, heights, owners, corners = _horizontal_edges(nodes)
    tall = int(heights.max()) + 1
    keys = columns * tall + heights
    order = np.argsort(keys, kind="stable")
    for node in nodes[1:]:
        node.entry = int(np.lexsort((node.ring[:, 0], node.ring[:, 1]))[0])
        x, y = (int(v) for v in node.ring[node.entry])
        above = order[int(np.searchsorted(keys, x * tall + y, sorter=order)) - 1]
        upper, start = nodes[int(owners[above])], int(corners[above])
        distance = abs(int(upper.ring[start, 0]) - x)
        upper.joined[start].append((distance, (x, int(heights[above])), node))
    return nodes


def _runs_clockwise(ring: Ring) -> bool:
    """As seen on the screen, y down."""
    (x, y), (next_x, next_y) = ring.T, np.roll(ring, -1, axis=0).T
    return int((x * next_y - next_x * y).sum()) > 0


def _horizontal_edges(nodes: Sequence[_Node]) -> tuple[NDArray[np.int64], ...]:
    """For every pixel along them: its column, y, the number of the ring, of the corner the edge is from."""
    found = []
    for number, node in enumerate(nodes):
        start, end = node.ring, np.roll(node.ring, -1, axis=0)
        flat = np.flatnonzero(start[:, 1] == end[:, 1])
        left = np.minimum(start[flat, 0], end[flat, 0])
        widths = np.abs(start[flat, 0] - end[flat, 0])
        along = np.arange(widths.sum()) - np.repeat(np.cumsum(widths) - widths, widths)
        rows = [left, start[flat, 1], np.full(len(flat), number), flat]
        repeated = np.repeat(np.stack(rows), widths, axis=1)
        repeated[0] += along
        found.append(repeated)
    return tuple(np.concatenate(found, axis=1).astype(np.int64))


def _distances(boxes: NDArray[np.int64], box: NDArray[np.int64]) -> NDArray[np.int64]:
    gaps = np.maximum(0, np.maximum(boxes[:, :2] - box[2:], box[:2] - boxes[:, 2:]))
    return np.asarray((gaps.astype(np.int64) ** 2).sum(axis=1))


def _join_nearest(one: _Node, other: _Node) -> None:
    steps = [1 + (len(node.ring) - 1) // MAX_CORNERS for node in (one, other)]
    ours, theirs = one.ring[:: steps[0]], other.ring[:: steps[1]]
    distances = ((ours[:, None] - theirs[None]) ** 2).sum(axis=2)
    i, j = np.unravel_index(int(np.argmin(distances)), distances.shape)
    corner, other.entry = int(i) * steps[0], int(j) * steps[1]
    x, y = one.ring[corner]
    one.joined[corner].append((0, (int(x), int(y)), other))


def _walk(root: _Node) -> Ring:
    """Along the ring, and around every ring that is joined to it where it is joined."""
    path: list[Point] = []
    stack = [_steps(root)]
    while stack:
        for step in stack[-1]:
            if isinstance(step, _Node):
                stack.append(_steps(step, closed=True))
                break
            path.append(step)
        else:
            stack.pop()
    return np.array(path, np.int64)


def _steps(node: _Node, closed: bool = False) -> Iterator[Point | _Node]:
    """Corners, and rings to go around before the next."""
    corners: list[Point] = [(x, y) for x, y in node.ring.tolist()]
    for offset in range(len(corners)):
        corner = (node.entry + offset) % len(corners)
        yield corners[corner]
        for _, point, other in sorted(node.joined.get(corner, []), key=lambda joined: joined[0]):
            yield point
            yield other
            yield point
    if closed:
        yield corners[node.entry]
