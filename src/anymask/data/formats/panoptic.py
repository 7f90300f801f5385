"""COCO panoptic: one JSON file for all photos, a PNG for each, whose colours are numbers of its segments.

    DST/annotations/panoptic_default.json
    DST/annotations/panoptic_default/<key>.png     red + 256 green + 256² blue; 0 where there is no segment
    DST/images/default/<key>.jpg

Kirillov et al. 2019, "Panoptic Segmentation". A pixel has one segment at most: small ones on top.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from anymask.data.formats.coco_files import PhotoFinder, category_names, id_of, named, own_ids, read_file
from anymask.data.formats.contents import Contents, Fields, Notes, Numbering, stated_size
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.json_files import COCO_KEYS, FormatClues, encoded, objects_in
from anymask.data.formats.label_map import LARGEST, TOO_MANY, paint, paint_all, take_apart
from anymask.data.formats.photo_writer import PhotoWriter, photo_name
from anymask.data.listing import only_file, stem
from anymask.data.record import Blob, Record, annotation_of
from anymask.errors import BadImage, BadInput, mapped
from anymask.files import write_atomically
from anymask.settings import get_settings

PREFIX = "panoptic_"
SUBSET = "default"


def read(path: Path, notes: Notes, photo_folder: Path | None = None) -> Contents:
    """From the JSON file or its folder. Raises BadInput when it cannot be read, or when there are several."""
    file = only_file(path, ".json", _is_panoptic, f"{PREFIX}*.json")
    coco = read_file(file)
    images, annotations, categories = (
        objects_in(coco.get(key) or [], key, f"{file}: ") for key in ("images", "annotations", "categories")
    )
    names = category_names(categories, file, notes)
    images = own_ids(images, file, notes)
    by_image = {id_of(one.get("image_id")): one for one in annotations}
    lost = sum(1 for number in by_image if number not in {id_of(one.get("id")) for one in images})
    notes.changed("annotations of photos that are not listed passed over", str(file), lost)
    finder = PhotoFinder(file, images, photo_folder, notes)
    reader = _Reader(file.with_suffix(""), by_image, names, finder, notes)
    items = [(f"{file}, photo {str(one.get('file_name', one.get('id')))[:200]}", one) for one in images]
    declared = {name: number for number, name in names.items() if isinstance(number, int)}
    return Contents(notes.each(items, reader.record), len(items), declared)


def _is_panoptic(blob: Blob) -> bool:
    return blob.length is None and blob.path.name.startswith(PREFIX)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Makes records. `pictures`: the folder of the PNG files. `annotations`: by the id of their photo."""

    pictures: Path
    annotations: Mapping[Any, Fields]
    categories: Mapping[int | str, str]
    finder: PhotoFinder
    notes: Notes

    def record(self, image: Fields) -> Record:
        number = id_of(image.get("id"))
        if number is None or not isinstance(image.get("file_name"), str):
            raise BadInput("expected an 'id' and a 'file_name'")
        key = stem(image["file_name"].replace("\\", "/"))
        photo = self.finder.find(image["file_name"], key)
        size_hw = stated_size(image, photo, key, self.notes)
        own = {k: v for k, v in image.items() if k != "id"}
        own |= {"image_id": number, "height": size_hw[0], "width": size_hw[1]}
        fields: Fields = {"image": own, "annotations": []}
        for segment in self._segments(number, size_hw, key):
            is_group = segment.pop("iscrowd", 0)
            fields.setdefault("crowd" if is_group else "annotations", []).append(segment)
        return Record(key, fields, photo)

    def _segments(self, number: int | str, size_hw: tuple[int, int], key: str) -> Iterator[Fields]:
        annotation = self.annotations.get(number)
        if annotation is None:
            return
        found = {
            id_of(one.get("id")): one for one in objects_in(annotation.get("segments_info"), "segments_info")
        }
        masks = take_apart(_read_ids(self.pictures / str(annotation.get("file_name")), size_hw))
        self.notes.changed("segments without pixels left out", key, len(found.keys() - masks.keys()))
        self.notes.changed(
            "pixels of segments that are not listed left out", key, len(masks.keys() - found.keys())
        )
        for place, (segment, mask) in enumerate(masks.items(), 1):
            if segment in found:
                own = id_of(found[segment].get("category_id"))
                category = None if own is None else named(self.categories, own, key, self.notes)
                crowd = {"iscrowd": 1} if found[segment].get("iscrowd") else {}
                yield annotation_of(place, mask, category, **crowd)


def _read_ids(path: Path, size_hw: tuple[int, int]) -> NDArray[np.uint32]:
    """Numbers of segments H x W. Raises BadImage, BadInput."""
    content = Blob(path).read()
    with mapped(Exception, BadImage, f"{path}: damaged or no PNG"):  # decoders raise nearly everything
        image = PngImageFile(io.BytesIO(content), "")
        limit, (width, height) = get_settings().max_pixels, image.size
        if (height, width) != size_hw or height * width > limit:
            raise BadImage(f"{path}: expected {size_hw} (h, w) as the photo, got {(height, width)}")
        rgb_HW3 = np.asarray(image.convert("RGB"), np.uint32)
    return np.asarray(rgb_HW3 @ np.array([1, 256, 65_536], np.uint32), np.uint32)


def write(contents: Contents, folder: Path, photos: PhotoWriter) -> None:
    """Raises StorageError."""
    categories = Numbering(contents.categories, first=1)
    images: list[Fields] = []
    annotations: list[Fields] = []
    pictures = folder / "annotations" / f"{PREFIX}{SUBSET}"
    for record in contents.records:
        with photos.notes.catching(record.key):
            number = len(images) + 1
            segments, ids_HW = _painted(record, categories, photos.notes)
            write_atomically(pictures / f"{record.key}.png", _png_of(ids_HW))
            photos.write(record, folder / "images" / SUBSET)
            own = {k: v for k, v in record.fields["image"].items() if k != "image_id"}
            images.append({**own, "id": number, "file_name": photo_name(record)})
            told = {"image_id": number, "file_name": f"{record.key}.png", "segments_info": segments}
            annotations.append(told)
    things = [{"id": number, "name": name, "isthing": 1} for name, number in categories.numbers.items()]
    found = {"info": {"description": "written by anymask"}, "images": images, "annotations": annotations}
    write_atomically(pictures.with_suffix(".json"), encoded({**found, "categories": things}) + b"\n")


def _painted(record: Record, categories: Numbering, notes: Notes) -> tuple[list[Fields], NDArray[np.uint16]]:
    """What the segments are, and their numbers H x W."""
    shown = record.drawn
    notes.changed(TOO_MANY, record.key, max(0, len(shown) - LARGEST))
    shown = shown[:LARGEST]
    crowd = [(one, mask) for one in record.crowd if (mask := one.mask) is not None]
    crowd = crowd[: LARGEST - len(shown)]
    canvas = paint(((len(shown) + number, mask) for number, (_, mask) in enumerate(crowd, 1)), record.size_hw)
    ids_HW = paint_all([mask for _, mask in shown], record, notes, canvas)
    painted = take_apart(ids_HW)
    segments = []
    for number, (one, _) in enumerate([*shown, *crowd], 1):
        if number in painted:
            mask = painted[number]
            told: Fields = {"id": number, "category_id": categories.of(one, one.fields.get("category_id"))}
            told |= {"area": mask.area, "bbox": list(mask.bbox_xywh), "iscrowd": int(number > len(shown))}
            segments.append(told)
    return segments, ids_HW


def _png_of(ids_HW: NDArray[np.uint16]) -> bytes:
    wide = ids_HW.astype(np.uint32)
    rgb_HW3 = np.stack([wide & 255, wide >> 8 & 255, wide >> 16 & 255], axis=2).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(rgb_HW3).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _matches(clues: FormatClues) -> bool:
    names = [name.rpartition("/")[2] for name in clues.names if name.lower().endswith(".json")]
    named = any(name.startswith(PREFIX) for name in names)
    return named and clues.have(COCO_KEYS) and not any(name.startswith("instances_") for name in names)


KEPT = Capabilities(overlap=False, empty=False, boxes=False, scores=False, ignore=False)
PANOPTIC = Format("panoptic", KEPT, read, write, _matches)
