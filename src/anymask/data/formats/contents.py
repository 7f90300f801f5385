"""What passes between a reader and a writer: records in the shape of SA-1B, and notes on what was lost.

Knows no format. Readers make every mask run lengths of the size of its photo; writers rely on that.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from anymask.core.polygons import coco_rings
from anymask.data.listing import size_of
from anymask.data.photos import UniqueKeys, safe_key
from anymask.data.record import Annotation, Blob, Record
from anymask.errors import AnymaskError, BadInput, StorageError, reason

Item = TypeVar("Item")
Fields = dict[str, Any]
NO_CATEGORY = "object"  # what masks without a category are called where a format wants one
SCORES = ("predicted_iou", "stability_score", "probability", "score")


@dataclass(slots=True)
class Notes:
    """Collected while reading and writing, reported once at the end.

    `changes`: how often something could not be kept, by what it was; `first`: where that was seen first.
    `failures`: files or annotations that could not be used, and why.
    """

    changes: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)

    def changed(self, what: str, where: str, times: int = 1) -> None:
        if times:
            self.changes[what] += times
            self.first.setdefault(what, where)

    def failed(self, where: str, error: object) -> None:
        self.failures.append((where, str(error)))

    def lines(self) -> list[str]:
        """The changes, for people."""
        return [f"note: {n:,} x {what} (first: {self.first[what]})" for what, n in self.changes.items()]

    def __add__(self, other: Notes) -> Notes:
        changes, first = self.changes + other.changes, other.first | self.first
        return Notes(changes, first, [*self.failures, *other.failures])

    @contextlib.contextmanager
    def catching(self, where: str) -> Iterator[None]:
        """Errors of one photo become failures, so that the others go on; StorageError (disk full) passes."""
        try:
            yield
        except StorageError:
            raise
        except AnymaskError as error:
            self.failed(where, error)
        except MemoryError:
            self.failed(where, "not enough memory")
        except OSError as error:
            self.failed(where, reason(error))
        except Exception as error:  # a file nobody thought of must not cost the others
            self.failed(where, f"internal error, {type(error).__name__}: {error}")

    def each(self, items: Iterable[tuple[str, Item]], read: Callable[[Item], Record]) -> Iterator[Record]:
        """The records of named items; those that cannot be read become failures."""
        for where, item in items:
            with self.catching(where):
                yield read(item)

    def each_annotation(
        self, found: Iterable[Any], read: Callable[[int, Any], Fields | None], where: str
    ) -> list[Fields]:
        """The annotations of one photo, counted from 1; those that cannot be used become failures."""
        annotations = []
        for number, one in enumerate(found, 1):
            try:
                annotations.append(read(number, one))
            except BadInput as error:
                self.failed(f"{where}, annotation {number}", error)
        return [fields for fields in annotations if fields]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a reader found. `records` are read when iterated, once; `total` of them are expected.

    `categories`: what the source declares, used or not, and the number it gives to each.
    """

    records: Iterable[Record]
    total: int
    categories: Mapping[str, int] = field(default_factory=dict)


def checked(
    fields: Fields, size_hw: tuple[int, int], where: str, notes: Notes, *, draw: bool = True
) -> Fields:
    """An annotation that writers can rely on: its mask, if any, as run lengths of the size of the photo.

    `draw=False`: polygons are checked but stay as they are, as drawing all of a large data set takes long.
    Raises BadInput when it has neither a mask nor a box, or one that makes no sense.
    """
    if not isinstance(fields, dict):
        raise BadInput(f"expected an annotation to be an object, got {type(fields).__name__}")
    segmentation = fields.get("segmentation")
    if isinstance(segmentation, list):
        segmentation = _proper_rings(segmentation, where, notes)
    has_box = _is_box(fields.get("bbox"))
    if not segmentation:
        if not has_box:
            raise BadInput("expected a 'segmentation' or a 'bbox' of four numbers, found neither")
        return {k: v for k, v in fields.items() if k != "segmentation"}
    found = {**fields, "segmentation": segmentation}
    has_area = isinstance(fields.get("area"), int | float)
    if draw or not (has_box and has_area and isinstance(segmentation, list)):
        return _drawn(found, size_hw)
    list(coco_rings(segmentation, max(size_hw)))  # raises what drawing would
    return found


def _drawn(fields: Fields, size_hw: tuple[int, int]) -> Fields:
    mask = Annotation(fields, size_hw).mask
    assert mask is not None
    if mask.size_hw != size_hw:
        raise BadInput(f"expected a mask of {size_hw} (h, w) as the photo, got {mask.size_hw}")
    found = {**fields, "segmentation": mask.rle}
    if not _is_box(fields.get("bbox")):
        found["bbox"] = list(mask.bbox_xywh)
    if not isinstance(fields.get("area"), int | float):
        found["area"] = mask.area
    return found


def _proper_rings(polygons: list[Any], where: str, notes: Notes) -> list[Any]:
    proper = [p for p in polygons if not (isinstance(p, list) and len(p) < 6 and _is_numbers(p))]
    notes.changed("outlines of fewer than three points passed over", where, len(polygons) - len(proper))
    return proper


def _is_box(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 4 and _is_numbers(value)


def _is_numbers(values: Iterable[Any]) -> bool:
    return all(isinstance(v, int | float) and math.isfinite(v) for v in values)


def checked_size(image: Any) -> tuple[int, int] | None:
    """Height and width as an image entry gives them; None where it gives none. Raises BadInput."""
    if not isinstance(image, dict):
        raise BadInput(f"expected 'image' to be an object, got {type(image).__name__}")
    height: Any = image.get("height")
    width: Any = image.get("width")
    if height is width is None:
        return None
    whole = all(isinstance(v, int | float) and v > 0 and v == v // 1 for v in (height, width))
    if not whole or height * width >= 2**32:
        raise BadInput(f"expected a width and a height in pixels, got {width!r} x {height!r}")
    return int(height), int(width)


def stated_size(image: Fields, photo: Blob, where: str, notes: Notes) -> tuple[int, int]:
    """Height and width as an image entry states them, else of the photo; where both differ, that is noted.

    Masks stay in the stated frame: nobody knows how they would fit the photo. Raises BadInput, BadImage.
    """
    stated = checked_size(image)
    if stated is None:
        return size_of(photo)
    try:
        own = size_of(photo) if photo.exists else stated
    except BadInput:  # whoever needs the photo will say it
        return stated
    if own != stated:
        (height, width), (own_height, own_width) = stated, own
        notes.changed(
            f"photos of another size than the annotations are for (as {width} x {height} for {own_width} x "
            f"{own_height})",
            where,
        )
    return stated


def with_own_keys(records: Iterable[Record]) -> Iterator[Record]:
    """Keys that are safe and unique; photos without an id are counted."""
    keys = UniqueKeys()
    for place, record in enumerate(records, 1):
        fields = {**record.fields, "image": {"image_id": place, **record.fields["image"]}}
        yield replace(record, key=keys.of(safe_key(record.key)), fields=fields)


def category_of(fields: Fields) -> str:
    """The name of its category; a name for all that have none."""
    category = fields.get("category")
    return NO_CATEGORY if category is None or category == "" else str(category)


def _lost_masks(is_lost: Callable[[Annotation], bool]) -> Callable[[Record], int]:
    return lambda record: sum(map(is_lost, record.annotations))


# What a format without a capability leaves out of a record: what it is called, and how much of it there is.
LOSSES: dict[str, tuple[str, Callable[[Record], int]]] = {
    "categories": ("categories not kept", _lost_masks(lambda one: one.category is not None)),
    "scores": ("scores not kept", _lost_masks(lambda one: any(name in one.fields for name in SCORES))),
    "boxes": ("boxes without a mask left out", _lost_masks(lambda one: "segmentation" not in one.fields)),
    "empty": ("empty masks left out", _lost_masks(lambda one: one.mask is not None and one.mask.is_empty)),
    "crowd": ("groups (crowd) left out", lambda record: len(record.crowd)),
    "ignore": ("ignored pixels of a photo not kept", lambda record: bool(record.fields.get("ignore"))),
}


class Numbering:
    """Numbers for categories: those the source declares, then those it wants, then the next free one."""

    def __init__(self, declared: Mapping[str, int | None], first: int) -> None:
        self.numbers: dict[str, int] = {}
        self._next = first
        for name, number in declared.items():
            self._number(name, number)

    @classmethod
    def without_gaps(cls, declared: Mapping[str, int], first: int) -> Numbering:
        """For formats whose numbers are places in a list: counted anew from `first`, in the same order."""
        return cls(dict.fromkeys(sorted(declared, key=lambda name: declared[name])), first)

    def of(self, annotation: Annotation, wanted: Any = None) -> int:
        """The number of its category."""
        return self._number(category_of(annotation.fields), wanted)

    def _number(self, name: str, wanted: Any) -> int:
        if name not in self.numbers:
            taken = set(self.numbers.values())
            if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 0 or wanted in taken:
                while self._next in taken:
                    self._next += 1
                wanted = self._next
            self.numbers[name] = wanted
        return self.numbers[name]
