"""LabelMe: a JSON file for each photo, beside it, with polygons and masks drawn in version 5 and later.

    DST/<key>.json
    DST/<key>.jpg

A mask of pieces without holes is polygons that share a `group_id`; any other is a `mask` shape, a small PNG,
which holds it exactly. Scores are further keys of a shape, which LabelMe keeps.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator
from functools import partial, reduce
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from anymask.core.mask import Mask
from anymask.data.formats.contents import Contents, Fields, Notes, category_of, checked_size
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.json_files import JsonFile, each_object, objects_in, write_beside
from anymask.data.formats.photo_writer import photo_name
from anymask.data.listing import Photos, find_photo, list_files, photos_by_stem, size_of, stem, with_suffix
from anymask.data.record import Annotation, Record, annotation_of, box_annotation
from anymask.errors import BadInput, mapped

VERSION = "5.5.0"  # the first whose files look like ours in every key
LABELME_KEYS = {"shapes", "imagePath"}, {"shapes", "imageHeight"}  # either
NO_AREA = "shapes without an area (points, lines) passed over"
NO_LABELME = "JSON files that are not of LabelMe passed over"
MAX_POLYGONS = 100  # for one mask; of more pieces it is a mask shape
OF_A_SHAPE = {"label", "points", "group_id", "shape_type", "mask", "flags", "description"}
OF_A_MASK = {
    "id", "segmentation", "bbox", "area", "category", "flags", "description", "category_id", "iscrowd",
}  # fmt: skip
NO_PNG = (TypeError, ValueError, OSError, SyntaxError, Image.DecompressionBombError)  # of damaged ones
CORNERS_OF_A_CIRCLE = 256


def read(path: Path, notes: Notes, photo_folder: Path | None = None) -> Contents:
    """From a folder or one JSON file. Raises BadInput when a shard cannot be read."""
    files = list_files(path)
    read_one = partial(_record, photos=photos_by_stem(files), photo_folder=photo_folder, notes=notes)
    objects = each_object(files, lambda fields: "shapes" in fields, NO_LABELME, notes)
    return Contents(notes.each(objects, read_one), len(with_suffix(files, ".json")))


def _record(item: JsonFile, photos: Photos, photo_folder: Path | None, notes: Notes) -> Record:
    name, blob, fields = item
    key = stem(name)
    image_path = str(fields.get("imagePath") or f"{PurePosixPath(key).name}.jpg").replace("\\", "/")
    beside = PurePosixPath(key).parent / PurePosixPath(image_path).name
    folders = [*filter(None, [photo_folder]), blob.path.parent]
    own = photos.get(key, (image_path, find_photo(folders, [image_path, str(beside), beside.name])))[1]
    height, width = fields.get("imageHeight"), fields.get("imageWidth")
    size_hw = checked_size({"height": height, "width": width}) or size_of(own)
    read_group = partial(_annotation, size_hw=size_hw, where=key, notes=notes)
    annotations = notes.each_annotation(_grouped(fields["shapes"]), read_group, key)
    image = {"height": size_hw[0], "width": size_hw[1], "file_name": PurePosixPath(image_path).name}
    return Record(key, {"image": image, "annotations": annotations}, own)


def _grouped(shapes: Any) -> list[list[Fields]]:
    """Shapes with the same label and `group_id` are pieces of one mask."""
    groups: dict[Any, list[Fields]] = {}
    for place, shape in enumerate(objects_in(shapes, "shapes")):
        group = shape.get("group_id")
        key = ("alone", place) if group is None else (str(shape.get("label")), str(group))
        groups.setdefault(key, []).append(shape)
    return list(groups.values())


def _annotation(
    number: int, shapes: list[Fields], size_hw: tuple[int, int], where: str, notes: Notes
) -> Fields | None:
    first = shapes[0]
    category = None if first.get("label") is None else str(first["label"])
    more = {key: value for key, value in first.items() if key not in OF_A_SHAPE | OF_A_MASK}
    more |= {key: first[key] for key in ("flags", "description") if first.get(key)}
    if len(shapes) == 1 and first.get("shape_type") == "rectangle":
        (x0, y0), (x1, y1) = (edge.tolist() for edge in _edges(_points(first)))
        return box_annotation(number, (x0, y0, x1 - x0, y1 - y0), category, **more)
    masks = [mask for shape in shapes if (mask := _mask_of(shape, size_hw)) is not None]
    notes.changed(NO_AREA, where, len(shapes) - len(masks))
    if not masks:
        return None
    return annotation_of(number, reduce(Mask.__or__, masks), category, **more)


def _mask_of(shape: Fields, size_hw: tuple[int, int]) -> Mask | None:
    """None for a shape without an area."""
    points = _points(shape)
    match shape.get("shape_type") or "polygon":
        case "polygon":
            ring = points
        case "rectangle":
            (x0, y0), (x1, y1) = _edges(points)
            ring = [x0, y0, x1, y0, x1, y1, x0, y1]
        case "circle":
            ring = _circle(points)
        case "mask":
            return _drawn_mask(shape, points, size_hw)
        case _:
            return None
    return Mask.from_polygons([ring], size_hw)


def _points(shape: Fields) -> Any:
    try:
        points = np.asarray(shape.get("points"), np.float64)
    except (TypeError, ValueError):
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise BadInput("expected 'points' to be a list of x, y")
    return points


def _edges(points: Any) -> tuple[Any, Any]:
    """Upper left and lower right corner."""
    if len(points) < 2:
        raise BadInput(f"expected at least two corners, got {len(points)}")
    return points.min(axis=0), points.max(axis=0)


def _circle(points: Any) -> Any:
    """The second point lies on the circle around the first."""
    if len(points) != 2:
        raise BadInput(f"expected a centre and a point of a circle, got {len(points)} points")
    radius = math.dist(*points)
    turns = np.linspace(0, 2 * math.pi, CORNERS_OF_A_CIRCLE, endpoint=False)
    return points[0] + radius * np.stack([np.cos(turns), np.sin(turns)], axis=1)


def _drawn_mask(shape: Fields, points: Any, size_hw: tuple[int, int]) -> Mask:
    """A PNG of the pixels from the first point on."""
    drawn: Any = shape.get("mask")
    with (
        mapped(NO_PNG, BadInput, "expected 'mask' to be a PNG as base64 text"),
        Image.open(io.BytesIO(base64.b64decode(drawn, validate=True)), formats=["PNG"]) as image,
    ):
        inside: Any = np.array(image)
    inside = inside if inside.ndim == 2 else inside.any(axis=2)
    x, y = (int(value) for value in _edges(points)[0])
    inside = inside[max(0, -y) : max(0, size_hw[0] - y), max(0, -x) : max(0, size_hw[1] - x)]
    if not inside.size:
        raise BadInput(f"the mask at {x}, {y} lies outside of the photo")
    return Mask.from_array(inside).placed(size_hw, (max(0, x), max(0, y)))


def _fields(record: Record) -> Fields:
    height, width = record.size_hw
    return {
        "version": VERSION,
        "flags": {},
        "shapes": [shape for number, one in enumerate(record.annotations) for shape in _shapes(number, one)],
        "imagePath": PurePosixPath(photo_name(record)).name,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def _shapes(number: int, annotation: Annotation) -> Iterator[Fields]:
    mask = annotation.mask
    if "segmentation" not in annotation.fields:
        x0, y0, x1, y1 = annotation.box_xyxy
        yield _shape(annotation, "rectangle", [[x0, y0], [x1, y1]])
    if mask is None or mask.is_empty:
        return
    pieces = mask.polygons()
    if len(pieces) > MAX_POLYGONS or any(len(rings) > 1 for rings in pieces):
        x0, y0, x1, y1 = mask.box_xyxy
        buffer = io.BytesIO()
        Image.fromarray(mask.array_of_box()).save(buffer, "PNG")
        drawn = base64.b64encode(buffer.getvalue()).decode("ascii")
        yield _shape(annotation, "mask", [[x0, y0], [x1 - 1, y1 - 1]], mask=drawn)
        return
    group = number if len(pieces) > 1 else None
    for (outline,) in pieces:
        yield _shape(annotation, "polygon", outline.tolist(), group_id=group)


def _shape(annotation: Annotation, kind: str, points: list[Any], **more: Any) -> Fields:
    own = annotation.fields
    return {
        "label": category_of(own),
        "points": points,
        "group_id": None,
        "description": str(own.get("description") or ""),
        "shape_type": kind,
        "flags": own.get("flags") or {},
        "mask": None,
        **more,
        **{key: value for key, value in own.items() if key not in OF_A_MASK | OF_A_SHAPE},
    }


KEPT = Capabilities(empty=False, crowd=False, ignore=False)
write = partial(write_beside, _fields)
LABELME = Format("labelme", KEPT, read, write, lambda clues: clues.have(*LABELME_KEYS))
