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
from anymask.errors import BadInput, BadOption

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
# Asked in this order: a folder of run-length records may also hold pictures of masks, a COCO file photos.
DETECTED = (
    CITYSCAPES, CVAT, LABEL_STUDIO, DATUMARO, VOC, PANOPTIC, COCO, SA1B, LABELME, YOLO, GEOJSON, LABEL_MAP,
)  # fmt: skip


def find_format(name: str) -> Format:
    """Raises BadOption."""
    if name not in FORMATS:
        raise BadOption(f"format: expected one of {', '.join(FORMATS)}, got {name!r}")
    return FORMATS[name]


def detect(path: Path) -> Format:
    """The format of a folder, a shard or a file. Raises BadInput when it looks like none."""
    if not path.exists():
        raise BadInput(f"not found: {path}")
    clues = FormatClues.at(path)
    for one in DETECTED:
        if one.matches(clues):
            return one
    raise BadInput(f"cannot tell the format of {path}: say it with --from ({', '.join(FORMATS)})")


def read(
    path: Path, notes: Notes, *, format_name: str = "auto", photo_folder: Path | None = None
) -> Contents:
    """What a data set holds; records are read while they are iterated, and what fails is put into `notes`.

    Raises BadInput, BadOption.
    """
    if not path.exists():
        raise BadInput(f"not found: {path}")
    one = detect(path) if format_name == "auto" else find_format(format_name)
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
