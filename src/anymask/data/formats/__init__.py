"""The annotation formats by name: finding out which one a data set has, reading and writing.

Records of the shape of SA-1B pass between them, so every format can become every other.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from anymask.data.formats.cityscapes import CITYSCAPES
from anymask.data.formats.coco import COCO, COCO_CVAT, COCO_POLYGON
from anymask.data.formats.contents import Contents, Notes, with_own_keys
from anymask.data.formats.cvat import CVAT
from anymask.data.formats.datumaro import DATUMARO
from anymask.data.formats.format import Format
from anymask.data.formats.geojson import GEOJSON
from anymask.data.formats.json_files import FormatClues
from anymask.data.formats.label_map import LABEL_MAP
from anymask.data.formats.label_studio import LABEL_STUDIO
from anymask.data.formats.labelme import LABELME
from anymask.data.formats.panoptic import PANOPTIC
from anymask.data.formats.parquet import PARQUET
from anymask.data.formats.photo_writer import LINK_MODES, PhotoWriter
from anymask.data.formats.sa1b import SA1B
from anymask.data.formats.voc import VOC
from anymask.data.formats.webdataset import WEBDATASET
from anymask.data.formats.yolo import YOLO
from anymask.data.formats.yolo_files import has_label_lines
from anymask.errors import BadInput, BadOption, UnclearFormat

__all__ = [
    "FORMATS", "LINK_MODES", "Contents", "Format", "Notes", "detect", "find_format", "read",
    "write",
]  # fmt: skip
FORMATS = {
    one.name: one
    for one in (
        SA1B, COCO, COCO_POLYGON, COCO_CVAT, YOLO, VOC, LABELME, LABEL_MAP, CVAT, LABEL_STUDIO, DATUMARO,
        CITYSCAPES, PANOPTIC, GEOJSON, WEBDATASET, PARQUET,
    )
}  # fmt: skip
# Of a single file that looks like several, the first is taken.
DETECTED = (
    CITYSCAPES, CVAT, LABEL_STUDIO, DATUMARO, VOC, PANOPTIC, COCO, SA1B, LABELME, YOLO, GEOJSON, LABEL_MAP,
)  # fmt: skip
# What a format has beside its own: of panoptic COCO also COCO, of others pictures of masks.
COVERED = {"panoptic": ("coco", "label-map"), **dict.fromkeys(("sa1b", "voc", "cityscapes"), ("label-map",))}


def find_format(name: str, *, to_read: bool = False) -> Format:
    """Raises BadOption."""
    names = [one.name for one in FORMATS.values() if one.readable or not to_read]
    if name not in names:
        only = " to read" if name in FORMATS else ""
        raise BadOption(f"format{only}: expected one of {', '.join(names)}, got {name!r}")
    return FORMATS[name]


def detect(path: Path) -> Format:
    """The format of a folder, a shard or a file. Raises BadInput when it looks like none, or like several."""
    if not path.exists():
        raise BadInput(f"not found: {path}")
    clues = FormatClues.at(path)
    found = [one for one in DETECTED if one.matches(clues)]
    if len(found) > 1 and YOLO in found and not (_has_yaml(clues) or has_label_lines(path)):
        found.remove(YOLO)  # text files beside the photos may be captions
    covered = {name for one in found for name in COVERED.get(one.name, ())}
    found = [one for one in found if one.name not in covered]
    if not found:
        names = ", ".join(one.name for one in FORMATS.values() if one.readable)
        raise UnclearFormat(f"cannot tell the format of {path}, expected one of {names}: choose the format")
    if len(found) > 1 and path.is_dir():
        names = " or ".join(one.name for one in found)
        raise UnclearFormat(f"cannot tell the format of {path}, it may be {names}: choose the format")
    return found[0]


def _has_yaml(clues: FormatClues) -> bool:
    return any(name.lower().endswith((".yaml", ".yml")) for name in clues.names)


def read(
    path: Path, notes: Notes, *, format_name: str = "auto", photo_folder: Path | None = None
) -> Contents:
    """What a data set holds; records are read while they are iterated, and what fails is put into `notes`.

    Raises BadInput, BadOption.
    """
    if not path.exists():
        raise BadInput(f"not found: {path}")
    one = detect(path) if format_name == "auto" else find_format(format_name, to_read=True)
    contents = one.read(path, notes, photo_folder)
    return replace(contents, records=with_own_keys(contents.records))


def write(
    contents: Contents, folder: Path, notes: Notes, *, format_name: str, photos: str | None = None
) -> None:
    """Write records into a folder; what the format cannot hold is counted in `notes`.

    `photos`: link, copy or none; by default linked where the format has them beside the annotations.
    Raises StorageError, BadOption.
    """
    one = find_format(format_name)
    mode = photos or ("link" if one.capabilities.photos else "none")
    counted = replace(contents, records=one.noting_losses(contents.records, notes))
    one.write(counted, folder, PhotoWriter(mode, notes))
