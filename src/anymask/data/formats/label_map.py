"""Label map: a PNG for each photo, whose pixels hold the number of the mask they belong to.

    DST/masks/<key>.png     0 where there is no mask; grey, 8 bit up to 255 masks, else 16 bit
    DST/images/<key>.jpg    where photos are asked for

Read from `masks/`, or from all PNG files of a folder that has no such folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from anymask.data.formats.contents import Contents, Notes
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.json_files import FormatClues
from anymask.data.formats.label_image import (
    LARGEST,
    note_what_was_covered,
    paint,
    png_of,
    read_png,
    take_apart,
)
from anymask.data.formats.photo_writer import PhotoWriter
from anymask.data.keys import stem
from anymask.data.listing import find_photo, list_files, photos_by_stem, with_suffix
from anymask.data.record import Blob, Record, annotation_of
from anymask.errors import BadInput
from anymask.files import write_atomically

FOLDER = "masks"
TOO_MANY = f"masks beyond {LARGEST:,} of a photo left out"


def read(path: Path, notes: Notes, photo_folder: Path | None = None) -> Contents:
    """Raises BadInput when there is no PNG."""
    root = path / FOLDER if (path / FOLDER).is_dir() else path
    files = with_suffix(list_files(root), ".png")
    if not files:
        raise BadInput(f"expected PNG files of label numbers in {path}, found none")
    folders = [*filter(None, [photo_folder]), path / "images"]
    photos: dict[str, tuple[str, Blob]] = {}
    for folder in filter(Path.is_dir, folders[::-1]):
        photos |= photos_by_stem(list_files(folder))
    read_one = partial(_record, photos=photos)
    items = [(str(blob.path), (stem(name), blob)) for name, blob in files.items()]
    return Contents(notes.each(items, read_one), len(items))


def _record(named: tuple[str, Blob], photos: Mapping[str, tuple[str, Blob]]) -> Record:
    key, blob = named
    labels_HW = read_png(blob)
    masks = take_apart(labels_HW)
    name, photo = photos.get(key, (f"{key}.jpg", find_photo([blob.path.parent], [f"{key}.jpg"])))
    height, width = labels_HW.shape
    image = {"height": height, "width": width, "file_name": PurePosixPath(name).name}
    annotations = [annotation_of(number, mask) for number, mask in masks.items()]
    return Record(key, {"image": image, "annotations": annotations}, photo)


def write(contents: Contents, folder: Path, notes: Notes, photos: PhotoWriter) -> None:
    """Raises StorageError."""
    for record in contents.records:
        with notes.catching(record.key):
            shown = [mask for one in record.annotations if (mask := one.mask) is not None and mask.area]
            notes.changed(TOO_MANY, record.key, max(0, len(shown) - LARGEST))
            masks = list(enumerate(shown[:LARGEST], 1))
            labels = paint(masks, record.size_hw)
            note_what_was_covered(masks, take_apart(labels), record.key, notes)
            write_atomically(folder / FOLDER / f"{record.key}.png", png_of(labels))
            photos.write(record, folder / "images")


def _matches(clues: FormatClues) -> bool:
    inside = clues.path / FOLDER
    names = tuple(name for name in clues.names if not name.startswith("images/"))
    return bool(names) and (inside.is_dir() or all(name.lower().endswith(".png") for name in names))


KEPT = Capabilities(
    overlap=False, empty=False, boxes=False, categories=False, scores=False, crowd=False, ignore=False,
    photos=False,
)  # fmt: skip
LABEL_MAP = Format("label-map", KEPT, read, write, _matches)
