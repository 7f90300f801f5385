"""Keyhole polygons: rings of a mask joined by bridges without width, for formats without holes or parts.

A bridge is walked there and back, so it encloses nothing: filled by the even-odd or by the non-zero rule, the
joined ring is exactly the mask. Bridges to holes run straight up through the piece, so that programs that
also draw the outline draw there only pixels of the mask; so do those between pieces that touch by a corner.
Other bridges between pieces are short, but pass outside of the mask.

Rings run along the edges of pixels, through their corners (`bridge_holes`, as COCO fills), or through the
centres of the outermost pixels (`bridge_all`, as YOLO's tools fill).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from anymask.core.outlines import through_pixels
from anymask.core.polygons import Ring, trace

Step = tuple[int, int, bool]  # x, y, and whether it belongs to a bridge that passes outside of the mask
Place = tuple[int, int]  # on a ring: a corner's number, and how far along the edge after it
MAX_PAIRS = 1 << 20  # of pixels, looked at to find a short bridge
EXACT = 16  # of so many groups of pieces all pairs are looked at, of more their boxes


@dataclass(slots=True, eq=False)
class _Node:
    """A ring. `corners`: of pixels, where `ring` runs through their centres; else the same.

    `joined[i]`: bridges that begin on the edge after corner i.
    """

    ring: Ring
    corners: Ring
    joined: dict[int, list[_Bridge]] = field(default_factory=lambda: defaultdict(list))


@dataclass(slots=True, eq=False)
class _Bridge:
    """One way of a bridge: it begins `along` an edge, passes `steps` and ends at a place on another ring."""

    along: int
    steps: list[Step]
    end: _Node
    place: Place
    back: _Bridge | None = None


def bridge_holes(pieces: Sequence[Sequence[Ring]]) -> list[Ring]:
    """Of each piece, given as `Mask.polygons` gives it, one ring that leaves out its holes."""
    return [_walk(_with_holes(rings, centres=False)[0])[:, :2] for rings in pieces]


def bridge_all(inside_HW: NDArray[np.bool_]) -> tuple[Ring, NDArray[np.bool_]]:
    """All pixels as one ring through centres of pixels, N x 2 xy, at least three; and which of its points are
    of bridges outside of the mask. `inside_HW` has at least one pixel.
    """
    groups = _touching([_with_holes(rings, centres=True) for rings in trace(inside_HW, cut=False)])
    pixels = [_along(group) for group in groups]
    for one, other in _shortest_tree(pixels):
        _join_nearest(groups[one], pixels[one], groups[other], pixels[other])
    steps = _walk(groups[0][0])
    return steps[:, :2], steps[:, 2].astype(np.bool_)


def _join(one: _Node, place: Place, other: _Node, end: Place, steps: Sequence[Step] = ()) -> None:
    there = _Bridge(place[1], [*steps], other, end)
    back = _Bridge(end[1], [*steps][::-1], one, place, there)
    there.back = back
    one.joined[place[0]].append(there)
    other.joined[end[0]].append(back)


def _with_holes(rings: Sequence[Ring], centres: bool) -> list[_Node]:
    """The outline first; every hole hangs on the edge that lies straight above its first corner."""
    nodes = []
    forward = _runs_clockwise(rings[0])
    for number, corners in enumerate(rings):
        ring = through_pixels(corners, hole=number > 0) if centres else corners
        turn = -1 if number and _runs_clockwise(corners) == forward else 1  # for the non-zero rule
        nodes.append(_Node(ring[::turn], corners[::turn]))
    if len(nodes) == 1:
        return nodes
    columns, heights, owners, corners = _horizontal_edges(nodes)
    tall = int(heights.max()) + 1
    keys = columns * tall + heights
    order = np.argsort(keys, kind="stable")
    for node in nodes[1:]:
        first = int(np.lexsort((node.corners[:, 0], node.corners[:, 1]))[0])
        x, y = int(node.corners[first, 0]) - centres, int(node.corners[first, 1])
        above = order[int(np.searchsorted(keys, x * tall + y, sorter=order)) - 1]
        upper, start = nodes[int(owners[above])], int(corners[above])
        place = start, abs(int(upper.ring[start, 0]) - x)
        _join(upper, place, node, (first, 0))
    return nodes


def _runs_clockwise(ring: Ring) -> bool:
    """As seen on the screen, y down."""
    (x, y), (next_x, next_y) = ring.T, np.roll(ring, -1, axis=0).T
    return int((x * next_y - next_x * y).sum()) > 0


def _horizontal_edges(nodes: Sequence[_Node]) -> tuple[NDArray[np.int64], ...]:
    """For every pixel along them: its column, y, the number of the ring, of the corner the edge is from."""
    found = []
    for number, node in enumerate(nodes):
        start, end = node.corners, np.roll(node.corners, -1, axis=0)
        flat = np.flatnonzero(start[:, 1] == end[:, 1])
        left = np.minimum(start[flat, 0], end[flat, 0])
        widths = np.abs(start[flat, 0] - end[flat, 0])
        along = np.arange(widths.sum()) - np.repeat(np.cumsum(widths) - widths, widths)
        rows = [left, start[flat, 1], np.full(len(flat), number), flat]
        repeated = np.repeat(np.stack(rows), widths, axis=1)
        repeated[0] += along
        found.append(repeated)
    return tuple(np.concatenate(found, axis=1).astype(np.int64))


def _touching(pieces: list[list[_Node]]) -> list[list[_Node]]:
    """The rings of groups of pieces that touch by corners, joined there."""
    group = list(range(len(pieces)))  # of each piece, or a piece whose group it has

    def find(piece: int) -> int:
        while group[piece] != piece:
            group[piece] = piece = group[group[piece]]
        return piece

    owners = [(piece, node) for piece, nodes in enumerate(pieces) for node in nodes]
    xy = np.concatenate([node.corners for _, node in owners])
    number = np.repeat(np.arange(len(owners)), [len(node.ring) for _, node in owners])
    corner = np.concatenate([np.arange(len(node.ring)) for _, node in owners])
    order = np.lexsort((xy[:, 0], xy[:, 1]))
    for at in np.flatnonzero((xy[order[1:]] == xy[order[:-1]]).all(axis=1)).tolist():
        (piece, node), (other_piece, other) = (owners[number[order[at + one]]] for one in (0, 1))
        if find(piece) != find(other_piece):
            group[find(other_piece)] = find(piece)
            _join(node, (int(corner[order[at]]), 0), other, (int(corner[order[at + 1]]), 0))
    groups: dict[int, list[_Node]] = defaultdict(list)
    for piece, node in owners:
        groups[find(piece)].append(node)
    return list(groups.values())


def _shortest_tree(pixels: Sequence[NDArray[np.int64]]) -> Iterator[tuple[int, int]]:
    """Pairs of groups that together join all, the second always a new one (Prim)."""
    boxes = np.array([(*own[:, :2].min(axis=0), *own[:, :2].max(axis=0)) for own in pixels])
    gaps, nearest = np.full(len(pixels), np.inf), np.zeros(len(pixels), np.int64)
    left, latest = np.arange(1, len(pixels)), 0
    while left.size:
        if len(pixels) <= EXACT:
            found = np.array([_nearest(pixels[latest], pixels[one])[0] for one in left.tolist()])
        else:
            found = np.maximum(boxes[left, :2] - boxes[latest, 2:], boxes[latest, :2] - boxes[left, 2:])
            found = found.max(axis=1).clip(0)
        closer = found < gaps[left]
        gaps[left[closer]], nearest[left[closer]] = found[closer], latest
        latest = int(left[np.argmin(gaps[left])])
        left = left[left != latest]
        yield int(nearest[latest]), latest


def _along(nodes: Sequence[_Node]) -> NDArray[np.int64]:
    """Every pixel of the way of some rings, once or more: x, y, number of the ring, corner, distance."""
    found = []
    for number, node in enumerate(nodes):
        ahead = np.roll(node.ring, -1, axis=0) - node.ring
        lengths = np.abs(ahead).max(axis=1).clip(1)
        corner = np.repeat(np.arange(len(ahead)), lengths)
        distance = np.arange(len(corner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        x, y = (node.ring[corner] + np.sign(ahead)[corner] * distance[:, None]).T
        found.append(np.stack([x, y, np.full(len(corner), number), corner, distance], axis=1))
    return np.concatenate(found)


def _nearest(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> tuple[int, list[int], list[int]]:
    """How many steps two groups are apart, and a pixel of each as `_along` has it."""
    gap, here, there = 1 << 62, ours[0], theirs[0]
    for step in (1 + int((len(ours) * len(theirs) / MAX_PAIRS) ** 0.5), 1):
        near, far = ours[::step], theirs[::step]
        if len(near) * len(far) > 4 * MAX_PAIRS:
            break
        gaps = np.maximum(*(np.abs(near[:, axis, None] - far[None, :, axis]) for axis in (0, 1)))
        i, j = np.unravel_index(int(np.argmin(gaps)), gaps.shape)
        gap, here, there = int(gaps[i, j]), near[i], far[j]
        if step == 1:
            break
        ours, theirs = _close(ours, theirs, gap), _close(theirs, ours, gap)
    return gap, here.tolist(), there.tolist()


def _close(points: NDArray[np.int64], others: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    """Those that are no further than `reach` from the box around the others."""
    low, high = others[:, :2].min(axis=0) - reach, others[:, :2].max(axis=0) + reach
    is_close = ((points[:, :2] >= low) & (points[:, :2] <= high)).all(axis=1)
    return np.asarray(points[is_close])


def _join_nearest(
    ours: Sequence[_Node], pixels: NDArray[np.int64], theirs: Sequence[_Node], others: NDArray[np.int64]
) -> None:
    """By a way that is diagonal first, then straight: the same pixels to every program, there and back."""
    _, (x, y, one, *place), (end_x, end_y, other, *end) = _nearest(pixels, others)
    diagonal = min(abs(end_x - x), abs(end_y - y))
    knee = x + diagonal * _sign(end_x - x), y + diagonal * _sign(end_y - y)
    steps = [(x, y, True), (*knee, True), (end_x, end_y, True)]
    _join(ours[one], (place[0], place[1]), theirs[other], (end[0], end[1]), steps)


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _walk(root: _Node) -> NDArray[np.int64]:
    """Along the ring, and around every ring that is joined to it where it is joined.

    N x 3: x, y, and whether it belongs to a bridge outside of the mask.
    """
    path: list[Step] = []
    stack = [_steps(root, (0, 0), None)]
    while stack:
        for step in stack[-1]:
            if isinstance(step, _Bridge):
                stack.append(_steps(step.end, step.place, step))
                break
            path.append(step)
        else:
            stack.pop()
    return np.array(path, np.int64)


def _steps(node: _Node, place: Place, came: _Bridge | None) -> Iterator[Step | _Bridge]:
    """Once around from a place: corners, and bridges whose other side is walked before the next."""
    first, distance = place
    leaving = [bridge for bridge in node.joined.get(first, ()) if came is None or bridge is not came.back]
    yield _at(node, *place)
    yield from _across(node, first, [bridge for bridge in leaving if bridge.along >= distance])
    for offset in range(1, len(node.ring)):
        corner = (first + offset) % len(node.ring)
        yield _at(node, corner, 0)
        yield from _across(node, corner, node.joined.get(corner, ()))
    if distance:
        yield _at(node, first, 0)
        yield from _across(node, first, [bridge for bridge in leaving if bridge.along < distance])
    if came is not None:
        yield _at(node, *place)


def _across(node: _Node, corner: int, bridges: Iterable[_Bridge]) -> Iterator[Step | _Bridge]:
    for bridge in sorted(bridges, key=lambda bridge: bridge.along):
        if bridge.along:
            yield _at(node, corner, bridge.along)
        yield from bridge.steps
        yield bridge
        yield from reversed(bridge.steps)
        yield _at(node, corner, bridge.along)


def _at(node: _Node, corner: int, distance: int) -> Step:
    x, y = node.ring[corner].tolist()
    if distance:
        next_x, next_y = node.ring[(corner + 1) % len(node.ring)].tolist()
        x, y = x + distance * _sign(next_x - x), y + distance * _sign(next_y - y)
    return x, y, False
