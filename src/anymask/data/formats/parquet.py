"""Parquet: a row for each photo, as the `datasets` library reads it. Written only; needs the extra `parquet`.

DST/data/train-00000.parquet, DST/data/train-00001.parquet, ...

image       the photo's bytes and its path (a feature `Image`)
key, height, width
objects     a list: bbox (x, y, width, height), category, area, iscrowd, score, counts (COCO's run lengths)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from anymask.data.formats.contents import Contents, Fields, Notes
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.photo_writer import NO_PHOTO, PhotoWriter, photo_name
from anymask.data.formats.shapes import confidence_of
from anymask.data.record import Annotation, Record
from anymask.errors import BadOption, MissingExtra
from anymask.files import writing_atomically

SHARD_BYTES, GROUP_BYTES = 256 << 20, 32 << 20
NAME = "data/train-{:05d}.parquet"
FEATURES: Fields = {
    "image": {"_type": "Image"},
    "key": {"dtype": "string", "_type": "Value"},
    "height": {"dtype": "int32", "_type": "Value"},
    "width": {"dtype": "int32", "_type": "Value"},
    "objects": {
        "_type": "List",
        "feature": {
            "bbox": {"_type": "List", "feature": {"dtype": "float64", "_type": "Value"}, "length": 4},
            "category": {"dtype": "string", "_type": "Value"},
            "area": {"dtype": "float64", "_type": "Value"},
            "iscrowd": {"dtype": "bool", "_type": "Value"},
            "score": {"dtype": "float64", "_type": "Value"},
            "counts": {"dtype": "string", "_type": "Value"},
        },
    },
}


def read(path: Path, notes: Notes, photo_folder: Path | None = None) -> Contents:
    """Raises BadOption, always."""
    raise BadOption("parquet is written only; expected another format to read from")


def write(contents: Contents, folder: Path, photos: PhotoWriter) -> None:
    """Raises StorageError, and MissingExtra without pyarrow."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra('parquet needs pyarrow: pip install "anymask[parquet]"') from None
    schema = _schema(pyarrow)
    stack, count, size, writer = ExitStack(), 0, 0, None
    with ExitStack() as last:
        last.push(lambda *raised: stack.__exit__(*raised))
        for rows, length in _groups(contents, photos):
            if writer is None or size + length > SHARD_BYTES:
                stack.close()
                file = stack.enter_context(writing_atomically(folder / NAME.format(count)))
                writer = stack.enter_context(parquet.ParquetWriter(file, schema))
                count, size = count + 1, 0
            size += length
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))


def _schema(pyarrow: Any) -> Any:
    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    thing = pyarrow.struct(
        [
            ("bbox", pyarrow.list_(pyarrow.float64(), 4)),
            ("category", pyarrow.string()),
            ("area", pyarrow.float64()),
            ("iscrowd", pyarrow.bool_()),
            ("score", pyarrow.float64()),
            ("counts", pyarrow.string()),
        ]
    )
    fields = [("image", image), ("key", pyarrow.string()), ("height", pyarrow.int32())]
    fields += [("width", pyarrow.int32()), ("objects", pyarrow.list_(thing))]
    return pyarrow.schema(fields, {"huggingface": json.dumps({"info": {"features": FEATURES}})})


def _groups(contents: Contents, photos: PhotoWriter) -> Iterator[tuple[list[Fields], int]]:
    """Rows that are written together, and about how many bytes they are."""
    rows: list[Fields] = []
    size = 0
    for record in contents.records:
        with photos.notes.catching(record.key):
            row = _row(record, photos)
            rows.append(row)
            size += len(row["image"]["bytes"] or b"") + sum(
                len(one["counts"] or "") for one in row["objects"]
            )
        if size > GROUP_BYTES:
            yield rows, size
            rows, size = [], 0
    yield rows, size


def _row(record: Record, photos: PhotoWriter) -> Fields:
    content = None
    if photos.mode != "none" and record.blob.exists:
        with photos.notes.catching(str(record.blob.path)):
            content = record.blob.read()
    elif photos.mode != "none":
        photos.notes.changed(NO_PHOTO, record.key)
    height, width = record.size_hw
    return {
        "image": {"bytes": content, "path": _text(photo_name(record))},
        "key": _text(record.key),
        "height": height,
        "width": width,
        "objects": [*map(_object, record.annotations), *map(_object, record.crowd)],
    }


def _object(one: Annotation) -> Fields:
    mask, (x0, y0, x1, y1) = one.mask, one.box_xyxy
    return {
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "category": None if one.category is None else _text(str(one.category)),
        "area": one.area,
        "iscrowd": bool(one.fields.get("iscrowd")),
        "score": confidence_of(one),
        "counts": None if mask is None else mask.rle["counts"],
    }


def _text(value: str) -> str:
    """Of names that are no UTF-8, escapes."""
    return value.encode("utf-8", "backslashreplace").decode()


PARQUET = Format("parquet", Capabilities(ignore=False), read, write, lambda clues: False, readable=False)
