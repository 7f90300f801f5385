"""JSON files of annotations: reading one, and telling what kind it is."""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anymask.data.formats.photo_files import list_files
from anymask.data.records import Blob
from anymask.errors import BadInput

PEEKED_AT = 20  # files of a folder that are opened to tell its format
LARGE = 1 << 26  # bytes; JSON over it is taken for COCO: no other format puts all photos into one file


def read_object(blob: Blob, where: str) -> dict[str, Any]:
    """Raises BadInput for what is not a JSON object."""
    try:
        found = json.loads(blob.read())
    except OSError as error:
        raise BadInput(f"{where} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where} is damaged or no JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadInput(f"{where}: expected a JSON object, got {type(found).__name__}")
    return found


def encoded(value: Any) -> bytes:
    """On one line; readable, except for file names that are no text."""
    try:
        return json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value).encode("ascii")


def is_coco(found: Container[str]) -> bool:
    return "images" in found and "annotations" in found


def is_record(found: Container[str]) -> bool:
    return "image" in found and "annotations" in found


def is_labelme(found: Container[str]) -> bool:
    return "shapes" in found and ("imagePath" in found or "imageHeight" in found)


@dataclass(frozen=True, slots=True)
class Look:
    """What a format is told by: the names of some files, and the keys of the first JSON objects there."""

    path: Path
    names: tuple[str, ...]
    objects: tuple[frozenset[str], ...]

    @classmethod
    def at(cls, path: Path) -> Look:
        """Raises BadInput when a shard cannot be read."""
        known = path.is_dir() or path.suffix.lower() in (".json", ".tar")
        files = list_files(path) if known else {path.name: Blob(path)}
        described = [blob for name, blob in files.items() if name.lower().endswith(".json")]
        return cls(path, tuple(files), tuple(_keys(blob) for blob in described[:PEEKED_AT]))


def _keys(blob: Blob) -> frozenset[str]:
    if blob.length is None and blob.path.stat().st_size > LARGE:
        return frozenset(("images", "annotations"))
    try:
        return frozenset(read_object(blob, str(blob.path)))
    except BadInput:
        return frozenset()
