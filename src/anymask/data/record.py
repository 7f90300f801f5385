"""Record: one photo with its annotations, in the shape of SA-1B. Values; knows no data set and no format."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from anymask.core.mask import Mask
from anymask.errors import BadInput, mapped
from anymask.files import check_regular, is_inside
from anymask.images.reader import read_image

PARTIAL = "partial"  # of a record's fields: not everything there is is annotated


@dataclass(frozen=True, slots=True)
class Blob:
    """A byte range of a file; the whole file when `length` is None."""

    path: Path
    offset: int = 0
    length: int | None = None

    @property
    def exists(self) -> bool:
        return is_inside(self.path) and (self.length is not None or self.path.is_file())

    def read(self) -> bytes:
        """Raises BadInput when the file is missing, cannot be read or is no regular file."""
        with mapped((OSError, ValueError), BadInput, f"cannot read {self.path}"):  # ValueError: a null in it
            check_regular(self.path)
            with self.path.open("rb") as file:
                file.seek(self.offset)
                return file.read(-1 if self.length is None else self.length)

    @property
    def sha256(self) -> str:
        """Of its bytes, in hexadecimal digits. Raises BadInput."""
        return hashlib.sha256(self.read()).hexdigest()

    def read_text(self) -> str:
        """Of UTF-8. Raises BadInput."""
        with mapped(UnicodeDecodeError, BadInput, f"{self.path} is no text"):
            return self.read().decode("utf-8-sig")


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotated object: a mask or, where only a box is known, no segmentation."""

    fields: dict[str, Any]
    size_hw: tuple[int, int]

    @property
    def mask(self) -> Mask | None:
        return _mask(self.fields.get("segmentation"), self.size_hw)

    @property
    def ignore(self) -> Mask | None:
        """Pixels to leave out when this mask is scored."""
        return _mask(self.fields.get("ignore"), self.size_hw)

    @property
    def box_xyxy(self) -> tuple[float, float, float, float]:
        """Raises BadInput when the annotation has no box."""
        with mapped((KeyError, TypeError, ValueError), BadInput, "expected a 'bbox' of four numbers, got"):
            x, y, w, h = self.fields["bbox"]
            return (x, y, x + w, y + h)

    @property
    def area(self) -> float:
        return float(self.fields.get("area", 0))

    @property
    def category(self) -> str | None:
        return self.fields.get("category")

    @property
    def semantic(self) -> bool:
        """True when the mask joins several pieces or instances."""
        return bool(self.fields.get("semantic", False))


@dataclass(frozen=True, slots=True)
class Record:
    """One photo and its annotations; `blob` reads the encoded image.

    `members`: further files beside the photo, `<key>.<name>`, by their name.
    """

    key: str
    fields: dict[str, Any]
    blob: Blob
    members: Mapping[str, Blob] = field(default_factory=dict)

    @property
    def size_hw(self) -> tuple[int, int]:
        return int(self.fields["image"]["height"]), int(self.fields["image"]["width"])

    @property
    def source(self) -> str:
        return str(self.fields.get("source", ""))

    @property
    def annotations(self) -> list[Annotation]:
        return [Annotation(a, self.size_hw) for a in self.fields.get("annotations", [])]

    @property
    def drawn(self) -> list[tuple[Annotation, Mask]]:
        """The annotations that have a mask with pixels."""
        return [(one, mask) for one in self.annotations if (mask := one.mask) is not None and mask.area]

    @property
    def crowd(self) -> list[Annotation]:
        """Groups drawn as one: neither something to find nor wrong when found."""
        return [Annotation(a, self.size_hw) for a in self.fields.get("crowd", [])]

    @property
    def ignore(self) -> Mask | None:
        """Pixels to leave out for every mask of this photo."""
        return _mask(self.fields.get("ignore"), self.size_hw)

    def read_pixels(self) -> np.ndarray:
        """uint8 H x W x 3. Raises BadInput, BadImage."""
        return read_image(self.blob.read())

    def member_bytes(self, name: str) -> bytes:
        """The file `<key>.<name>` beside the photo. Raises BadInput where there is none."""
        if name not in self.members:
            raise BadInput(f"{self.key}: expected a file {self.key}.{name} beside the photo, found none")
        return self.members[name].read()


def annotation_of(number: int, mask: Mask, category: str | None = None, **more: Any) -> dict[str, Any]:
    """A mask as an annotation; `number` counts those of a photo from 1."""
    own = {"id": number, "segmentation": mask.rle, "bbox": list(mask.bbox_xywh), "area": mask.area}
    return {**own, **_named(category), **more}


def box_annotation(number: int, xywh: Sequence[float], category: str | None, **more: Any) -> dict[str, Any]:
    """A thing of which only the box is known."""
    return {"id": number, "bbox": list(xywh), "area": xywh[2] * xywh[3], **_named(category), **more}


def _named(category: str | None) -> dict[str, Any]:
    return {} if category is None else {"category": category}


def _mask(segmentation: Any, size_hw: tuple[int, int]) -> Mask | None:
    if not segmentation:
        return None
    if isinstance(segmentation, list):
        return Mask.from_polygons(segmentation, size_hw)
    return Mask.from_rle(segmentation)
