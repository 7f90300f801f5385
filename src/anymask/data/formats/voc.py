"""Pascal VOC: two PNG files for each photo, which mask a pixel belongs to and which class; and its objects.

    DST/JPEGImages/<key>.jpg
    DST/SegmentationObject/<key>.png    number of the mask, 0 none, 255 ignored; in VOC's colours
    DST/SegmentationClass/<key>.png     number of the class
    DST/Annotations/<key>.xml           class and box of objects, masks first: object 1 is mask 1
    DST/labelmap.txt                    name and colour of every class, from 0 on
    DST/ImageSets/Segmentation/trainval.txt

With more than 254 masks or classes the files are grey with 16 bit, and 65535 is ignored. Read are also class
files alone (a mask for each class), files in colours, VOC's own data, which has no list of names, and XML
files alone. An object without a mask in the PNG files is a box, or a mask where it has an outline.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anymask.core.mask import Mask
from anymask.data.formats.contents import Contents, Fields, Notes, Numbering
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.json_files import PEEKED_AT, FormatClues
from anymask.data.formats.label_map import (
    LARGEST,
    numbers_of,
    open_png,
    paint,
    paint_all,
    png_of,
    read_png,
    take_apart,
)
from anymask.data.formats.photo_writer import PhotoWriter
from anymask.data.formats.voc_labels import COLOURS, PALETTE, Classes, classes_of, labelmap
from anymask.data.formats.voc_objects import Object, Sheet, objects_of, plain, read_sheet, sheet_of
from anymask.data.listing import Photos, list_files, photos_by_stem, size_of, stem, with_suffix
from anymask.data.record import Blob, Record, annotation_of, box_annotation
from anymask.errors import AnymaskError, BadInput
from anymask.files import write_atomically

OBJECTS, CLASSES, PHOTOS, SHEETS = "SegmentationObject", "SegmentationClass", "JPEGImages", "Annotations"
LABEL_FILE = re.compile(
    rf"^(|.*/)(?:({OBJECTS}|{CLASSES})/(.+)\.png|({SHEETS})/(.+)\.xml)$", re.IGNORECASE | re.DOTALL
)
SMALL_VOID, LARGE_VOID = 255, LARGEST
SAME = 0.5  # IoU of the boxes from which on an object and a mask of its class are one thing
BY_COLOUR = "palette PNGs whose colours are in another order than in labelmap.txt, read by colour"
BY_INDEX = "palette PNGs with colours that labelmap.txt does not have, read by index"
OTHER_SIZE = "XML files that give another size than the PNG files"
ESCAPED_NAMES = "names of classes written to labelmap.txt with %XX for what a line of it cannot hold"
UNNAMED = Classes({}, COLOURS)  # where the list cannot be read
Named = tuple[tuple[str, str], Mapping[str, Blob]]  # folder and name, files by the name of their folder
ROOT = re.compile(rb"<annotation[\s>]")
NO_ROOT = re.compile(rb"<(annotations|imagesize)[\s>]")  # of CVAT, of LabelMe when it was a web page


@dataclass(frozen=True, slots=True)
class _Place:
    """A data set, or several below one folder: its photos by stem and by last name, its lists of classes."""

    photos: Photos
    by_last_name: Mapping[str, list[str]]
    classes: Mapping[str, Classes]

    def classes_at(self, root: str) -> Classes:
        """By the nearest list above."""
        parts = root.split("/")
        above = ("/".join([*parts[:n], ""]) if n else "" for n in range(len(parts) - 1, -1, -1))
        return next((self.classes[one] for one in above if one in self.classes), self.classes["/"])

    def photo(self, root: str, name: str, file_name: str) -> tuple[str, Blob] | None:
        names = [name, stem(file_name)] if file_name else [name]
        for folder in (f"{root}{PHOTOS}/", f"{PHOTOS}/", root, f"{root}images/"):
            for one in names:
                if found := self.photos.get(folder + one):
                    return found
        same = [self.by_last_name.get(one.rpartition("/")[2], []) for one in names]
        return next((self.photos[found[0]] for found in same if len(found) == 1), None)


def read(path: Path, notes: Notes, photo_folder: Path | None = None) -> Contents:
    """From a VOC folder or one that holds such folders. Raises BadInput when there are no files of it."""
    files = list_files(path)
    found: dict[tuple[str, str], dict[str, Blob]] = {}
    for name, blob in files.items():
        if match := LABEL_FILE.match(name):
            found.setdefault((match[1], match[3] or match[5]), {})[(match[2] or match[4]).lower()] = blob
    if not found:
        for name, blob in with_suffix(files, ".xml").items():
            folder, _, last = name.rpartition("/")
            found[f"{folder}/" if folder else "", stem(last)] = {SHEETS.lower(): blob}
    if not found:
        raise BadInput(f"expected PNG files in {OBJECTS} or {CLASSES}, or XML files, in {path}, found none")
    near = files if path.is_dir() or path.suffix.lower() == ".tar" else list_files(path.parent)
    place = _place(files, near, photo_folder, notes)
    items = [(str(next(iter(own.values())).path), (named, own)) for named, own in found.items()]
    lists = [place.classes_at(root) for root in dict.fromkeys(root for root, _ in found)]
    drawn = any(own.keys() - {SHEETS.lower()} for own in found.values())
    declared = [one for one in lists if drawn or one is not place.classes["/"]]
    numbers = {name: number for one in declared[::-1] for name, number in one.declared.items()}
    return Contents(notes.each(items, partial(_record, place=place, notes=notes)), len(items), numbers)


def _place(
    files: Mapping[str, Blob], near: Mapping[str, Blob], photo_folder: Path | None, notes: Notes
) -> _Place:
    photos = photos_by_stem({name: blob for name, blob in near.items() if not LABEL_FILE.match(name)})
    if photo_folder is not None:
        elsewhere = photos_by_stem(list_files(photo_folder))
        photos = {f"{PHOTOS}/{key}": photo for key, photo in elsewhere.items()} | photos
    by_last_name: dict[str, list[str]] = {}
    for key in photos:
        by_last_name.setdefault(key.rpartition("/")[2], []).append(key)
    lists: dict[str, dict[str, Blob]] = {"/": {}}  # "/": none above
    for name, blob in files.items():
        folder, _, last = name.rpartition("/")
        if last.lower() in ("labelmap.txt", "class_names.txt"):
            lists.setdefault(f"{folder}/" if folder else "", {})[last.lower()] = blob
    if len(lists) == 2 and "" not in lists:
        lists[""] = next(own for root, own in lists.items() if root != "/")
    classes = {}
    for root, own in lists.items():
        classes[root] = UNNAMED
        with notes.catching(", ".join(str(blob.path) for blob in own.values())):
            classes[root] = classes_of(own)
    return _Place(photos, by_last_name, classes)


def _record(named: Named, place: _Place, notes: Notes) -> Record:
    (root, name), own = named
    objects, classes, xml = (own.get(kind.lower()) for kind in (OBJECTS, CLASSES, SHEETS))
    sheet = _sheet(xml, notes, alone=not (objects or classes)) if xml else None
    missing_at = _above(next(iter(own.values())).path, name) / PHOTOS / f"{name}.jpg"
    missing = missing_at.name, Blob(missing_at)
    file_name, photo = place.photo(root, name, sheet.file_name if sheet else "") or missing
    key, known = root + name, place.classes_at(root)
    annotations: list[Fields] = []
    more: Fields = {}
    if objects or classes:
        classes_HW = _class_numbers(classes, known, key, notes) if classes else None
        shown = read_png(objects, COLOURS) if objects else classes_HW
        assert shown is not None
        if classes_HW is not None and classes_HW.shape != shown.shape:
            raise BadInput(
                f"{OBJECTS} and {CLASSES} have two sizes: {shown.shape} and {classes_HW.shape} (h, w)"
            )
        size_hw = shown.shape[0], shown.shape[1]
        masks = take_apart(shown)
        void = masks.pop(SMALL_VOID if shown.dtype == np.uint8 else LARGE_VOID, None)
        more = {} if void is None else {"ignore": void.rle}
        semantic = {} if objects else {"semantic": True}
        for number, mask in masks.items():
            category = _class_of(mask, classes_HW, known.names)
            annotations.append(annotation_of(number, mask, category, **semantic))
        if sheet:
            notes.changed(OTHER_SIZE, key, int(sheet.size_hw not in (None, size_hw)))
    else:
        assert sheet is not None
        size_hw = sheet.size_hw or size_of(photo)
    if sheet:
        found = objects_of(sheet, size_hw, key, notes)
        annotations += _not_drawn(found, annotations, numbered=objects is not None)
    image = {"height": size_hw[0], "width": size_hw[1], "file_name": PurePosixPath(file_name).name}
    return Record(key, {"image": image, "annotations": annotations, **more}, photo)


def _sheet(blob: Blob, notes: Notes, *, alone: bool) -> Sheet | None:
    """What cannot be read is a failure, but does not cost the masks of the PNG files."""
    try:
        return read_sheet(blob)
    except AnymaskError as error:
        if alone:
            raise
        notes.failed(str(blob.path), error)
        return None


def _above(path: Path, name: str) -> Path:
    """The folder of the data set that a file of this name lies in."""
    return path.parents[min(name.count("/") + 1, len(path.parents) - 1)]


def _not_drawn(found: Iterable[Object], masks: list[Fields], *, numbered: bool) -> list[Fields]:
    """The objects that are none of the masks. `numbered`: object 1 is mask 1 if of one class."""
    left = {one["id"]: one for one in masks}
    rest = []
    for thing in found:
        own = left.get(thing.number) if numbered else None
        if own is not None and _one_class(own, thing):
            del left[thing.number]
        else:
            rest.append(thing)
    annotations: list[Fields] = []
    next_number = max([0, *(one["id"] for one in masks)]) + 1
    for thing in rest:
        same = [
            n
            for n, one in left.items()
            if _one_class(one, thing) and _box_iou(one["bbox"], thing.box) >= SAME
        ]
        if same:
            del left[max(same, key=lambda n: _box_iou(left[n]["bbox"], thing.box))]
            continue
        number = next_number + len(annotations)
        if thing.mask is not None and thing.mask.area:
            annotations.append(annotation_of(number, thing.mask, thing.category))
        else:
            annotations.append(box_annotation(number, thing.box, thing.category))
    return annotations


def _one_class(annotation: Fields, thing: Object) -> bool:
    own = annotation.get("category")
    return own is None or thing.category is None or plain(own) == plain(thing.category)


def _box_iou(a: Any, b: Any) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    common = max(0.0, width) * max(0.0, height)
    union = a[2] * a[3] + b[2] * b[3] - common
    return common / union if union > 0 else 0.0


def _class_numbers(blob: Blob, classes: Classes, key: str, notes: Notes) -> NDArray[Any]:
    """By the colours of the palette where these disagree with the list of classes."""
    image = open_png(blob)
    labels_HW = numbers_of(image, blob, classes.colours)
    palette = image.getpalette("RGB") if image.mode == "P" else None
    if palette is None or not classes.own:
        return labels_HW
    used = [number for number in np.unique(labels_HW).tolist() if number != SMALL_VOID]
    shown = [tuple(palette[3 * number : 3 * number + 3]) for number in used]
    meant = [classes.colours.get((c[0], c[1], c[2])) if len(c) == 3 else None for c in shown]
    if None in meant or len(set(meant)) < len(used):
        notes.changed(BY_INDEX, key)
        return labels_HW
    if meant == used:
        return labels_HW
    notes.changed(BY_COLOUR, key)
    table = np.arange(256, dtype=np.uint16)
    table[used] = np.array(meant, np.uint16)
    numbers: NDArray[Any] = table[labels_HW]
    return numbers.astype(np.uint8 if table.max() <= SMALL_VOID else np.uint16)


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
    names = sorted(classes.numbers, key=lambda name: classes.numbers[name])
    text, escaped = labelmap(names)
    photos.notes.changed(ESCAPED_NAMES, "labelmap.txt", escaped)
    write_atomically(folder / "labelmap.txt", text)


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
    boxes = [one for one in record.annotations if "segmentation" not in one.fields]
    for one in boxes:
        classes.of(one)
    things = [*(one for one, _ in shown), *boxes]
    write_atomically(folder / SHEETS / f"{record.key}.xml", sheet_of(record, things))


def _is_sheet(blob: Blob) -> bool:
    """An XML file that may be VOC's, by its beginning."""
    try:
        with blob.path.open("rb") as file:
            file.seek(blob.offset)
            start = file.read(4096 if blob.length is None else min(4096, blob.length))
    except OSError:
        return False
    return ROOT.search(start) is not None and NO_ROOT.search(start) is None


def _matches(clues: FormatClues) -> bool:
    if any((match := LABEL_FILE.match(name)) and match[2] for name in clues.names):
        return True
    if not clues.path.is_dir():
        return clues.path.suffix.lower() == ".xml" and _is_sheet(Blob(clues.path))
    names = [name for name in clues.names if name.lower().endswith(".xml")]
    return any(_is_sheet(Blob(clues.path / name)) for name in names[:PEEKED_AT])


KEPT = Capabilities(overlap=False, empty=False, scores=False)
VOC = Format("voc", KEPT, read, write, _matches)
