"""Photos on disk that have no annotations yet: single files, folders, tar shards. Read when asked for.

Keys of photos: relative paths without suffix that are safe as file names and unique within a data set.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from anymask.data.listing import IMAGE_SUFFIXES, is_photo, list_files, stem
from anymask.data.record import Blob
from anymask.errors import BadInput
from anymask.files import short_name, utf8_name

RESERVED_KEYS = ("run", "summary")  # a run writes `run.json` and `summary.json` beside its records
FORMAT_FOLDERS = (  # and these below it
    "sa1b", "coco", "coco-polygon", "coco-cvat", "yolo", "voc", "labelme", "label-map", "cvat", "datumaro",
    "label-studio", "cityscapes", "geojson", "webdataset", "parquet", "panoptic",
)  # fmt: skip
OVERLAY_SUFFIX = ".overlay.png"


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


def open_photos(
    *paths: str | os.PathLike[str],
    without: Path | None = None,
    failed: Callable[[BadInput], None] | None = None,
) -> list[Photo]:
    """The photos of files, folders (sub-folders too) and uncompressed tar shards, sorted within each.

    `without`: a folder that is left out, as the output of the run; of one that holds photos too, what a run
    writes there. `failed` takes what is wrong with a path, as long as there is another with photos. Raises
    BadInput when a path is missing or holds no photo.
    """
    photos: dict[tuple[str, str], Photo] = {}
    errors: list[BadInput] = []
    for path in map(Path, paths):
        try:
            found = _some_photos_of(path, without)
        except BadInput as error:
            if failed is None:
                raise
            errors.append(error)
            continue
        for name, blob in found:  # a path that is given twice is one photo
            photos.setdefault((os.path.realpath(blob.path), name), Photo("", name, blob))
    if errors and not photos:
        raise errors[0]
    if failed is not None:
        for one in errors:
            failed(one)
    return _with_keys(list(photos.values()))


def _some_photos_of(path: Path, without: Path | None) -> list[tuple[str, Blob]]:
    """Raises BadInput."""
    if not path.exists():
        raise BadInput(f"not found: {path}")
    out = None if without is None else os.path.realpath(without)
    found = [(n, b) for n, b in _photos_of(path, without) if out is None or not _is_output(b.path, out)]
    if not found:
        raise BadInput(f"no photos in {path}: expected files ending in {', '.join(IMAGE_SUFFIXES)}")
    return found


def _is_output(path: Path, out: str) -> bool:
    """What a run wrote: an overlay beside a record, and what lies in the folder of a format."""
    inside = os.path.relpath(os.path.realpath(path.parent), out)
    first = inside.split(os.sep)[0]
    if first == os.pardir:
        return False
    if first in FORMAT_FOLDERS and os.path.exists(os.path.join(out, "run.json")):
        return True
    return (
        path.name.endswith(OVERLAY_SUFFIX)
        and path.with_name(path.name.removesuffix(OVERLAY_SUFFIX) + ".json").exists()
    )


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
    stems = [_own_folder(safe_key(stem(photo.name))) for photo in photos]
    counts, keys = Counter(key.casefold() for key in stems), UniqueKeys(RESERVED_KEYS)
    return [
        replace(photo, key=keys.of(key if counts[key.casefold()] == 1 else _own_folder(safe_key(photo.name))))
        for photo, key in zip(photos, stems, strict=True)
    ]


def _own_folder(key: str) -> str:
    """Not the folder into which the run converts its records."""
    first, slash, rest = key.partition("/")
    return f"{first}-photos/{rest}" if slash and first.casefold() in FORMAT_FOLDERS else key


def safe_key(name: str) -> str:
    """A relative path that stays below the folder it is joined to and that a file system takes.

    Its bytes on disk are the same in every locale.
    """
    clean = "".join(c if c.isprintable() else "_" for c in utf8_name(name).replace("\\", "/"))
    parts = [short_name(part) for part in clean.split("/") if part not in ("", ".", "..")]
    return os.fsdecode(("/".join(part.lstrip(".") or "photo" for part in parts) or "photo").encode())


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
