"""Images with masks on disk: folders and tar shards of `<key>.<image>` + `<key>.json` (SA-1B shape), and
COCO JSON.

Everything is read on demand: opening a data set reads only the list of its members. Knows nothing of
training or evaluation, and does not decode photos beyond `read_image`.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from anymask.core.mask import Mask
from anymask.errors import BadInput
from anymask.images.reader import read_image

IMAGE_SUFFIXES = (".webp", ".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif")


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
    def crowd(self) -> list[Annotation]:
        """Groups drawn as one: neither something to find nor wrong when found."""
        return [Annotation(a, self.size_hw) for a in self.fields.get("crowd", [])]

    @property
    def ignore(self) -> Mask | None:
        """Pixels to leave out for every mask of this photo."""
        return _mask(self.fields.get("ignore"), self.size_hw)

    def image_bytes(self) -> bytes:
        return self.blob.read()

    def read_pixels(self) -> np.ndarray:
        """uint8 H x W x 3. Raises BadImage."""
        return read_image(self.image_bytes())

    def member_bytes(self, name: str) -> bytes:
        """The file `<key>.<name>` beside the photo. Raises BadInput where there is none."""
        if name not in self.members:
            raise BadInput(f"{self.key}: expected a file {self.key}.{name} beside the photo, found none")
        return self.members[name].read()


@dataclass(frozen=True, slots=True)
class Blob:
    """A byte range of a file; the whole file when `length` is None."""

    path: Path
    offset: int = 0
    length: int | None = None

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(-1 if self.length is None else self.length)


class RecordSource(Sequence[Record]):
    """A list of records, read when indexed. `members`: of photos that have further files, those by name."""

    def __init__(
        self,
        name: str,
        entries: Sequence[tuple[str, Blob, Blob | dict[str, Any]]],
        members: Mapping[Blob, Mapping[str, Blob]] | None = None,
    ) -> None:
        self.name = name
        self._entries = entries
        self._members = members or {}

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Record:  # type: ignore[override]
        key, image, description = self._entries[index]
        fields = description if isinstance(description, dict) else _read_json(description, key)
        return Record(key, fields, image, self._members.get(image, {}))

    def __iter__(self) -> Iterator[Record]:
        return (self[i] for i in range(len(self)))

    @property
    def keys(self) -> list[str]:
        """Of all records, without reading them."""
        return [key for key, _, _ in self._entries]

    def only(self, indices: Sequence[int]) -> RecordSource:
        return RecordSource(self.name, [self._entries[i] for i in indices], self._members)

    def __add__(self, other: RecordSource) -> RecordSource:
        members = {**self._members, **other._members}
        return RecordSource(f"{self.name}+{other.name}", [*self._entries, *other._entries], members)


def open_records(*paths: str | os.PathLike[str] | RecordSource) -> RecordSource:
    """Open shards, folders (of shards or of images) and COCO JSON files as one source, in the order given;
    what is open already stays as it is.

    Raises BadInput when a path is missing or holds no records.
    """
    sources = [p if isinstance(p, RecordSource) else _open_one(Path(p)) for p in paths]
    if not sources:
        raise BadInput("expected at least one data set, got none")
    joined = sources[0]
    for source in sources[1:]:
        joined = joined + source
    return joined


def _open_one(path: Path) -> RecordSource:
    if not path.exists():
        raise BadInput(f"data set not found: {path}")
    if path.is_dir():
        shards = sorted(path.glob("*.tar"))
        source = open_records(*shards) if shards else _open_folder(path)
    elif path.suffix == ".tar":
        source = _open_tar(path)
    elif path.suffix == ".json":
        source = _open_coco(path)
    else:
        raise BadInput(f"expected a folder, a .tar shard or a COCO .json, got {path}")
    if not len(source):
        raise BadInput(f"no images with annotations in {path}")
    return source


def _open_tar(path: Path) -> RecordSource:
    try:
        with tarfile.open(path, "r:") as archive:
            blobs = {m.name: Blob(path, m.offset_data, m.size) for m in archive if m.isfile()}
    except tarfile.TarError as error:
        raise BadInput(f"not an uncompressed tar shard: {path} ({error})") from error
    return RecordSource(path.stem, _pair(blobs), _members(blobs))


def _open_folder(path: Path) -> RecordSource:
    files = {str(p.relative_to(path)): Blob(p) for p in sorted(path.rglob("*")) if p.is_file()}
    return RecordSource(path.name, _pair(files), _members(files))


def _pair(blobs: dict[str, Blob]) -> list[tuple[str, Blob, Blob | dict[str, Any]]]:
    """Images that have a JSON of the same key beside them, in the order of the images."""
    images = {os.path.splitext(n)[0]: b for n, b in blobs.items() if n.lower().endswith(IMAGE_SUFFIXES)}
    return [(key, blob, blobs[f"{key}.json"]) for key, blob in images.items() if f"{key}.json" in blobs]


def _members(blobs: dict[str, Blob]) -> dict[Blob, dict[str, Blob]]:
    """Files `<key>.<name>` that are neither photo nor JSON, by photo and name; the longest key wins."""
    images = {os.path.splitext(n)[0]: b for n, b in blobs.items() if n.lower().endswith(IMAGE_SUFFIXES)}
    members: dict[Blob, dict[str, Blob]] = {}
    for file_name, blob in blobs.items():
        key = os.path.splitext(file_name)[0]
        if key in images and (images[key] == blob or file_name == f"{key}.json"):
            continue
        while key not in images and "." in os.path.basename(key):
            key = os.path.splitext(key)[0]
        if key in images:
            members.setdefault(images[key], {})[file_name[len(key) + 1 :]] = blob
    return members


def _open_coco(path: Path) -> RecordSource:
    """COCO JSON; photos lie beside it or in `images/` beside it."""
    coco = _read_json(Blob(path), path.name)
    if not isinstance(coco.get("images"), list) or not isinstance(coco.get("annotations"), list):
        raise BadInput(f"expected COCO JSON with 'images' and 'annotations' in {path}")
    names = {c["id"]: c["name"] for c in coco.get("categories", [])}
    by_image: dict[Any, list[dict[str, Any]]] = {}
    for annotation in coco["annotations"]:
        named = {**annotation, "category": names.get(annotation.get("category_id"))}
        by_image.setdefault(annotation["image_id"], []).append(named)
    return RecordSource(path.stem, [_coco_entry(path.parent, image, by_image) for image in coco["images"]])


def _coco_entry(
    folder: Path, image: dict[str, Any], by_image: dict[Any, list[dict[str, Any]]]
) -> tuple[str, Blob, dict[str, Any]]:
    candidates = [folder / image["file_name"], folder / "images" / image["file_name"]]
    found = next((p for p in candidates if p.exists()), candidates[0])
    annotations = by_image.get(image["id"], [])
    fields = {
        "image": {**image, "image_id": image["id"]},
        "annotations": [a for a in annotations if not a.get("iscrowd")],
        "crowd": [a for a in annotations if a.get("iscrowd")],
        "source": "coco",
    }
    return Path(image["file_name"]).stem, Blob(found), fields


def _read_json(blob: Blob, key: str) -> dict[str, Any]:
    try:
        fields = json.loads(blob.read())
    except (ValueError, OSError) as error:
        raise BadInput(f"cannot read the JSON of {key} in {blob.path}: {error}") from error
    if not isinstance(fields, dict):
        raise BadInput(f"expected a JSON object for {key} in {blob.path}, got {type(fields).__name__}")
    return fields


def _mask(segmentation: Any, size_hw: tuple[int, int]) -> Mask | None:
    if not segmentation:
        return None
    if isinstance(segmentation, list):
        return Mask.from_polygons(segmentation, size_hw)
    return Mask.from_rle(segmentation)
