"""Files of a data set: listing them, finding the photo of a record, putting photos beside annotations."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from anymask.data.formats.contents import Notes, stem
from anymask.data.records import IMAGE_SUFFIXES, Blob, Record
from anymask.errors import BadInput, BadOption
from anymask.files import check_not_an_input, make_folder, reason, write_atomically
from anymask.images.reader import image_size

MANNERS = ("link", "copy", "none")
NO_PHOTO = "photos not found, not put beside the annotations"


def list_files(path: Path) -> dict[str, Blob]:
    """Files below a folder or in a tar shard (also of shards in a folder) by relative name, sorted; hidden
    ones are left out. Raises BadInput.
    """
    if path.is_dir():
        return _list_folder(path)
    if path.suffix.lower() == ".tar":
        return _list_tar(path)
    return {path.name: Blob(path)}


def _list_folder(folder: Path) -> dict[str, Blob]:
    files: dict[str, Blob] = {}
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(where, name)
            if name.startswith("."):
                continue
            if name.lower().endswith(".tar"):
                files |= {f"{stem(name)}/{member}": blob for member, blob in _list_tar(path).items()}
            else:
                files[path.relative_to(folder).as_posix()] = Blob(path)
    return files


def _list_tar(path: Path) -> dict[str, Blob]:
    try:
        with tarfile.open(path, "r:") as archive:
            return {m.name: Blob(path, m.offset_data, m.size) for m in archive if m.isfile()}
    except (tarfile.TarError, OSError) as error:
        raise BadInput(f"not an uncompressed tar shard: {path} ({error})") from error


def is_photo(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def photos_by_stem(files: Iterable[tuple[str, Blob]]) -> dict[str, tuple[str, Blob]]:
    """Photos by their name without suffix."""
    return {stem(name): (name, blob) for name, blob in files if is_photo(name)}


def find_photo(folders: Iterable[Path], names: Iterable[str]) -> Blob:
    """The first of some files that is there, else the first there might have been."""
    candidates = [folder / name for name in names for folder in folders]
    return Blob(next((path for path in candidates if path.is_file()), candidates[0]))


def exists(blob: Blob) -> bool:
    return blob.length is not None or blob.path.is_file()


def size_of(blob: Blob) -> tuple[int, int]:
    """Height and width of a photo, upright, from its header. Raises BadImage."""
    return image_size(blob.path if blob.length is None else blob.read())


def photo_name(record: Record) -> str:
    """The key with the suffix of the photo: what the photo is called beside the annotations."""
    own = str(record.fields["image"].get("file_name") or "")
    suffix = PurePosixPath(own).suffix or (record.blob.path.suffix if record.blob.length is None else "")
    return record.key + (suffix if suffix.lower() in IMAGE_SUFFIXES else ".jpg")


@dataclass(frozen=True, slots=True)
class Placer:
    """Puts photos where a format wants them. `manner`: link (symbolic), copy or none."""

    manner: str
    notes: Notes

    def __post_init__(self) -> None:
        if self.manner not in MANNERS:
            raise BadOption(f"photos: expected {', '.join(MANNERS)}, got {self.manner!r}")

    def place(self, record: Record, folder: Path) -> None:
        """At `folder / photo_name(record)`. Raises StorageError."""
        if self.manner == "none":
            return
        if not exists(record.blob):
            self.notes.changed(NO_PHOTO, record.key)
            return
        path = folder / photo_name(record)
        make_folder(path.parent)
        if self.manner == "link" and record.blob.length is None and _linked(path, record.blob.path):
            return
        if not path.is_symlink():
            check_not_an_input(path, [record.blob.path])
        try:
            content = record.blob.read()
        except OSError as error:
            self.notes.failed(str(record.blob.path), reason(error))
            return
        write_atomically(path, content)


def _linked(path: Path, target: Path) -> bool:
    """False where links are not possible: the photo is copied then."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.symlink_to(target.resolve())
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        return False
    return True
