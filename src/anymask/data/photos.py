"""Photos on disk that have no annotations yet: single files, folders, tar shards. Read when asked for."""

from __future__ import annotations

import os
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from anymask.data.records import IMAGE_SUFFIXES, Blob
from anymask.errors import BadInput


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo of a run. `key`: a relative path without suffix, unlike any other of the run."""

    key: str
    name: str
    blob: Blob

    @property
    def file_name(self) -> str:
        """The last part of its name."""
        return PurePosixPath(self.name).name

    @property
    def whence(self) -> str:
        """For messages: the file, or the shard and the member."""
        path = self.blob.path
        return str(path) if self.blob.length is None else f"{path}:{self.name}"


def open_photos(*paths: str | os.PathLike[str], without: Path | None = None) -> list[Photo]:
    """The photos of files, folders (sub-folders too) and uncompressed tar shards, sorted within each.

    `without`: a folder that is left out, as the output of the run. Raises BadInput when a path is missing
    or holds no photo.
    """
    photos: dict[tuple[str, str], Photo] = {}
    for path in paths:
        found = list(_photos_of(Path(path), without))
        if not found:
            raise BadInput(f"no photos in {path}: expected files ending in {', '.join(IMAGE_SUFFIXES)}")
        for name, blob in found:  # a path that is given twice is one photo
            photos.setdefault((os.path.realpath(blob.path), name), Photo("", name, blob))
    return _with_keys(list(photos.values()))


def _photos_of(path: Path, without: Path | None) -> Iterator[tuple[str, Blob]]:
    if not path.exists():
        raise BadInput(f"not found: {path}")
    if path.is_dir():
        yield from _photos_of_folder(path, without)
    elif path.suffix.lower() == ".tar":
        yield from _photos_of_tar(path)
    else:
        yield path.name, Blob(path)


def _photos_of_folder(folder: Path, without: Path | None) -> Iterator[tuple[str, Blob]]:
    left_out = without.resolve() if without else None
    for where, folders, files in os.walk(folder):
        here = Path(where)
        folders[:] = sorted(f for f in folders if not f.startswith(".") and (here / f).resolve() != left_out)
        for name in sorted(files):
            path = here / name
            if name.startswith("."):
                continue
            if name.lower().endswith(IMAGE_SUFFIXES):
                yield path.relative_to(folder).as_posix(), Blob(path)
            elif name.lower().endswith(".tar"):
                yield from _photos_of_tar(path)


def _photos_of_tar(path: Path) -> Iterator[tuple[str, Blob]]:
    try:
        with tarfile.open(path, "r:") as archive:
            members = [(m.name, Blob(path, m.offset_data, m.size)) for m in archive if m.isfile()]
    except (tarfile.TarError, OSError) as error:
        raise BadInput(f"not an uncompressed tar shard: {path} ({error})") from error
    yield from sorted((m for m in members if m[0].lower().endswith(IMAGE_SUFFIXES)), key=lambda m: m[0])


def _with_keys(photos: Sequence[Photo]) -> list[Photo]:
    """The name without suffix; with it where two would be alike; with a number where that is not enough."""
    stems = [_safe(os.path.splitext(p.name)[0]) for p in photos]
    often = Counter(stem.casefold() for stem in stems)
    taken: set[str] = set()
    keyed = []
    for photo, stem in zip(photos, stems, strict=True):
        wanted = stem if often[stem.casefold()] == 1 else _safe(photo.name)
        key, number = wanted, 1
        while key.casefold() in taken:
            number += 1
            key = f"{wanted}-{number}"
        taken.add(key.casefold())
        keyed.append(Photo(key, photo.name, photo.blob))
    return keyed


def _safe(name: str) -> str:
    """A relative path that stays below the folder it is joined to."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return "/".join(parts) or "photo"
