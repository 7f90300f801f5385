"""The files of a data set, by name: those of folders, members of tar shards. Of photos, reads headers."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from anymask.data.record import Blob
from anymask.errors import BadInput, mapped
from anymask.files import check_regular, is_inside
from anymask.images.reader import image_size

Photos = Mapping[str, tuple[str, Blob]]  # name and bytes of photos, by the key they are looked for with
IMAGE_SUFFIXES = (".webp", ".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif")


def list_files(path: Path, without: Path | None = None) -> dict[str, Blob]:
    """Files below a folder or in a tar shard (also of shards in a folder) by relative name, sorted.

    Hidden files and what is no regular file are left out, and the folder `without`. Raises BadInput.
    """
    if path.is_dir() and is_inside(path):
        return _list_folder(path, without.resolve() if without else None)
    check_regular(path)
    return list_tar(path) if is_tar(path.name) else {path.name: Blob(path)}


def _list_folder(folder: Path, without: Path | None) -> dict[str, Blob]:
    """Links to folders are followed, once each by their real path: loops end, nothing is listed twice."""
    files: dict[str, Blob] = {}
    entered = {os.path.realpath(folder)}
    for where, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in sorted(folders) if _is_new(Path(where, name), without, entered)]
        for name in sorted(names):
            path = Path(where, name)
            if is_hidden(name) or not path.is_file():
                continue
            if is_tar(name):
                files |= {f"{stem(name)}/{member}": blob for member, blob in list_tar(path).items()}
            else:
                files[path.relative_to(folder).as_posix()] = Blob(path)
    return files


def _is_new(folder: Path, without: Path | None, entered: set[str]) -> bool:
    real = os.path.realpath(folder)
    if is_hidden(folder.name) or Path(real) == without or real in entered:
        return False
    entered.add(real)
    return True


def list_tar(path: Path) -> dict[str, Blob]:
    """Members of an uncompressed tar shard, in its order. Raises BadInput."""
    check_regular(path)
    with (
        mapped((tarfile.TarError, OSError), BadInput, f"not an uncompressed tar shard: {path}"),
        tarfile.open(path, "r:") as archive,
    ):
        return {
            m.name: Blob(path, m.offset_data, m.size) for m in archive if m.isfile() and not is_hidden(m.name)
        }


def stem(name: str) -> str:
    """A path without the suffix of its file."""
    return os.path.splitext(name)[0]


def is_hidden(name: str) -> bool:
    return name.rpartition("/")[2].startswith(".")


def is_tar(name: str) -> bool:
    return name.lower().endswith(".tar")


def is_photo(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def photos_by_stem(files: Mapping[str, Blob]) -> dict[str, tuple[str, Blob]]:
    """The photos by their name without suffix."""
    return {stem(name): (name, blob) for name, blob in files.items() if is_photo(name)}


def with_suffix(files: Mapping[str, Blob], suffix: str) -> dict[str, Blob]:
    return {name: blob for name, blob in files.items() if name.lower().endswith(suffix)}


def only_file(path: Path, suffix: str, accepts: Callable[[Blob], bool], what: str) -> Path:
    """The file itself, or the only one of a folder that is accepted. Raises BadInput for none or several."""
    if not path.is_dir():
        return path
    files = [blob.path for blob in with_suffix(list_files(path), suffix).values() if accepts(blob)]
    if len(files) != 1:
        names = ", ".join(str(file.relative_to(path)) for file in files[:5]) or "none"
        raise BadInput(f"expected one {what} in {path}, found {names}: give the file")
    return files[0]


def find_photo(folders: Sequence[Path], names: Iterable[str]) -> Blob:
    """The first of some files that is there, else the first there might have been."""
    candidates = [os.path.join(folder, name) for name in dict.fromkeys(names) for folder in folders]
    return Blob(Path(next(filter(os.path.isfile, candidates), candidates[0])))


def size_of(blob: Blob) -> tuple[int, int]:
    """Height and width of a photo, upright, from its header. Raises BadImage, BadInput."""
    check_regular(blob.path)
    return image_size(blob.path if blob.length is None else blob.read())
