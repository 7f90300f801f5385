"""Pascal VOC: two PNG files for each photo, which mask a pixel belongs to and which class.

    DST/JPEGImages/<key>.jpg
    DST/SegmentationObject/<key>.png    number of the mask, 0 none, 255 ignored; in VOC's colours
    DST/SegmentationClass/<key>.png     number of the class
    DST/labelmap.txt                    name and colour of every class, from 0 on
    DST/ImageSets/Segmentation/trainval.txt

With more than 254 masks or classes the files are grey with 16 bit, and 65535 is ignored. Read are also class
files alone (a mask for each class), files in colours, and VOC's own data, which has no list of names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anymask.core.mask import Mask
from anymask.data.formats.contents import Contents, Notes, Numbering, category_of
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.label_image import (
    LARGEST,
    Labels,
    note_what_was_covered,
    paint,
    png_of,
    read_png,
    take_apart,
)
from anymask.data.formats.photo_writer import PhotoWriter
from anymask.data.formats.voc_classes import COLOURS, PALETTE, classes_of, labelmap
from anymask.data.listing import list_files, photos_by_stem
from anymask.data.record import Blob, Record, annotation_of
from anymask.errors import BadInput
from anymask.files import write_atomically

OBJECTS, CLASSES, PHOTOS = "SegmentationObject", "SegmentationClass", "JPEGImages"
LABEL_FILE = re.compile(rf"^(|.*/)({OBJECTS}|{CLASSES})/(.+)\.png$", re.IGNORECASE)
SMALL_VOID, LARGE_VOID = 255, LARGEST


def read(path: Path, notes: Notes, photo_folder: Path | None = None) -> Contents:
    """From a VOC folder or one that holds such folders. Raises BadInput when there are no label files."""
    files = list_files(path)
    found: dict[tuple[str, str], dict[str, Blob]] = {}
    for name, blob in files.items():
        if match := LABEL_FILE.match(name):
            found.setdefault((match[1], match[3]), {})[match[2]] = blob
    if not found:
        raise BadInput(f"expected PNG files in {OBJECTS} or {CLASSES} in {path}, found none")
    photos = photos_by_stem(files)
    if photo_folder is not None:
        elsewhere = photos_by_stem(list_files(photo_folder))
        photos = {f"{PHOTOS}/{key}": photo for key, photo in elsewhere.items()} | photos
    names, colours = classes_of(files)
    read_one = partial(_record, photos=photos, names=names, colours=colours)
    items = [(str(next(iter(pair.values())).path), (place, pair)) for place, pair in found.items()]
    return Contents(notes.each(items, read_one), len(items), {n: i for i, n in names.items() if i})


def _record(
    named: tuple[tuple[str, str], Mapping[str, Blob]],
    photos: Mapping[str, tuple[str, Blob]],
    names: Mapping[int, str],
    colours: Mapping[tuple[int, int, int], int],
) -> Record:
    (root, name), pair = named
    blobs = {kind.lower(): blob for kind, blob in pair.items()}
    objects, classes = blobs.get(OBJECTS.lower()), blobs.get(CLASSES.lower())
    labels_HW = read_png(objects, COLOURS) if objects else None
    classes_HW = read_png(classes, colours) if classes else None
    shown = labels_HW if labels_HW is not None else classes_HW
    assert shown is not None
    if classes_HW is not None and classes_HW.shape != shown.shape:
        raise BadInput(f"{OBJECTS} and {CLASSES} have two sizes: {shown.shape} and {classes_HW.shape} (h, w)")
    masks = take_apart(shown)
    void = masks.pop(SMALL_VOID if shown.dtype == np.uint8 else LARGE_VOID, None)
    more = {} if objects else {"semantic": True}
    categories = {n: _class_of(n, mask, labels_HW, classes_HW, names) for n, mask in masks.items()}
    annotations = [annotation_of(n, mask, categories[n], **more) for n, mask in masks.items()]
    height, width = shown.shape
    parents = next(iter(pair.values())).path.parents
    above = parents[min(name.count("/") + 1, len(parents) - 1)]
    missing = f"{name}.jpg", Blob(above / PHOTOS / f"{name}.jpg")
    file_name, photo = photos.get(f"{root}{PHOTOS}/{name}") or photos.get(f"{PHOTOS}/{name}") or missing
    image = {"height": height, "width": width, "file_name": file_name.rpartition("/")[2]}
    ignored = {} if void is None else {"ignore": void.rle}
    return Record(root + name, {"image": image, "annotations": annotations, **ignored}, photo)


def _class_of(
    number: int,
    mask: Mask,
    labels_HW: NDArray[Any] | None,
    classes_HW: NDArray[Any] | None,
    names: Mapping[int, str],
) -> str | None:
    """The class most of its pixels have."""
    if classes_HW is None:
        return None
    if labels_HW is not None:
        x0, y0, x1, y1 = mask.box_xyxy
        inside = classes_HW[y0:y1, x0:x1][mask.array_of_box()]
        number = int(np.argmax(np.bincount(inside)))
    return names.get(number, f"class {number}") if number else None


def write(contents: Contents, folder: Path, notes: Notes, photos: PhotoWriter) -> None:
    """Raises StorageError."""
    classes = Numbering.without_gaps(contents.categories, first=1)
    keys = []
    for record in contents.records:
        with notes.catching(record.key):
            _write_one(record, folder, classes, notes)
            photos.write(record, folder / PHOTOS)
            keys.append(record.key)
    listed = folder / "ImageSets" / "Segmentation" / "trainval.txt"
    write_atomically(listed, "".join(f"{key}\n" for key in keys).encode("utf-8", "surrogateescape"))
    write_atomically(folder / "labelmap.txt", labelmap(classes.numbers))


def _write_one(record: Record, folder: Path, classes: Numbering, notes: Notes) -> None:
    shown = [(one, mask) for one in record.annotations if (mask := one.mask) is not None and mask.area]
    if len(shown) >= LARGE_VOID:
        raise BadInput(f"expected fewer than {LARGE_VOID:,} masks, got {len(shown):,}")
    numbers = [0, *(classes.number(category_of(one.fields)) for one, _ in shown)]
    small = max(len(shown), *numbers) < SMALL_VOID
    void = SMALL_VOID if small else LARGE_VOID
    masks = [(number, mask) for number, (_, mask) in enumerate(shown, 1)]
    labels_HW = paint(masks, record.size_hw, _ignored(record, void))
    note_what_was_covered(masks, take_apart(labels_HW), record.key, notes)
    class_of = np.full(1 << 16, void, np.uint16)
    class_of[: len(numbers)] = numbers
    for kind, image in ((OBJECTS, labels_HW), (CLASSES, class_of[labels_HW])):
        write_atomically(folder / kind / f"{record.key}.png", png_of(image, PALETTE, small))


def _ignored(record: Record, void: int) -> Labels:
    """What is left out when masks are scored, and groups: neither to be found nor wrong."""
    ignored = [mask for mask in (record.ignore, *(one.mask for one in record.crowd)) if mask is not None]
    return paint([(void, mask) for mask in ignored], record.size_hw)


KEPT = Capabilities(overlap=False, empty=False, boxes=False, scores=False)
VOC = Format("voc", KEPT, read, write, lambda clues: any(map(LABEL_FILE.match, clues.names)))
