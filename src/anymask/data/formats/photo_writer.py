"""Putting photos beside the annotations that are written: as symbolic links, as copies, or not at all."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from anymask.data.formats.contents import Notes
from anymask.data.listing import IMAGE_SUFFIXES
from anymask.data.record import Record
from anymask.errors import BadOption
from anymask.files import check_not_an_input, make_folder, write_atomically

LINK_MODES = ("link", "copy", "none")
NO_PHOTO = "photos not found, not put beside the annotations"


def photo_name(record: Record) -> str:
    """The key with the suffix of the photo: what the photo is called beside the annotations."""
    own = str(record.fields["image"].get("file_name") or "")
    suffix = PurePosixPath(own).suffix or (record.blob.path.suffix if record.blob.length is None else "")
    return record.key + (suffix if suffix.lower() in IMAGE_SUFFIXES else ".jpg")


@dataclass(frozen=True, slots=True)
class PhotoWriter:
    """Puts photos where a format wants them. `mode`: link (symbolic), copy or none."""

    mode: str
    notes: Notes

    def __post_init__(self) -> None:
        if self.mode not in LINK_MODES:
            raise BadOption(f"photos: expected {', '.join(LINK_MODES)}, got {self.mode!r}")

    def write(self, record: Record, folder: Path) -> None:
        """At `folder / photo_name(record)`. Raises StorageError."""
        if self.mode == "none":
            return
        if not record.blob.exists:
            self.notes.changed(NO_PHOTO, record.key)
            return
        path = folder / photo_name(record)
        make_folder(path.parent)
        if self.mode == "link" and record.blob.length is None and _linked(path, record.blob.path):
            return
        if not path.is_symlink():
            check_not_an_input(path, [record.blob.path])
        with self.notes.catching(str(record.blob.path)):
            write_atomically(path, record.blob.read())


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
