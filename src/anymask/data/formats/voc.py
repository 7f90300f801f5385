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
from anymask.data.formats.contents import Contents, Notes, Numbering
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.label_map import LARGEST, paint, paint_all, png_of, read_png, take_apart
from anymask.data.formats.photo_writer import PhotoWriter
from anymask.data.listing import Photos, list_files, photos_by_stem
from anymask.data.record import Blob, Record, annotation_of
from anymask.errors import BadInput
from anymask.files import write_atomically

OBJECTS, CLASSES, PHOTOS = "SegmentationObject", "SegmentationClass", "JPEGImages"
LABEL_FILE = re.compile(rf"^(|.*/)({OBJECTS}|{CLASSES})/(.+)\.png$", re.IGNORECASE)
SMALL_VOID, LARGE_VOID = 255, LARGEST
Colour = tuple[int, int, int]
Pair = tuple[tuple[str, str], Mapping[str, Blob]]  # folder and name, label files by the name of their folder
BACKGROUND = "background"
NAMES_OF_VOC = (
    BACKGROUND, "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip


def colour(number: int) -> Colour:
    """VOC's colour of a number: its bits are dealt to red, green and blue in turn, highest first."""
    bits = [[number >> (3 * place + channel) & 1 for place in range(8)] for channel in range(3)]
    red, green, blue = (sum(bit << (7 - place) for place, bit in enumerate(own)) for own in bits)
    return red, green, blue


COLOURS: dict[Colour, int] = {colour(number): number for number in range(256)}
PALETTE = bytes(value for number in range(256) for value in colour(number))


def read(path: Path, notes: Notes, photo_folder: Path | None = None) -> Contents:
    """From a VOC folder or one that holds such folders. Raises BadInput when there are no label files."""
    files = list_files(path)
    found: dict[tuple[str, str], dict[str, Blob]] = {}
    for name, blob in files.items():
        if match := LABEL_FILE.match(name):
            found.setdefault((match[1], match[3]), {})[match[2].lower()] = blob
    if not found:
        raise BadInput(f"expected PNG files in {OBJECTS} or {CLASSES} in {path}, found none")
    photos = photos_by_stem(files)
    if photo_folder is not None:
        elsewhere = photos_by_stem(list_files(photo_folder))
        photos = {f"{PHOTOS}/{key}": photo for key, photo in elsewhere.items()} | photos
    names, colours = _classes_of(files)
    read_one = partial(_record, photos=photos, names=names, colours=colours)
    items = [(str(next(iter(pair.values())).path), (place, pair)) for place, pair in found.items()]
    return Contents(notes.each(items, read_one), len(items), {n: i for i, n in names.items() if i})


def _record(named: Pair, photos: Photos, names: Mapping[int, str], colours: Mapping[Colour, int]) -> Record:
    (root, name), pair = named
    objects, classes = pair.get(OBJECTS.lower()), pair.get(CLASSES.lower())
    classes_HW = read_png(classes, colours) if classes else None
    shown = read_png(objects, COLOURS) if objects else classes_HW
    assert shown is not None
    if classes_HW is not None and classes_HW.shape != shown.shape:
        raise BadInput(f"{OBJECTS} and {CLASSES} have two sizes: {shown.shape} and {classes_HW.shape} (h, w)")
    masks = take_apart(shown)
    void = masks.pop(SMALL_VOID if shown.dtype == np.uint8 else LARGE_VOID, None)
    more = {} if objects else {"semantic": True}
    annotations = [
        annotation_of(n, mask, _class_of(mask, classes_HW, names), **more) for n, mask in masks.items()
    ]
    height, width = shown.shape
    parents = next(iter(pair.values())).path.parents
    above = parents[min(name.count("/") + 1, len(parents) - 1)]
    missing = f"{name}.jpg", Blob(above / PHOTOS / f"{name}.jpg")
    file_name, photo = photos.get(f"{root}{PHOTOS}/{name}") or photos.get(f"{PHOTOS}/{name}") or missing
    image = {"height": height, "width": width, "file_name": file_name.rpartition("/")[2]}
    ignored = {} if void is None else {"ignore": void.rle}
    return Record(root + name, {"image": image, "annotations": annotations, **ignored}, photo)


def _class_of(mask: Mask, classes_HW: NDArray[Any] | None, names: Mapping[int, str]) -> str | None:
    """The class most of its pixels have."""
    if classes_HW is None:
        return None
    x0, y0, x1, y1 = mask.box_xyxy
    number = int(np.argmax(np.bincount(classes_HW[y0:y1, x0:x1][mask.array_of_box()])))
    return names.get(number, f"class {number}") if number else None


def write(contents: Contents, folder: Path, photos: PhotoWriter) -> None:
    """Raises StorageError."""
    classes = Numbering.without_gaps(contents.categories, first=1)
    keys = []
    for record in contents.records:
        with photos.notes.catching(record.key):
            _write_one(record, folder, classes, photos.notes)
            photos.write(record, folder / PHOTOS)
            keys.append(record.key)
    listed = folder / "ImageSets" / "Segmentation" / "trainval.txt"
    write_atomically(listed, "".join(f"{key}\n" for key in keys).encode("utf-8", "surrogateescape"))
    write_atomically(folder / "labelmap.txt", _labelmap(classes.numbers))


def _write_one(record: Record, folder: Path, classes: Numbering, notes: Notes) -> None:
    shown = record.drawn
    if len(shown) >= LARGE_VOID:
        raise BadInput(f"expected fewer than {LARGE_VOID:,} masks, got {len(shown):,}")
    numbers = [0, *(classes.of(one) for one, _ in shown)]
    small = max(len(shown), *numbers) < SMALL_VOID
    void = SMALL_VOID if small else LARGE_VOID
    # What is left out when masks are scored, and groups: neither to be found nor wrong.
    ignored = [mask for mask in (record.ignore, *(one.mask for one in record.crowd)) if mask is not None]
    canvas = paint([(void, mask) for mask in ignored], record.size_hw)
    labels_HW = paint_all([mask for _, mask in shown], record, notes, canvas)
    class_of = np.full(1 << 16, void, np.uint16)
    class_of[: len(numbers)] = numbers
    for kind, image in ((OBJECTS, labels_HW), (CLASSES, class_of[labels_HW])):
        write_atomically(folder / kind / f"{record.key}.png", png_of(image, PALETTE, small))


def _classes_of(files: Mapping[str, Blob]) -> tuple[dict[int, str], dict[Colour, int]]:
    """Name and colour of each number by `labelmap.txt` or `class_names.txt`, else VOC's. Raises BadInput."""
    listed = {name.rpartition("/")[2].lower(): blob for name, blob in files.items() if name.endswith(".txt")}
    if "labelmap.txt" in listed:
        return _of_labelmap(_lines(listed["labelmap.txt"]))
    if "class_names.txt" in listed:
        names = [line for line in _lines(listed["class_names.txt"]) if line != "__ignore__"]
        return dict(enumerate(names)), COLOURS
    return dict(enumerate(NAMES_OF_VOC)), COLOURS


def _lines(blob: Blob) -> list[str]:
    return [line.strip() for line in blob.read_text().splitlines() if line.strip()]


def _of_labelmap(lines: list[str]) -> tuple[dict[int, str], dict[Colour, int]]:
    """`name:red,green,blue:parts:actions`, numbered from 0."""
    names, colours = {}, {colour(255): 255}
    for number, line in enumerate(line for line in lines if not line.startswith("#")):
        name, *rest = line.rsplit(":", 3)
        names[number] = name
        values = rest[0].split(",") if rest else []
        if len(values) == 3 and all(value.strip().isdigit() for value in values):
            red, green, blue = (int(value) for value in values)
            colours[red, green, blue] = number
    return names, colours


def _labelmap(numbers: Mapping[str, int]) -> bytes:
    """`labelmap.txt` of classes numbered from 1 without gaps."""
    lines = ["# label:color_rgb:parts:actions\n"]
    for number, name in enumerate([BACKGROUND, *sorted(numbers, key=lambda name: numbers[name])]):
        lines.append(f"{' '.join(name.split())}:{','.join(map(str, colour(number)))}::\n")
    return "".join(lines).encode("utf-8", "replace")


KEPT = Capabilities(overlap=False, empty=False, boxes=False, scores=False)
VOC = Format("voc", KEPT, read, write, lambda clues: any(map(LABEL_FILE.match, clues.names)))
