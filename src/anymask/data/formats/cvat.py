"""CVAT for images 1.1: one XML file for all photos.

    DST/annotations.xml
    DST/images/<key>.jpg

Every mask is a `<mask>`: run lengths row by row within its box, those outside first; in CVAT, of the brush.
Polygons are read with the first pixel's upper left corner at 0, 0, filled as CVAT fills them when it exports
(by the COCO tools). Shapes with the same label and group are pieces of one mask, as in CVAT's exports.
Scores are attributes.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import SpooledTemporaryFile
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

from anymask.core.mask import Mask
from anymask.data.formats.contents import SCORES, Contents, Fields, Notes, category_of, checked_size
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.json_files import PEEKED_AT, FormatClues
from anymask.data.formats.photo_writer import PhotoWriter, photo_name
from anymask.data.formats.row_runs import mask_of_row_runs, row_runs
from anymask.data.formats.shapes import (
    NO_AREA,
    ROTATED,
    BoxXywh,
    Things,
    around,
    check_pixels,
    ellipse,
    numbers,
    rotated_corners,
    scores_of,
    whole_numbers,
)
from anymask.data.formats.xml_files import read_xml
from anymask.data.listing import find_photo, only_file, size_of, stem
from anymask.data.record import Annotation, Blob, Record
from anymask.errors import BadInput
from anymask.files import writing_atomically

FILE = "annotations.xml"
ROOT_TAG = re.compile(rb"<annotations[\s>]")
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
TRACKS = "tracks of videos passed over"
SPOOLED = 1 << 26  # bytes of what is written that are kept in memory
SHAPES = {"mask", "polygon", "box", "ellipse"}


def read(path: Path, notes: Notes, photo_folder: Path | None = None) -> Contents:
    """From the XML file or its folder. Raises BadInput when it cannot be read, or when there are several."""
    file = only_file(path, ".xml", _is_cvat, "CVAT XML file")
    root = read_xml(Blob(file), str(file))
    if root.tag != "annotations":
        raise BadInput(f"{file}: expected CVAT's <annotations>, got <{str(root.tag)[:60]}>")
    notes.changed(TRACKS, str(file), len(root.findall("track")))
    labels = [name for one in root.iterfind("meta//label/name") if (name := (one.text or "").strip())]
    folders = [*filter(None, [photo_folder]), file.parent / "images", file.parent]
    images = root.findall("image")
    items = [(f"{file}, photo {image.get('name', image.get('id', ''))[:200]}", image) for image in images]
    read_one = partial(_record, folders=folders, notes=notes)
    declared = {name: number for number, name in enumerate(dict.fromkeys(labels), 1)}
    return Contents(notes.each(items, read_one), len(images), declared)


def _record(image: Element, folders: list[Path], notes: Notes) -> Record:
    name = (image.get("name") or "").replace("\\", "/").lstrip("/")
    if not name:
        raise BadInput("expected an image with a 'name'")
    subset = (image.get("subset") or "").strip("/")
    photo = find_photo(folders, [name, f"{subset}/{name}", name.rpartition("/")[2]])
    sides = [side for side in (image.get("height"), image.get("width")) if side is not None]
    known = whole_numbers(sides, "the size of an image")
    sized = checked_size(dict(zip(("height", "width"), known, strict=True))) if len(known) == 2 else None
    height, width = sized or size_of(photo)
    things = Things()
    for number, element in enumerate(image, 1):
        try:
            _add(things, element, (height, width), stem(name), notes)
        except BadInput as error:
            notes.failed(f"{stem(name)}, annotation {number}", error)
    fields = {"height": height, "width": width, "file_name": name}
    return Record(stem(name), {"image": fields, "annotations": things.annotations()}, photo)


def _add(things: Things, element: Element, size_hw: tuple[int, int], where: str, notes: Notes) -> None:
    if element.tag not in SHAPES:
        notes.changed(NO_AREA, where)
        return
    shape = _shape(element, size_hw)
    rotated = element.tag == "box" and numbers([element.get("rotation") or 0], "'rotation'")[0] % 360 != 0
    notes.changed(ROTATED, where, int(rotated))
    group = (element.get("group_id") or "0").strip()
    more = _attributes(element)
    if (element.get("z_order") or "0") != "0":
        more["z_order"] = whole_numbers([element.get("z_order")], "'z_order'")[0]
    things.add(shape, element.get("label"), None if group == "0" else group, more)


def _shape(element: Element, size_hw: tuple[int, int]) -> Mask | BoxXywh:
    degrees = numbers([element.get("rotation") or 0], "'rotation'")[0]
    if element.tag == "mask":
        return _mask(element, size_hw)
    if element.tag == "polygon":
        points = [pair.split(",") for pair in (element.get("points") or "").split(";")]
        if any(len(pair) != 2 for pair in points):
            raise BadInput("expected 'points' to be pairs of numbers")
        return Mask.from_polygons([numbers(sum(points, []), "'points'")], size_hw)
    if element.tag == "ellipse":
        cx, cy, rx, ry = _values(element, "cx", "cy", "rx", "ry")
        return Mask.from_polygons([ellipse((cx, cy), (rx, ry), degrees)], size_hw)
    x0, y0, x1, y1 = _values(element, "xtl", "ytl", "xbr", "ybr")
    box = min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0)
    return around(rotated_corners(box, degrees, ((x0 + x1) / 2, (y0 + y1) / 2))) if degrees % 360 else box


def _mask(element: Element, size_hw: tuple[int, int]) -> Mask:
    left, top, width, height = (int(v) for v in _values(element, "left", "top", "width", "height"))
    check_pixels((height, width))
    text = element.get("rle") or ""
    runs = whole_numbers(text.split(","), "'rle'")
    return mask_of_row_runs(runs, (height, width)).placed(size_hw, (left, top))


def _values(element: Element, *names: str) -> list[float]:
    return numbers([element.get(name) for name in names], f"{', '.join(names)} of <{element.tag}>")


def _attributes(element: Element) -> Fields:
    """Scores as numbers; all others as text, by their names."""
    found = {one.get("name") or "": one.text or "" for one in element.iterfind("attribute")}
    scores = {name: numbers([found.pop(name)], name)[0] for name in SCORES if found.get(name)}
    return {**scores, **({"attributes": found} if found else {})}


def write(contents: Contents, folder: Path, photos: PhotoWriter) -> None:
    """Raises StorageError."""
    labels: dict[str, dict[str, None]] = {name: {} for name in contents.categories}
    count = 0
    with SpooledTemporaryFile(SPOOLED) as images, writing_atomically(folder / FILE) as file:
        for record in contents.records:
            with photos.notes.catching(record.key):
                photos.write(record, folder / "images")
                images.write("".join(_image(count, record, labels)).encode())
                count += 1
        file.write("".join(_meta(count, labels)).encode())
        images.seek(0)
        shutil.copyfileobj(images, file)
        file.write(b"</annotations>\n")


def _meta(count: int, labels: dict[str, dict[str, None]]) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
    yield "  <meta>\n    <task>\n"
    yield f"      <name>anymask</name>\n      <size>{count}</size>\n      <mode>annotation</mode>\n"
    yield "      <overlap>0</overlap>\n      <labels>\n"
    for label, attributes in labels.items():
        yield f"        <label>\n          <name>{_text(label)}</name>\n          <attributes>\n"
        for name in attributes:
            yield (
                f"            <attribute><name>{_text(name)}</name><mutable>False</mutable>"
                "<input_type>text</input_type><default_value></default_value><values></values></attribute>\n"
            )
        yield "          </attributes>\n        </label>\n"
    yield "      </labels>\n    </task>\n  </meta>\n"


def _image(number: int, record: Record, labels: dict[str, dict[str, None]]) -> list[str]:
    height, width = record.size_hw
    shapes = [text for one in record.annotations for text in _element(one, labels)]
    name = _quoted(photo_name(record))
    return [
        f'  <image id="{number}" name={name} width="{width}" height="{height}">\n', *shapes, "  </image>\n"
    ]  # fmt: skip


def _element(annotation: Annotation, labels: dict[str, dict[str, None]]) -> Iterator[str]:
    mask = annotation.mask
    if mask is None:
        x0, y0, x1, y1 = annotation.box_xyxy
        kind, place = "box", f'xtl="{x0!r}" ytl="{y0!r}" xbr="{x1!r}" ybr="{y1!r}"'
    elif mask.is_empty:
        return
    else:
        x, y, w, h = mask.bbox_xywh
        runs = ", ".join(map(str, row_runs(Mask.from_array(mask.array_of_box()))))
        kind, place = "mask", f'rle="{runs}" left="{x}" top="{y}" width="{w}" height="{h}"'
    label, z_order = category_of(annotation.fields), annotation.fields.get("z_order")
    z_order = z_order if isinstance(z_order, int) else 0
    values = _written_attributes(annotation)
    labels.setdefault(label, {}).update(dict.fromkeys(values))
    head = (
        f'    <{kind} label={_quoted(label)} source="file" occluded="0" {place} z_order="{int(z_order)}">\n'
    )
    rows = [f"      <attribute name={_quoted(k)}>{_text(v)}</attribute>\n" for k, v in values.items()]
    yield "".join([head, *rows, f"    </{kind}>\n"])


def _written_attributes(annotation: Annotation) -> dict[str, str]:
    own = annotation.fields.get("attributes")
    kept = {str(k): str(v) for k, v in own.items()} if isinstance(own, dict) else {}
    return {**kept, **{name: repr(value) for name, value in scores_of(annotation).items()}}


def _text(value: str) -> str:
    return escape(NOT_IN_XML.sub("_", value))


def _quoted(value: str) -> str:
    return quoteattr(NOT_IN_XML.sub("_", value))


def _is_cvat(blob: Blob) -> bool:
    try:
        with blob.path.open("rb") as file:
            return ROOT_TAG.search(file.read(4096)) is not None
    except OSError:
        return False


def _matches(clues: FormatClues) -> bool:
    names = [name for name in clues.names if name.lower().endswith(".xml")]
    if clues.path.is_dir():
        return any(_is_cvat(Blob(clues.path / name)) for name in names[:PEEKED_AT])
    return bool(names) and _is_cvat(Blob(clues.path))


CVAT = Format("cvat", Capabilities(empty=False, crowd=False, ignore=False), read, write, _matches)
