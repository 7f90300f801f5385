"""`Annotations/<key>.xml` of Pascal VOC: the objects of a photo, each with its class and its box.

Pixels are counted from 1 and the last is within: `xmin` is the first column that a box has, `xmax` its last.
Objects may have outlines, as supervision and Roboflow write them: `x1`, `y1` and so on, centres of pixels,
filled with the outline as OpenCV does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np

from anymask.core.mask import Mask
from anymask.core.outlines import filled
from anymask.core.polygons import coco_rings
from anymask.data.formats.contents import Notes, category_of, checked_size
from anymask.data.formats.cvat import NOT_IN_XML
from anymask.data.formats.photo_writer import photo_name
from anymask.data.formats.shapes import BoxXywh, check_pixels, numbers
from anymask.data.formats.xml_files import read_xml, text_at
from anymask.data.record import Annotation, Blob, Record
from anymask.errors import BadInput

SIDES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True)
class Object:
    """A box and perhaps a mask; `number` is its place in the file, from 1."""

    number: int
    category: str | None
    box: BoxXywh
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """An XML file: what it says of its photo, and its objects."""

    file_name: str
    size_hw: tuple[int, int] | None
    elements: list[Element]


def read_sheet(blob: Blob) -> Sheet:
    """Raises BadInput."""
    root = read_xml(blob, str(blob.path))
    if root.tag != "annotation":
        raise BadInput(f"{blob.path}: expected VOC's <annotation>, got <{str(root.tag)[:60]}>")
    sides = [text_at(root, f"size/{side}") for side in ("height", "width")]
    size = None
    if all(sides) and (found := numbers(sides, "the size of a photo")) != [0, 0]:
        size = checked_size({"height": found[0], "width": found[1]})
    return Sheet(text_at(root, "filename").replace("\\", "/"), size, root.findall("object"))


def objects_of(sheet: Sheet, size_hw: tuple[int, int], where: str, notes: Notes) -> Iterator[Object]:
    """Those that cannot be used become failures."""
    for number, element in enumerate(sheet.elements, 1):
        try:
            yield _object(number, element, size_hw)
        except BadInput as error:
            notes.failed(f"{where}, object {number}", error)


def _object(number: int, element: Element, size_hw: tuple[int, int]) -> Object:
    name = element.findtext("name") or ""
    category = (name.strip() if name.startswith("\n") else name) or None  # \n: indented by some program
    polygons = [_polygon(one, size_hw) for one in element.findall("polygon") if len(one)]
    mask = reduce(Mask.__or__, polygons) if polygons else None
    if element.find("bndbox") is None:
        if mask is None:
            raise BadInput("expected a <bndbox> or a <polygon>, found neither")
        x, y, w, h = mask.bbox_xywh
        return Object(number, category, (x, y, w, h), mask)
    x0, y0, x1, y1 = numbers([text_at(element, f"bndbox/{side}") for side in SIDES], "<bndbox>")
    (x0, x1), (y0, y1) = sorted((x0, x1)), sorted((y0, y1))
    return Object(number, category, (x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1), mask)


def _polygon(element: Element, size_hw: tuple[int, int]) -> Mask:
    values = numbers([one.text for one in element], "<polygon>")
    points = np.array(values[: len(values) // 2 * 2], np.float64).reshape(-1, 2) - 1
    list(coco_rings([points if len(points) > 2 else points[[0, -1, -1]]], max(size_hw)))
    check_pixels(size_hw)
    pixels = np.round(points).astype(np.int64)
    inside, corner = filled(pixels, np.roll(pixels, -1, axis=0), size_hw)
    return Mask.from_array(inside).placed(size_hw, corner)


def sheet_of(record: Record, annotations: list[Annotation]) -> bytes:
    """The file of a photo with these annotations."""
    height, width = record.size_hw
    root = Element("annotation")
    _add(root, "filename", photo_name(record).rpartition("/")[2])
    size = SubElement(root, "size")
    for name, pixels in (("width", width), ("height", height), ("depth", 3)):
        _add(size, name, str(pixels))
    _add(root, "segmented", "1" if record.drawn else "0")
    for annotation in annotations:
        element = SubElement(root, "object")
        _add(element, "name", category_of(annotation.fields))
        for flag, usual in (("pose", "Unspecified"), ("truncated", "0"), ("difficult", "0")):
            _add(element, flag, usual)
        box = SubElement(element, "bndbox")
        x0, y0, x1, y1 = annotation.box_xyxy
        for side, value in zip(SIDES, (x0 + 1, y0 + 1, x1, y1), strict=True):
            _add(box, side, f"{value:.0f}" if value == value // 1 else repr(float(value)))
    text: bytes = tostring(root, "utf-8")
    return text.replace(b"\r", b"&#13;") + b"\n"


def _add(parent: Element, name: str, text: str) -> None:
    SubElement(parent, name).text = NOT_IN_XML.sub("_", text)


def plain(name: str) -> str:
    """A name as far as XML keeps it for certain: to compare."""
    return " ".join(NOT_IN_XML.sub("_", name).split())
