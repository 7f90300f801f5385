"""JSON files of annotations: reading one, and finding out which format it has."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anymask.data.formats.contents import Contents, Fields, Notes
from anymask.data.formats.photo_writer import PhotoWriter
from anymask.data.listing import list_files, with_suffix
from anymask.data.record import Blob, Record
from anymask.errors import BadInput, mapped
from anymask.files import write_atomically

JsonFile = tuple[str, Blob, Fields]
COCO_KEYS, RECORD_KEYS = {"images", "annotations"}, {"image", "annotations"}  # of objects of these formats
PEEKED_AT = 20  # files of a folder that are opened to find out its format
LARGE = 1 << 26  # bytes; JSON over it is taken for COCO: no other format puts all photos into one file


def read_object(blob: Blob, where: str) -> Fields:
    """Raises BadInput for what is not a JSON object."""
    with mapped((ValueError, RecursionError), BadInput, f"{where} is damaged or no JSON"):
        found = json.loads(blob.read())
    if not isinstance(found, dict):
        raise BadInput(f"{where}: expected a JSON object, got {type(found).__name__}")
    return found


def each_object(
    files: Mapping[str, Blob], accepts: Callable[[Fields], bool], passed_over: str, notes: Notes
) -> Iterator[tuple[str, JsonFile]]:
    """Name, file and content of the JSON files that are of a format; of the others a note."""
    for name, blob in with_suffix(files, ".json").items():
        with notes.catching(str(blob.path)):
            fields = read_object(blob, name)
            if accepts(fields):
                yield f"{blob.path}:{name}", (name, blob, fields)
            else:
                notes.changed(passed_over, name)


def encoded(value: Any) -> bytes:
    """On one line; readable. In file names that are no UTF-8 the bytes that are none become JSON escapes."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


def write_beside(
    fields_of: Callable[[Record], Fields], contents: Contents, folder: Path, photos: PhotoWriter
) -> None:
    """A JSON file for each photo, both in `folder`. Raises StorageError."""
    for record in contents.records:
        with photos.notes.catching(record.key):
            photos.write(record, folder)
            write_atomically(folder / f"{record.key}.json", encoded(fields_of(record)) + b"\n")


def objects_in(found: Any, name: str, where: str = "") -> list[Fields]:
    """Raises BadInput for what is no list of JSON objects."""
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadInput(f"{where}expected {name!r} to be a list of objects")
    return found


@dataclass(frozen=True, slots=True)
class FormatClues:
    """What a format is recognised by: names of files, and the keys of the first JSON objects there."""

    path: Path
    names: tuple[str, ...]
    objects: tuple[frozenset[str], ...]

    @classmethod
    def at(cls, path: Path) -> FormatClues:
        """Raises BadInput when a shard cannot be read."""
        known = path.is_dir() or path.suffix.lower() in (".json", ".tar")
        files = list_files(path) if known else {path.name: Blob(path)}
        blobs = [*with_suffix(files, ".json").values()][:PEEKED_AT]
        return cls(path, tuple(files), tuple(map(keys_of, blobs)))

    def have(self, *keys: set[str]) -> bool:
        """Whether one of the objects has all keys of one of these sets."""
        return any(one <= found for found in self.objects for one in keys)


def keys_of(blob: Blob) -> frozenset[str]:
    """Of the JSON object in a file; none where there is no such object."""
    if blob.length is None and blob.path.stat().st_size > LARGE:
        return frozenset(COCO_KEYS)
    try:
        return frozenset(read_object(blob, str(blob.path)))
    except BadInput:
        return frozenset()
