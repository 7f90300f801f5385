"""LabelMe: a JSON file for each photo, beside it, with polygons and masks drawn in version 5 and later.

    DST/<key>.json
    DST/<key>.jpg

Polygons run through the centres of the outermost pixels, as LabelMe fills them with their outline: by Pillow,
which is asked here too. A mask of pieces without holes is polygons that share a `group_id`; any other is a
`mask` shape, a small PNG, which holds it exactly. Scores are further keys of a shape, which LabelMe keeps.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from anymask.core.mask import Mask
from anymask.core.outlines import through_pixels
from anymask.core.polygons import coco_rings, trace
from anymask.data.formats.contents import Contents, Fields, Notes, category_of, checked_size
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.json_files import JsonFile, each_object, objects_in, read_object, write_beside
from anymask.data.formats.photo_writer import photo_name
from anymask.data.listing import Photos, find_photo, list_files, photos_by_stem, size_of, stem, with_suffix
from anymask.data.record import Annotation, Blob, Record, annotation_of, box_annotation
from anymask.errors import BadInput, mapped
from anymask.settings import get_settings

VERSION = "5.5.0"  # the first whose files look like ours in every key
LABELME_KEYS = {"shapes", "imagePath"}, {"shapes", "imageHeight"}  # either
OUTLINES = ("polygon", "oriented_rectangle", "rotation", "quadrilateral")  # the last two are of X-AnyLabeling
WITHOUT_AREA = ("point", "points", "line", "linestrip")
NO_AREA = "shapes without an area (points, lines) passed over"
NO_LABELME = "JSON files that are not of LabelMe passed over"
NO_PHOTO_IN = "imageData that is no image passed over"
OTHER_SIZE = "photos that are not of the size their LabelMe file gives"
MAX_POLYGONS = 100  # for one mask; of more pieces it is a mask shape
CENTRE = 31 / 64  # of a pixel, under a half: readers that round find the pixel, and those that cut
MAX_CANVAS = 1 << 25  # pixels; of larger photos only what is around a shape is painted
OF_A_SHAPE = {"label", "points", "group_id", "shape_type", "mask", "flags", "description"}
OF_A_MASK = {
    "id", "segmentation", "bbox", "area", "category", "flags", "description", "category_id", "iscrowd",
}  # fmt: skip
NO_PNG = (TypeError, ValueError, OSError, SyntaxError, Image.DecompressionBombError)  # of damaged ones

Size = tuple[int, int]
Paint = Callable[[ImageDraw.ImageDraw, list[tuple[float, float]]], None]


@dataclass(frozen=True, slots=True)
class Embedded(Blob):
    """The photo inside of a LabelMe file: `imageData`. A byte range of it is no image, so `length` is set."""

    json: Blob = Blob(Path())

    @classmethod
    def of(cls, blob: Blob) -> Embedded:
        return cls(blob.path, 0, 0, blob)

    def read(self) -> bytes:
        """Raises BadInput."""
        return _decoded(read_object(self.json, str(self.path)).get("imageData"), "'imageData'")


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
    inside = Embedded.of(blob) if fields.get("imageData") and not own.exists else None
    shapes = objects_in(fields["shapes"], "shapes")
    size_hw, photo = _size(fields, shapes, inside or own, key, notes)
    read_group = partial(_annotation, size_hw=size_hw, where=key, notes=notes)
    annotations = notes.each_annotation(_grouped(shapes), read_group, key)
    image = {"height": size_hw[0], "width": size_hw[1], "file_name": PurePosixPath(image_path).name}
    if isinstance(flags := fields.get("flags"), dict) and flags:
        image["flags"] = flags
    return Record(key, {"image": image, "annotations": annotations}, photo or own)


def _size(
    fields: Fields, shapes: Sequence[Fields], photo: Blob, key: str, notes: Notes
) -> tuple[Size, Blob | None]:
    """The size the shapes are drawn in: what the file gives, unless it gives none, or the shapes fit into the
    photo alone. And the photo, unless it is none.
    """
    given = checked_size({"height": fields.get("imageHeight"), "width": fields.get("imageWidth")})
    try:
        actual = size_of(photo)
    except BadInput:
        if given is None:
            raise
        notes.changed(NO_PHOTO_IN, key, isinstance(photo, Embedded))
        return given, None
    if given is None or given == actual:
        return actual, photo
    height, width = given
    notes.changed(OTHER_SIZE, f"{key}: {width} x {height} given, photo {actual[1]} x {actual[0]}")
    fits = [_fit(shapes, size_hw) for size_hw in (actual, (height, width))]
    return (actual if fits == [True, False] else (height, width)), photo


def _fit(shapes: Sequence[Fields], size_hw: Size) -> bool:
    try:
        ends = [_points(shape).max(axis=0, initial=0) for shape in shapes]
    except BadInput:
        return False
    return all((end <= size_hw[::-1]).all() for end in ends)


def _grouped(shapes: Sequence[Fields]) -> list[list[Fields]]:
    """Shapes with the same label and `group_id` are pieces of one mask."""
    groups: dict[Any, list[Fields]] = {}
    for place, shape in enumerate(shapes):
        group = shape.get("group_id")
        key = ("alone", place) if group is None else (str(shape.get("label")), str(group))
        groups.setdefault(key, []).append(shape)
    return list(groups.values())


def _annotation(number: int, shapes: list[Fields], size_hw: Size, where: str, notes: Notes) -> Fields | None:
    first = shapes[0]
    category = None if first.get("label") is None else str(first["label"])
    more = {key: value for key, value in first.items() if key not in OF_A_SHAPE | OF_A_MASK}
    more |= {key: first[key] for key in ("flags", "description") if first.get(key)}
    if len(shapes) == 1 and first.get("shape_type") == "rectangle":
        (x0, y0), (x1, y1) = (edge.tolist() for edge in _edges(_points(first)))
        return box_annotation(number, (x0, y0, x1 - x0, y1 - y0), category, **more)
    masks = []
    for shape in shapes:
        if (mask := _mask_of(shape, size_hw)) is None:
            kind = str(shape.get("shape_type"))[:40]
            notes.changed(
                NO_AREA if kind in WITHOUT_AREA else f"shapes of the kind {kind!r} passed over", where
            )
        else:
            masks.append(mask)
    if not masks:
        return None
    return annotation_of(number, reduce(Mask.__or__, masks), category, **more)


def _mask_of(shape: Fields, size_hw: Size) -> Mask | None:
    """As LabelMe fills it. None for a shape without an area, and for kinds that are not known."""
    points = _points(shape)
    kind = shape.get("shape_type") or "polygon"
    if kind in OUTLINES:
        if len(points) < 3:
            raise BadInput(f"expected at least three points of a {kind}, got {len(points)}")
        return _painted(points, size_hw, lambda draw, xy: draw.polygon(xy, fill=1, outline=1))
    if kind == "rectangle":
        return _painted(
            np.stack(_edges(points)), size_hw, lambda draw, xy: draw.rectangle(xy, fill=1, outline=1)
        )
    if kind == "circle":
        return _painted(_around_circle(points), size_hw, lambda draw, xy: draw.ellipse(xy, fill=1, outline=1))
    return _drawn_mask(shape, points, size_hw) if kind == "mask" else None


def _painted(points: NDArray[np.float64], size_hw: Size, paint: Paint) -> Mask:
    """What Pillow paints in a photo. It cuts off fractions of pixels.

    Raises BadInput for points far out of the photo, and for a huge shape.
    """
    list(coco_rings([points if len(points) != 2 else points[[0, 1, 1]]], max(size_hw)))
    whole, limit = np.trunc(points), np.array(size_hw[::-1])
    corner = whole.min(axis=0).clip(0, limit - 1)
    end = (whole.max(axis=0) + 1).clip(corner + 1, limit)
    start = corner if end.prod() > MAX_CANVAS else np.zeros(2)  # where an edge ends up depends a little on it
    width, height = (end - start).astype(int).tolist()
    if width * height > get_settings().max_pixels:
        raise BadInput(
            f"expected a shape of at most {get_settings().max_pixels:,} pixels, got {width} x {height}"
        )
    canvas = Image.new("L", (width, height))
    paint(ImageDraw.Draw(canvas), [(x, y) for x, y in (whole - start).tolist()])
    (x, y), (left, upper) = corner.astype(int).tolist(), (corner - start).astype(int).tolist()
    return Mask.from_array(np.array(canvas.crop((left, upper, width, height)))).placed(size_hw, (x, y))


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


def _around_circle(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners of the square around a circle; the second point lies on the circle around the first."""
    if len(points) != 2:
        raise BadInput(f"expected a centre and a point of a circle, got {len(points)} points")
    radius = math.dist(*points)
    return np.stack([points[0] - radius, points[0] + radius])


def _drawn_mask(shape: Fields, points: Any, size_hw: Size) -> Mask:
    """A PNG of the pixels from the first point on."""
    drawn = _decoded(shape.get("mask"), "'mask'")
    with (
        mapped(NO_PNG, BadInput, "expected 'mask' to be a PNG as base64 text"),
        Image.open(io.BytesIO(drawn), formats=["PNG"]) as image,
    ):
        inside: Any = np.array(image)
    inside = inside if inside.ndim == 2 else inside.any(axis=2)
    x, y = (int(value) for value in _edges(points)[0])
    inside = inside[max(0, -y) : max(0, size_hw[0] - y), max(0, -x) : max(0, size_hw[1] - x)]
    if not inside.size:
        raise BadInput(f"the mask at {x}, {y} lies outside of the photo")
    return Mask.from_array(inside).placed(size_hw, (max(0, x), max(0, y)))


def _decoded(text: Any, name: str) -> bytes:
    """Base64 text, perhaps on several lines. Raises BadInput."""
    with mapped((TypeError, ValueError), BadInput, f"expected {name} to be an image as base64 text"):
        return base64.b64decode("".join(text.split()) if isinstance(text, str) else text, validate=True)


def _fields(record: Record) -> Fields:
    height, width = record.size_hw
    flags = record.fields["image"].get("flags")
    return {
        "version": VERSION,
        "flags": flags if isinstance(flags, dict) else {},
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
    inside = mask.array_of_box()
    outlines = _outlines(inside)
    if outlines is None:
        x0, y0, x1, y1 = mask.box_xyxy
        buffer = io.BytesIO()
        Image.fromarray(inside).save(buffer, "PNG")
        drawn = base64.b64encode(buffer.getvalue()).decode("ascii")
        yield _shape(annotation, "mask", [[x0, y0], [x1 - 1, y1 - 1]], mask=drawn)
        return
    group = number if len(outlines) > 1 else None
    for outline in outlines:
        points = (outline + mask.box_xyxy[:2] + CENTRE).tolist()
        yield _shape(annotation, "polygon", points, group_id=group)


def _outlines(inside_HW: NDArray[np.bool_]) -> list[NDArray[np.int64]] | None:
    """A polygon for each piece; None where these are not exactly the mask, or too many."""
    pieces = trace(inside_HW, cut=False)
    if len(pieces) > MAX_POLYGONS or any(len(rings) > 1 for rings in pieces):
        return None
    outlines = [through_pixels(outline) for (outline,) in pieces]
    canvas = Image.new("L", inside_HW.shape[::-1])
    for outline in outlines:
        ImageDraw.Draw(canvas).polygon([(x, y) for x, y in outline.tolist()], fill=1, outline=1)
    return outlines if np.array_equal(np.array(canvas) > 0, inside_HW) else None


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
