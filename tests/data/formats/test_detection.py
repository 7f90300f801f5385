"""Which format a data set has: that of everything written here, of what programs write; asked for if open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from format_samples import png
from formats_of_readers import written

from anymask.cli.convert import NAMES, READ
from anymask.data import formats
from anymask.errors import BadOption, UnclearFormat

READ_AS = {"coco-polygon": "coco", "coco-cvat": "coco", "webdataset": "sa1b"}
RECORD = json.dumps({"image": {"height": 6, "width": 9, "file_name": "a.png"}, "annotations": []})
COCO = json.dumps({"images": [], "annotations": [], "categories": []})
LABELME = json.dumps({"shapes": [], "imagePath": "a.png", "imageHeight": 6, "imageWidth": 9})
SHEET = "<annotation><size/><object/></annotation>"
LINE = "0 0.1 0.1 0.5 0.1 0.5 0.5\n"


@pytest.mark.parametrize("name", [name for name, one in formats.FORMATS.items() if one.readable])
def test_what_is_written_is_recognised(name: str, tmp_path: Path) -> None:
    assert formats.detect(written(tmp_path, name)).name == READ_AS.get(name, name)


def test_the_command_names_every_format() -> None:
    assert NAMES.split("|") == [*READ.split("|"), "parquet"]
    assert set(NAMES.split("|")) == set(formats.FORMATS)
    assert READ.split("|") == [name for name in NAMES.split("|") if formats.FORMATS[name].readable]
    with pytest.raises(BadOption, match="to read: expected one of sa1b, .*, got 'parquet'"):
        formats.find_format("parquet", to_read=True)


def lay(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png((6, 9)) if name.endswith("png") else text.encode())
    return folder


@pytest.mark.parametrize(
    "files, expected",
    [
        ({"coco.json": COCO, "a.json": LABELME}, "coco or labelme"),
        ({"c.json": COCO, "labels/a.txt": LINE, "images/a.png": ""}, "coco or yolo"),
        (
            {"c.json": COCO, "b.json": LABELME, "labels/a.txt": LINE, "images/a.png": ""},
            "coco or labelme or yolo",
        ),
        ({"a.json": RECORD, "coco/annotations.json": COCO}, "coco or sa1b"),
        ({"a.png": "", "a.xml": SHEET, "a.json": LABELME}, "voc or labelme"),
        ({"a.png": "", "a.xml": SHEET, "a.txt": LINE}, "voc or yolo"),
        ({"images/a.png": "", "labels/a.txt": LINE, "masks/a.png": ""}, "yolo or label-map"),
        ({"annotations.xml": "<annotations></annotations>", "labels/a.txt": LINE}, "cvat or yolo"),
    ],
)
def test_where_it_is_open_all_are_named(files: dict[str, str], expected: str, tmp_path: Path) -> None:
    with pytest.raises(UnclearFormat, match=f"it may be {expected}: choose the format$"):
        formats.detect(lay(tmp_path, files))


@pytest.mark.parametrize(
    "files, expected",
    [
        ({"a.png": "", "a.json": RECORD, "a.txt": "a dog on a lawn"}, "sa1b"),
        ({"a.json": RECORD, "masks/a.png": ""}, "sa1b"),
        ({"SegmentationClass/a.png": ""}, "voc"),
        ({"masks/a.png": "", "images/a.png": ""}, "label-map"),
        ({"train/a.png": "", "train/a.xml": SHEET, "README.roboflow.txt": "words"}, "voc"),
        ({"train/a.png": "", "train/_annotations.coco.json": COCO, "README.dataset.txt": "x"}, "coco"),
        ({"images/a.png": "", "labels/a.txt": LINE, "data.yaml": "names: [a]"}, "yolo"),
        ({"images/a.png": "", "labels/a.txt": ""}, "yolo"),
    ],
)
def test_what_is_clear_is_not_asked_for(files: dict[str, str], expected: str, tmp_path: Path) -> None:
    assert formats.detect(lay(tmp_path, files)).name == expected
