"""Photos on disk that have no annotations yet: single files, folders, tar shards. Read when asked for.

Keys of photos: relative paths without suffix that are safe as file names and unique within a data set.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from anymask.data.listing import IMAGE_SUFFIXES, is_photo, list_files, stem
from anymask.data.record import Blob
from anymask.errors import BadInput

MAX_NAME_BYTES = 200  # of one part of a path; file systems take 255, with suffixes
RESERVED_KEYS = ("run", "summary")  # a run writes `run.json` and `summary.json` beside its records


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo of a run. `key`: a relative path without suffix, unlike any other of the run."""

    key: str
    name: str
    blob: Blob

    @property
    def source(self) -> str:
        """For messages: the file, or the shard and the member."""
        path = self.blob.path
        return str(path) if self.blob.length is None else f"{path}:{self.name}"


def open_photos(*paths: str | os.PathLike[str], without: Path | None = None) -> list[Photo]:
    """The photos of files, folders (sub-folders too) and uncompressed tar shards, sorted within each.

    `without`: a folder that is left out, as the output of the run. Raises BadInput when a path is missing
    or holds no photo.
    """
    photos: dict[tuple[str, str], Photo] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise BadInput(f"not found: {path}")
        found = list(_photos_of(path, without))
        if not found:
            raise BadInput(f"no photos in {path}: expected files ending in {', '.join(IMAGE_SUFFIXES)}")
        for name, blob in found:  # a path that is given twice is one photo
            photos.setdefault((os.path.realpath(blob.path), name), Photo("", name, blob))
    return _with_keys(list(photos.values()))


def _photos_of(path: Path, without: Path | None) -> Iterator[tuple[str, Blob]]:
    files = list_files(path, without)
    if path.is_dir():
        for name, blob in files.items():
            if is_photo(name):
                shard = "" if blob.length is None else f"{stem(blob.path.relative_to(path).as_posix())}/"
                yield name.removeprefix(shard), blob
    else:
        yield from sorted((n, b) for n, b in files.items() if b.length is None or is_photo(n))


def _with_keys(photos: Sequence[Photo]) -> list[Photo]:
    """The name without suffix; with it where two would be alike; with a number where that is not enough."""
    stems = [safe_key(stem(photo.name)) for photo in photos]
    counts, keys = Counter(key.casefold() for key in stems), UniqueKeys(RESERVED_KEYS)
    return [
        replace(photo, key=keys.of(key if counts[key.casefold()] == 1 else safe_key(photo.name)))
        for photo, key in zip(photos, stems, strict=True)
    ]


def safe_key(name: str) -> str:
    """A relative path that stays below the folder it is joined to and that a file system takes."""
    clean = "".join(c if c.isprintable() else "_" for c in name.replace("\\", "/"))
    parts = [_short(part) for part in clean.split("/") if part not in ("", ".", "..")]
    return "/".join(part.lstrip(".") or "photo" for part in parts) or "photo"


class UniqueKeys:
    """Numbers repeated keys: `a`, `a-2`, `a-3`. Keys that differ in case alone are the same to some file
    systems, so they count as repeated. `reserved`: keys that are never given.
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._taken = set(reserved)

    def of(self, wanted: str) -> str:
        key, number = wanted, 1
        while key.casefold() in self._taken:
            number += 1
            key = f"{wanted}-{number}"
        self._taken.add(key.casefold())
        return key


def _short(part: str) -> str:
    content = part.encode("utf-8", "replace")
    if len(content) <= MAX_NAME_BYTES:
        return part
    digest = hashlib.sha256(content).hexdigest()[:8]
    return f"{content[: MAX_NAME_BYTES - 10].decode('utf-8', 'ignore')}-{digest}"
