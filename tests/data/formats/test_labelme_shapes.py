"""LabelMe files: the photo inside, oriented rectangles, unknown kinds, sizes that do not fit."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_samples import masks_of, png, record, there_and_back

from anymask.data import formats
from anymask.data.formats.labelme import NO_AREA, NO_PHOTO_IN, OTHER_SIZE
from anymask.data.record import Record

CORNERS = [[30, 10], [60, 25], [50, 45], [20, 30]]


def read_one(
    folder: Path, notes: formats.Notes, shapes: list[dict[str, Any]], size_hw: Any = (64, 96), **more: Any
) -> Record:
    height, width = size_hw
    whole = [
        {"label": "cat", "shape_type": "polygon", "group_id": None, "flags": {}, **one} for one in shapes
    ]
    fields = {"version": "5", "flags": {}, "shapes": whole, "imagePath": "a.png", "imageData": None}
    sizes = {"imageHeight": height, "imageWidth": width}
    (folder / "a.json").write_text(json.dumps(fields | sizes | more))
    (found,) = formats.read(folder, notes, format_name="labelme").records
    assert not notes.failures
    return found


@pytest.mark.parametrize("kind", ["rotation", "oriented_rectangle", "quadrilateral"])
def test_shapes_of_four_corners_have_an_area(kind: str, tmp_path: Path) -> None:
    notes = formats.Notes()
    shapes = [{"points": CORNERS, "shape_type": kind, "direction": 0.46}, {"points": CORNERS}]
    oriented, polygon = masks_of(read_one(tmp_path, notes, shapes))
    assert oriented == polygon and not notes.changes


def test_kinds_that_are_not_known_are_called_by_name(tmp_path: Path) -> None:
    notes = formats.Notes()
    kinds = ["cuboid", "ellipse", "line", "points", ["?"]]
    assert (
        masks_of(read_one(tmp_path, notes, [{"points": CORNERS, "shape_type": kind} for kind in kinds])) == []
    )
    assert notes.changes == {
        "shapes of the kind 'cuboid' passed over": 1,
        "shapes of the kind 'ellipse' passed over": 1,
        "shapes of the kind \"['?']\" passed over": 1,
        NO_AREA: 2,
    }


@pytest.mark.parametrize("size_hw", [(64, 96), (None, None)])
def test_the_photo_inside_is_used_where_none_is_beside(size_hw: Any, tmp_path: Path) -> None:
    notes = formats.Notes()
    inside = base64.b64encode(png((64, 96))).decode()
    found = read_one(tmp_path, notes, [{"points": CORNERS}], size_hw, imageData=inside)
    assert found.size_hw == (64, 96) and found.read_pixels().shape == (64, 96, 3) and not notes.changes
    formats.write(formats.Contents([found], 1), tmp_path / "dst", notes, format_name="coco")
    assert (tmp_path / "dst" / "images" / "a.png").read_bytes() == png((64, 96)) and not notes.changes
    (tmp_path / "a.png").write_bytes(b"beside")
    assert read_one(tmp_path, notes, [], imageData=inside).blob.read() == b"beside"


def test_a_photo_inside_that_is_none_is_told(tmp_path: Path) -> None:
    notes = formats.Notes()
    for damaged in ("????", base64.b64encode(b"no photo").decode(), 7):
        assert read_one(tmp_path, notes, [{"points": CORNERS}], imageData=damaged).size_hw == (64, 96)
    assert notes.changes == {NO_PHOTO_IN: 3}


def test_flags_of_the_photo_stay(tmp_path: Path) -> None:
    found = read_one(tmp_path, formats.Notes(), [], flags={"sunny": True})
    formats.write(formats.Contents([found], 1), tmp_path / "dst", formats.Notes(), format_name="labelme")
    assert json.loads((tmp_path / "dst" / "a.json").read_text())["flags"] == {"sunny": True}


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[5, 5], [20, 5], [20, 80]], (96, 64)),  # fits into the photo alone
        ([[5, 5], [80, 5], [80, 20]], (64, 96)),  # into what the file gives alone
        ([[5, 5], [20, 5], [20, 20]], (64, 96)),  # into both
    ],
)
def test_a_photo_of_another_size_is_told(points: Any, expected: tuple[int, int], tmp_path: Path) -> None:
    notes = formats.Notes()
    (tmp_path / "a.png").write_bytes(png((96, 64)))
    found = read_one(tmp_path, notes, [{"points": points}])
    assert found.size_hw == expected and masks_of(found)[0].size_hw == expected
    assert notes.changes == {OTHER_SIZE: 1}
    assert notes.first == {OTHER_SIZE: "a: 96 x 64 given, photo 64 x 96"}


@pytest.mark.parametrize("name", ["yolo", "labelme"])
def test_lines_pixels_and_pieces_that_touch_by_a_corner_come_back(name: str, tmp_path: Path) -> None:
    row, pixel, corner = (np.zeros((9, 14), bool) for _ in range(3))
    row[4] = pixel[8, 13] = True
    corner[1:3, 1:3] = corner[3:5, 3:5] = corner[5, 5] = True
    notes = formats.Notes()
    (back,) = there_and_back(
        [record(tmp_path / "src", "k", [row, pixel, corner], (9, 14))], tmp_path / "dst", name, notes
    )
    for mask, inside in zip(masks_of(back), (row, pixel, corner), strict=True):
        assert np.array_equal(mask.to_array(), inside)
    assert not notes.changes  # nothing is lost to other programs either
