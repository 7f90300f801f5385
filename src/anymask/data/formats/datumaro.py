"""Datumaro JSON: a file for each subset, masks as run lengths.

    DST/annotations/default.json
    DST/images/default/<key>.jpg

Read are the files of all subsets; masks and polygons with the same label and group are pieces of one mask, as
Datumaro joins them. Scores are attributes, crowds have `is_crowd`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

from anymask.core.mask import Mask
from anymask.data.formats.contents import SCORES, Contents, Fields, Notes, Numbering, checked_size
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.json_files import FormatClues, encoded, keys_of, objects_in, read_object
from anymask.data.formats.photo_writer import PhotoWriter, photo_name
from anymask.data.formats.shapes import NO_AREA, BoxXywh, Things, numbers, scores_of
from anymask.data.listing import find_photo, list_files, size_of, stem, with_suffix
from anymask.data.record import Annotation, Blob, Record
from anymask.errors import BadInput
from anymask.files import writing_atomically

SUBSET = "default"
KEYS = {"items", "categories"}
SPOOLED = 1 << 26  # bytes of what is written that are kept in memory
VERSION, MEDIA_IMAGE, ANNOTATION_TYPES = "1.0", 2, [2, 6]  # of masks and boxes


def read(path: Path, notes: Notes, photo_folder: Path | None = None) -> Contents:
    """From one JSON file or the folder of all. Raises BadInput when it cannot be read."""
    files = _find(path)
    items: list[tuple[str, tuple[Fields, Path, list[str]]]] = []
    declared: dict[str, int] = {}
    for file in files:
        found = read_object(Blob(file), str(file))
        names = _labels(found, str(file))
        for name in names:
            declared.setdefault(name, len(declared))
        for item in objects_in(found.get("items"), "items", f"{file}: "):
            items.append((f"{file}, item {str(item.get('id'))[:200]}", (item, file, names)))
    return Contents(
        notes.each(items, partial(_record, photos=photo_folder, notes=notes)), len(items), declared
    )


def _find(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    blobs = [b for b in with_suffix(list_files(path), ".json").values() if b.length is None]
    files = [blob.path for blob in blobs if keys_of(blob) >= KEYS]
    if not files:
        raise BadInput(f"expected JSON files of Datumaro with 'items' and 'categories' in {path}, found none")
    return files


def _labels(found: Fields, where: str) -> list[str]:
    categories = found.get("categories")
    label = categories.get("label") if isinstance(categories, dict) else None
    labels = label.get("labels") if isinstance(label, dict) else []
    return [str(one.get("name", "")) for one in objects_in(labels or [], "labels", f"{where}: ")]


def _record(found: tuple[Fields, Path, list[str]], photos: Path | None, notes: Notes) -> Record:
    item, file, names = found
    key = item.get("id")
    if not isinstance(key, str) or not key:
        raise BadInput("expected an item with an 'id'")
    image = item.get("image") if isinstance(item.get("image"), dict) else {}
    assert isinstance(image, dict)
    name = str(image.get("path") or f"{key}.jpg").replace("\\", "/").lstrip("/")
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    folders = [*filter(None, [photos]), root / "images" / stem(file.name), root / "images", root]
    photo = find_photo(folders, [name, name.rpartition("/")[2]])
    size = image.get("size")
    sides = dict(zip(("height", "width"), size, strict=False)) if isinstance(size, list) else {}
    height, width = checked_size(sides) or size_of(photo)
    shown = {"height": height, "width": width, "file_name": name}
    shapes, crowd = Things(), Things()
    for number, one in enumerate(objects_in(item.get("annotations") or [], "annotations"), 1):
        try:
            _add(shapes, crowd, one, names, (height, width), key, notes)
        except BadInput as error:
            notes.failed(f"{key}, annotation {number}", error)
    fields: Fields = {"image": shown, "annotations": shapes.annotations()}
    if crowds := crowd.annotations():
        fields["crowd"] = [{**one, "iscrowd": 1} for one in crowds]
    return Record(key, fields, photo)


def _add(
    things: Things,
    crowd: Things,
    one: Fields,
    names: list[str],
    size_hw: tuple[int, int],
    where: str,
    notes: Notes,
) -> None:
    shape = _shape(one, size_hw)
    if shape is None:
        notes.changed(NO_AREA, where)
        return
    label = one.get("label_id")
    category = names[label] if isinstance(label, int) and 0 <= label < len(names) else None
    own = one.get("attributes")
    attributes = dict(own) if isinstance(own, dict) else {}
    into = crowd if attributes.pop("is_crowd", False) else things
    scores = {
        name: attributes.pop(name) for name in SCORES if isinstance(attributes.get(name), int | float)
    }  # fmt: skip
    more = {**scores, **({"attributes": attributes} if attributes else {})}
    if isinstance(one.get("z_order"), int) and one["z_order"]:
        more["z_order"] = one["z_order"]
    into.add(shape, category, one.get("group") or None, more)


def _shape(one: Fields, size_hw: tuple[int, int]) -> Mask | BoxXywh | None:
    """None for what has no area."""
    kind = one.get("type")
    if kind == "mask":
        mask = Mask.from_rle(one.get("rle"))  # type: ignore[arg-type]
        if mask.size_hw != size_hw:
            raise BadInput(f"expected a mask of {size_hw} (h, w) as the photo, got {mask.size_hw}")
        return mask
    if kind == "polygon":
        points = one.get("points")
        return Mask.from_polygons([numbers(points if isinstance(points, list) else [], "'points'")], size_hw)
    if kind == "bbox":
        box = one.get("bbox")
        if not isinstance(box, list) or len(box) != 4:
            raise BadInput("expected a 'bbox' of four numbers")
        x, y, w, h = numbers(box, "'bbox'")
        return x, y, w, h
    return None


def write(contents: Contents, folder: Path, photos: PhotoWriter) -> None:
    """Raises StorageError."""
    labels = Numbering.without_gaps(contents.categories, first=0)
    written = 0
    path = folder / "annotations" / f"{SUBSET}.json"
    with SpooledTemporaryFile(SPOOLED) as items, writing_atomically(path) as file:
        for record in contents.records:
            with photos.notes.catching(record.key):
                item = encoded(_item(record, labels))
                photos.write(record, folder / "images" / SUBSET)
                items.write((b",\n" if written else b"\n") + item)
                written += 1
        named = [{"name": name, "parent": "", "attributes": []} for name in labels.numbers]
        label = {"labels": named, "label_groups": [], "attributes": ["is_crowd", *SCORES]}
        head: Fields = {"dm_format_version": VERSION, "media_type": MEDIA_IMAGE, "infos": {}}
        head |= {"ann_types": ANNOTATION_TYPES, "categories": {"label": label}}
        file.write(encoded(head)[:-1] + b', "items": [')
        items.seek(0)
        shutil.copyfileobj(items, file)
        file.write(b"\n]}\n")


def _item(record: Record, labels: Numbering) -> Fields:
    name = photo_name(record)
    annotations = [
        *_annotations(record.annotations, labels, False),
        *_annotations(record.crowd, labels, True),
    ]
    numbered = [{**one, "id": number, "group": number} for number, one in enumerate(annotations, 1)]
    return {
        "id": record.key,
        "annotations": numbered,
        "attr": {},
        "image": {"path": name, "size": list(record.size_hw)},
    }


def _annotations(found: list[Annotation], labels: Numbering, is_crowd: bool) -> Iterator[Fields]:
    for one in found:
        own, z_order = one.fields.get("attributes"), one.fields.get("z_order")
        attributes: dict[str, Any] = {**(own if isinstance(own, dict) else {}), **scores_of(one)}
        mask = one.mask
        if mask is None:
            x0, y0, x1, y1 = one.box_xyxy
            place: Fields = {"type": "bbox", "bbox": [x0, y0, x1 - x0, y1 - y0]}
        else:
            place = {"type": "mask", "rle": mask.rle}
        yield {
            **place,
            "attributes": {**attributes, "is_crowd": is_crowd},
            "label_id": labels.of(one),
            "z_order": z_order if isinstance(z_order, int) else 0,
            "object_id": -1,
        }


def _matches(clues: FormatClues) -> bool:
    return clues.have(KEYS)


DATUMARO = Format("datumaro", Capabilities(ignore=False), read, write, _matches)
