"""Cityscapes: a PNG of instances and one of classes for each photo.

    DST/gtFine/train/<city>/<name>_gtFine_instanceIds.png    class x 1000 + number, or the class alone
    DST/gtFine/train/<city>/<name>_gtFine_labelIds.png       the class
    DST/leftImg8bit/train/<city>/<name>_leftImg8bit.png
    DST/label_colors.txt                                     only with classes that Cityscapes does not have

Read are the instances or, where there is no such PNG, `_gtFine_polygons.json`, drawn as Cityscapes' own
scripts draw it (Pillow, through the middles of pixels, later ones on top). Groups are crowds. Things that
have no instances in Cityscapes, as the sky, are one mask a photo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from anymask.core.mask import Mask
from anymask.data.formats.contents import Contents, Fields, Notes, category_of, checked_size
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.json_files import FormatClues, objects_in, read_object
from anymask.data.formats.label_map import Labels, paint, png_of, read_png, take_apart
from anymask.data.formats.photo_writer import PhotoWriter
from anymask.data.formats.shapes import check_pixels, numbers
from anymask.data.listing import find_photo, list_files
from anymask.data.record import Annotation, Blob, Record, annotation_of
from anymask.errors import BadInput
from anymask.files import write_atomically

INSTANCES, CLASSES, POLYGONS = "_gtFine_instanceIds.png", "_gtFine_labelIds.png", "_gtFine_polygons.json"
TRUTH, PHOTOS, PHOTO, NAMES = "gtFine", "leftImg8bit", "_leftImg8bit", "label_colors.txt"
SPLIT, CITY = "train", "nowhere"
OWN = (
    "unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground",
    "road", "sidewalk", "parking", "rail track", "building", "wall", "fence", "guard rail", "bridge",
    "tunnel", "pole", "polegroup", "traffic light", "traffic sign", "vegetation", "terrain", "sky",
    "person", "rider", "car", "truck", "bus", "caravan", "trailer", "train", "motorcycle", "bicycle",
)  # fmt: skip
FIRST_WITH_INSTANCES = OWN.index("person")
STEP, LARGEST_CLASS = 1000, 64  # 16 bits hold no more classes
JOINED = "masks of classes without instances joined to one"
TOO_MANY = f"masks of classes beyond {LARGEST_CLASS} left out"
COVERED = "masks that lost pixels to smaller ones above them"
HIDDEN = "masks hidden whole under smaller ones, left out"


def read(path: Path, notes: Notes, photo_folder: Path | None = None) -> Contents:
    """Raises BadInput when there are no annotations of Cityscapes."""
    files = list_files(path)
    found: dict[str, Blob] = {}
    for suffix in (POLYGONS, INSTANCES):
        found |= {n.removesuffix(suffix): blob for n, blob in files.items() if n.endswith(suffix)}
    if not found:
        raise BadInput(f"expected files that end in {INSTANCES} or {POLYGONS} in {path}, found none")
    names = _names(path / NAMES)
    read_one = partial(_record, root=path, names=names, photo_folder=photo_folder, notes=notes)
    declared = {name: number for number, name in names.items() if number}
    return Contents(
        notes.each([(str(b.path), (k, b)) for k, b in found.items()], read_one), len(found), declared
    )


def _names(file: Path) -> dict[int, str]:
    """Classes by their number: lines of three colours and a name, else those of Cityscapes."""
    if not file.is_file():
        return dict(enumerate(OWN))
    rows = [line.split(None, 3) for line in Blob(file).read_text().splitlines() if line.strip()]
    return {number: row[3].strip() for number, row in enumerate(rows) if len(row) == 4}


def _record(
    item: tuple[str, Blob], root: Path, names: Mapping[int, str], photo_folder: Path | None, notes: Notes
) -> Record:
    name, blob = item
    parts = name.split("/")
    parts = parts[parts.index(TRUTH) + 1 :] if TRUTH in parts[:-1] else parts
    split = parts[0] if len(parts) > 1 else SPLIT
    key = "/".join(parts[1:] if len(parts) > 1 else parts).removeprefix(f"{CITY}/")
    folders = [*filter(None, [photo_folder]), root / PHOTOS, root]
    suffixes = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".bmp")
    photo = find_photo(folders, ["/".join(parts) + PHOTO + suffix for suffix in suffixes])
    if blob.path.name.endswith(POLYGONS):
        annotations, crowd, size_hw = _of_polygons(read_object(blob, blob.path.name))
    else:
        annotations, crowd, size_hw = _of_instances(blob, names)
    image = {"height": size_hw[0], "width": size_hw[1], "file_name": photo.path.name, "split": split}
    return Record(
        key, {"image": image, "annotations": annotations, **({"crowd": crowd} if crowd else {})}, photo
    )


Found = tuple[list[Fields], list[Fields], tuple[int, int]]


def _of_instances(blob: Blob, names: Mapping[int, str]) -> Found:
    labels = read_png(blob)
    annotations: list[Fields] = []
    crowd: list[Fields] = []
    for value, mask in take_apart(labels).items():
        number = value // STEP if value >= STEP else value
        is_group = value < STEP and number >= FIRST_WITH_INSTANCES
        (crowd if is_group else annotations).append(_annotation(value, mask, names.get(number), is_group))
    height, width = labels.shape
    return annotations, crowd, (height, width)


def _annotation(number: int, mask: Mask, name: str | None, is_group: bool) -> Fields:
    return annotation_of(number, mask, name, **({"iscrowd": 1} if is_group else {}))


def _of_polygons(found: Fields) -> Found:
    """Numbered in their order, so that later ones lie on top."""
    size_hw = checked_size({"height": found.get("imgHeight"), "width": found.get("imgWidth")})
    if size_hw is None:
        raise BadInput("expected 'imgHeight' and 'imgWidth'")
    check_pixels(size_hw)
    objects = [one for one in objects_in(found.get("objects"), "objects") if not one.get("deleted")]
    image = Image.new("I", size_hw[::-1], 0)
    draw = ImageDraw.Draw(image)
    for number, one in enumerate(objects, 1):
        points = one.get("polygon")
        if not isinstance(points, list) or not all(isinstance(p, list) and len(p) == 2 for p in points):
            raise BadInput("expected 'polygon' to be a list of x, y")
        corners = [tuple(numbers(point, "'polygon'")) for point in points]
        if any(abs(value) > 4 * max(size_hw) for corner in corners for value in corner):
            raise BadInput("expected polygons near the photo")
        if len(corners) > 1:
            draw.polygon(corners, fill=number)
    annotations: list[Fields] = []
    crowd: list[Fields] = []
    for number, mask in take_apart(np.asarray(image)).items():
        name = str(objects[number - 1].get("label"))
        is_group = name.endswith("group") and name.removesuffix("group") in OWN and name not in OWN
        (crowd if is_group else annotations).append(
            _annotation(number, mask, name.removesuffix("group") if is_group else name, is_group)
        )
    return annotations, crowd, size_hw


def write(contents: Contents, folder: Path, photos: PhotoWriter) -> None:
    """Raises StorageError."""
    classes = {name: number for number, name in enumerate(OWN)}
    for record in contents.records:
        with photos.notes.catching(record.key):
            city, _, name = record.key.rpartition("/")
            split = str(record.fields["image"].get("split") or SPLIT)
            place = f"{split if split in ('train', 'val', 'test') else SPLIT}/{city or CITY}/{name}"
            instances = _instances(record, classes, photos.notes)
            of_class = np.where(instances >= STEP, instances // STEP, instances).astype(np.uint16)
            truth = folder / TRUTH
            write_atomically(truth / f"{place}{INSTANCES}", png_of(instances, small=False))
            write_atomically(truth / f"{place}{CLASSES}", png_of(of_class, small=True))
            photos.write(replace(record, key=place + PHOTO), folder / PHOTOS)
    if len(classes) > len(OWN):
        rows = [f"{n * 37 % 256} {n * 91 % 256} {n * 151 % 256} {name}\n" for name, n in classes.items()]
        write_atomically(folder / NAMES, "".join(rows).encode("utf-8", "backslashreplace"))


def _instances(record: Record, classes: dict[str, int], notes: Notes) -> Labels:
    """Class x 1000 + number of every mask, smaller ones on top; the class alone where it has no instances."""
    numbered: list[tuple[int, Mask]] = []
    counts: dict[int, int] = {}
    for one, mask in record.drawn:
        number = _class_of(one, classes)
        value = number if number < FIRST_WITH_INSTANCES else number * STEP + counts.get(number, 0)
        if number > LARGEST_CLASS or counts.get(number, 0) >= STEP:
            notes.changed(TOO_MANY, record.key)
            continue
        notes.changed(JOINED, record.key, int(number < FIRST_WITH_INSTANCES and number in counts))
        counts[number] = counts.get(number, 0) + 1
        numbered.append((value, mask))
    labels = paint(numbered, record.size_hw)
    areas = dict(zip(*(found.tolist() for found in np.unique(labels, return_counts=True)), strict=True))
    for value, mask in numbered:
        if value not in areas:
            notes.changed(HIDDEN, record.key)
        elif value >= STEP and areas[value] < mask.area:
            notes.changed(COVERED, record.key)
    return labels


def _class_of(one: Annotation, classes: dict[str, int]) -> int:
    name = " ".join(category_of(one.fields).split())
    return classes.setdefault(name, len(classes))


def _matches(clues: FormatClues) -> bool:
    return any(name.endswith((INSTANCES, POLYGONS)) for name in clues.names)


KEPT = Capabilities(
    overlap=False, empty=False, boxes=False, scores=False, crowd=False, ignore=False
)  # fmt: skip
CITYSCAPES = Format("cityscapes", KEPT, read, write, _matches)
