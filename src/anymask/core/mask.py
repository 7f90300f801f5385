"""Mask: an immutable binary mask, kept as COCO-compatible run lengths.

Text from outside is checked here before the run-length library sees it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anymask.core.polygons import Ring, coco_rings, trace
from anymask.errors import BadInput


class Rle(TypedDict):
    """COCO's compressed run lengths: `size` is height, width; `counts` column by column, zeros first."""

    size: list[int]
    counts: str


class Mask:
    """Which pixels belong to something. A value: never changes, compares and hashes by content."""

    __slots__ = ("_rle",)

    def __init__(self, rle: Any) -> None:
        """Private: use `from_array`, `from_rle` or `from_polygons`."""
        self._rle = rle

    @classmethod
    def from_array(cls, inside_HW: ArrayLike) -> Mask:
        """From an H x W array: everything that is not zero is inside. Raises BadInput for other shapes."""
        array = np.asarray(inside_HW)
        if array.ndim != 2 or 0 in array.shape:
            raise BadInput(f"mask: expected an H x W array of at least one pixel, got shape {array.shape}")
        if array.dtype != np.bool_ or not array.flags.writeable:  # the library refuses read-only arrays
            array = array != 0
        return cls(_library().from_array(array))

    @classmethod
    def from_rle(cls, rle: Mapping[str, Any]) -> Mask:
        """From `{"size": [h, w], "counts": ...}`, counts compressed (str, bytes) or plain (a list).

        Raises BadInput when the runs do not add up to the size.
        """
        if not isinstance(rle, Mapping) or "size" not in rle:
            raise BadInput(f"run lengths: expected an object with 'size' and 'counts', got {str(rle)[:60]!r}")
        size_hw, counts = _checked_size(rle["size"]), rle.get("counts")
        if isinstance(counts, str | bytes):
            return cls(_from_runs(_decompress(counts), size_hw))
        if isinstance(counts, Sequence | np.ndarray):
            return cls(_from_runs(_plain_runs(counts), size_hw))
        raise BadInput(f"run lengths: expected 'counts' to be text or a list, got {type(counts).__name__}")

    @classmethod
    def from_polygons(cls, polygons: Sequence[Any], size_hw: tuple[int, int]) -> Mask:
        """The union of polygons, rasterised as the COCO tools do.

        Each is `[x0, y0, x1, y1, ...]` as in COCO, N x 2 points, or a list of rings `[outer, hole, ...]`.
        Raises BadInput for what is not a polygon.
        """
        height, width = _checked_size(size_hw)
        union = _library().zeros((height, width))
        for rings in coco_rings(polygons, max(height, width)):
            outer, *holes = (_library().from_polygon(ring, imshape=(height, width)) for ring in rings)
            for hole in holes:
                outer = outer - hole
            union = union | outer
        return cls(union)

    @property
    def size_hw(self) -> tuple[int, int]:
        height, width = self._rle.shape
        return int(height), int(width)

    @property
    def rle(self) -> Rle:
        """COCO's compressed form, ready for JSON."""
        return {"size": list(self.size_hw), "counts": self._rle.to_dict()["counts"].decode("ascii")}

    @property
    def runs(self) -> list[int]:
        """Lengths of the runs, column by column, zeros first: COCO's plain form."""
        return [int(run) for run in self._rle.counts]

    @property
    def area(self) -> int:
        return int(self._rle.area())

    @property
    def is_empty(self) -> bool:
        return self.area == 0

    @property
    def bbox_xywh(self) -> tuple[int, int, int, int]:
        """Left, top, width, height of the tight box; zeros for an empty mask."""
        x, y, w, h = (int(v) for v in self._rle.bbox())
        return (x, y, w, h) if w and h else (0, 0, 0, 0)

    @property
    def box_xyxy(self) -> tuple[int, int, int, int]:
        """Edges of the tight box, right and bottom exclusive; zeros for an empty mask."""
        x, y, w, h = self.bbox_xywh
        return x, y, x + w, y + h

    def to_array(self) -> NDArray[np.bool_]:
        """H x W bool."""
        pixels: NDArray[np.uint8] = self._rle.to_array(order="C")
        return pixels.view(np.bool_)

    def array_of_box(self) -> NDArray[np.bool_]:
        """The pixels of `box_xyxy` alone, at the cost of that box; 0 x 0 when empty."""
        if self.is_empty:
            return np.zeros((0, 0), np.bool_)
        return Mask(self._rle.crop(np.array(self.bbox_xywh))).to_array()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a mask is stored as run lengths: an array of it is always a copy")
        return self.to_array().astype(dtype or np.bool_, copy=False)

    def polygons(self) -> list[list[Ring]]:
        """One list of rings per 4-connected component: its outline, then its holes.

        A ring is an N x 2 integer array of xy pixel corners along the exact edge of the mask; its last point
        joins the first. `Mask.from_polygons(mask.polygons(), mask.size_hw) == mask`.
        """
        corner_xy = self.box_xyxy[:2]
        return [[ring + corner_xy for ring in rings] for rings in trace(self.array_of_box())]

    def without_small_regions(self, min_area: int) -> Mask:
        """Without 8-connected holes, then islands, of fewer than `min_area` pixels; the largest island stays
        (paper, Appendix B). The same value when nothing changed.
        """
        return self.without_small_holes(min_area).without_small_islands(min_area)

    def without_small_holes(self, min_area: int) -> Mask:
        """The first half of `without_small_regions`."""
        filled = self._rle.fill_small_holes(min_area, connectivity=8)
        return self if filled == self._rle else Mask(filled)

    def without_small_islands(self, min_area: int) -> Mask:
        """The second half of `without_small_regions`."""
        cleaned = self._rle.remove_small_components(min_area, connectivity=8)
        if not cleaned.any() and self._rle.any():
            cleaned = self._rle.largest_connected_component(connectivity=8)
        return self if cleaned == self._rle else Mask(cleaned)

    def component_at(self, x: int, y: int) -> Mask:
        """The 8-connected component of pixel (x, y), empty when it lies in none."""

        def reaches(_areas: Any, boxes_xywh: NDArray[np.integer], _centres: Any) -> NDArray[np.bool_]:
            inside = boxes_xywh[:, :2] <= (x, y)
            return np.asarray((inside & (boxes_xywh[:, :2] + boxes_xywh[:, 2:] > (x, y))).all(1))

        pieces = self._rle.connected_components(connectivity=8, filter_fn=reaches)
        held = [piece for piece in pieces if piece[y, x]]
        return Mask(held[0] if held else _library().zeros(self.size_hw))

    def components(self) -> list[Mask]:
        """Its 8-connected components, the largest first."""
        pieces = [Mask(piece) for piece in self._rle.connected_components(connectivity=8)]
        return sorted(pieces, key=lambda piece: -piece.area)

    def placed(self, size_hw: tuple[int, int], offset_xy: tuple[int, int]) -> Mask:
        """This mask of a crop as a mask of the whole image; `offset_xy`: where the crop's corner lies.

        Raises BadInput when it does not fit.
        """
        (height, width), (own_height, own_width), (x, y) = size_hw, self.size_hw, offset_xy
        bottom, right = height - y - own_height, width - x - own_width
        if min(x, y, bottom, right) < 0:
            raise BadInput(f"a mask of {self.size_hw} (h, w) at {offset_xy} does not fit into {size_hw}")
        return self if self.size_hw == size_hw else Mask(self._rle.pad(y, bottom, x, right))

    def iou(self, other: Mask) -> float:
        """Intersection over union; 1 when both are empty."""
        union = (self | other).area
        return (self & other).area / union if union else 1.0

    def __and__(self, other: Mask) -> Mask:
        return Mask(self._rle & self._same_size(other))

    def __or__(self, other: Mask) -> Mask:
        return Mask(self._rle | self._same_size(other))

    def __xor__(self, other: Mask) -> Mask:
        return Mask(self._rle ^ self._same_size(other))

    def __sub__(self, other: Mask) -> Mask:
        return Mask(self._rle - self._same_size(other))

    def __invert__(self) -> Mask:
        return Mask(~self._rle)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mask):
            return NotImplemented
        return bool(self._rle == other._rle)

    def __hash__(self) -> int:
        return hash((self.size_hw, self._rle.counts.tobytes()))

    def __repr__(self) -> str:
        height, width = self.size_hw
        return f"Mask({width} x {height}, {self.area} pixels inside)"

    def __reduce__(self) -> tuple[Any, ...]:
        return Mask.from_rle, (self.rle,)

    def _same_size(self, other: Mask) -> Any:
        if self.size_hw != other.size_hw:
            raise BadInput(f"masks of two sizes: expected {self.size_hw} (h, w), got {other.size_hw}")
        return other._rle


def iou_matrix(masks_a: Sequence[Mask], masks_b: Sequence[Mask]) -> NDArray[np.float64]:
    """(A, B) intersection over union, as the COCO tools work it out: 0 where both masks are empty.

    Raises BadInput for masks of two sizes.
    """
    if not masks_a or not masks_b:
        return np.zeros((len(masks_a), len(masks_b)))
    for mask in (*masks_a, *masks_b):
        masks_a[0]._same_size(mask)
    ious = _library().iou_matrix([mask._rle for mask in masks_a], [mask._rle for mask in masks_b])
    return np.asarray(ious, np.float64)


def _library() -> Any:
    from rlemasklib import RLEMask

    return RLEMask


def _checked_size(size_hw: Any) -> tuple[int, int]:
    try:
        height, width = (int(side) for side in size_hw)
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"mask: expected a size of [height, width], got {str(size_hw)[:60]!r}") from None
    if not (0 < height < 2**31 and 0 < width < 2**31 and height * width < 2**32):
        raise BadInput(f"mask: expected 1 x 1 to less than 2^32 pixels, got {height} x {width}")
    return height, width


def _plain_runs(counts: Any) -> NDArray[np.int64]:
    runs = np.asarray(counts)
    if runs.ndim != 1 or (runs.size and runs.dtype.kind not in "iu"):
        raise BadInput("run lengths: expected 'counts' to be a list of whole numbers")
    return runs.astype(np.int64)


def _decompress(counts: str | bytes) -> NDArray[np.int64]:
    """COCO's text form: 5 bits a character, lowest first; later runs as differences to two runs before."""
    text = counts.encode("ascii", "replace") if isinstance(counts, str) else counts
    codes = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((codes & 32) == 0)
    if codes.size and (codes.min() < 0 or codes.max() > 63 or ends.size == 0 or ends[-1] != codes.size - 1):
        raise BadInput("run lengths: expected 'counts' in COCO's compressed form, got other text")
    if not codes.size:
        return np.zeros(0, np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(codes.size) - np.repeat(starts, ends - starts + 1)
    if place.max() > 7:
        raise BadInput("run lengths: a number in 'counts' is too long")
    values = np.add.reduceat((codes & 31) << (5 * place), starts)
    values -= np.where(codes[ends] & 16, np.int64(1) << (5 * (place[ends] + 1)), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def _from_runs(runs: NDArray[np.int64], size_hw: tuple[int, int]) -> Any:
    (height, width), total = size_hw, int(runs.sum())
    if (runs < 0).any() or total != height * width:
        raise BadInput(f"run lengths: expected counts that add up to {height} x {width} pixels, got {total}")
    if runs.size > 1 and not runs[1:].all():
        runs = _without_empty_runs(runs)
    return _library().from_counts(runs.astype(np.uint32), size_hw)


def _without_empty_runs(runs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Runs of no pixels join their neighbours; only the first may be empty."""
    values = np.arange(runs.size) % 2
    values, runs = values[runs > 0], runs[runs > 0]
    starts = np.flatnonzero(np.diff(values, prepend=-1))
    merged = np.add.reduceat(runs, starts)
    return merged if values[0] == 0 else np.concatenate([[0], merged])
