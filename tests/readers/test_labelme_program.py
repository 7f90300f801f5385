"""LabelMe files beside labelme itself: what it makes of ours, and what we make of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from programs import reader
from reader_masks import SIZE, blob, ious, without_holes, written

from anymask.data import formats

Masks = list[np.ndarray]


@pytest.fixture(scope="module")
def labelme() -> Any:
    return reader("labelme")


def by_labelme(labelme: Any, folder: Path) -> Masks:
    """Shapes of one label and group are one mask, as `shapes_to_label` has it."""
    found = []
    for path in sorted(folder.glob("*.json")):
        file, groups = labelme.LabelFile(str(path)), {}
        for place, shape in enumerate(file.shapes):
            number = ("alone", place) if shape["group_id"] is None else shape["group_id"]
            mask = groups.setdefault(number, np.zeros(SIZE, bool))
            mask |= _filled(labelme, shape)
        found += groups.values()
    return found


def _filled(labelme: Any, shape: Any) -> np.ndarray:
    _, instances = labelme.utils.shapes_to_label(SIZE, [shape], {shape["label"]: 1})
    return np.asarray(instances > 0)


def by_us(folder: Path) -> tuple[Masks, formats.Notes]:
    notes = formats.Notes()
    records = sorted(formats.read(folder, notes, format_name="labelme").records, key=lambda one: one.key)
    assert not notes.failures
    return [one.mask.to_array() for record in records for one in record.annotations if one.mask], notes


def test_a_thousand_masks_without_holes_are_exact(labelme: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    masks = [without_holes(rng) for _ in range(1000)]
    written(tmp_path, masks, "labelme")
    assert (ious(by_labelme(labelme, tmp_path / "dst"), masks) == 1).all()
    shapes = [one for p in (tmp_path / "dst").glob("*.json") for one in json.loads(p.read_text())["shapes"]]
    assert {one["shape_type"] for one in shapes} == {"polygon"}  # that people can edit


def test_masks_with_holes_and_parts_are_exact(labelme: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    masks = [blob(rng) for _ in range(300)]
    written(tmp_path, masks, "labelme")
    assert (ious(by_labelme(labelme, tmp_path / "dst"), masks) == 1).all()
    assert (ious(by_us(tmp_path / "dst")[0], masks) == 1).all()


def test_its_shapes_are_filled_as_it_fills_them(labelme: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    written(tmp_path, [without_holes(rng)], "labelme")
    path = tmp_path / "dst" / "000.json"
    fields = json.loads(path.read_text())
    shape = fields["shapes"][0] | {"group_id": None}

    def points(count: int) -> list[Any]:
        return (rng.uniform(0, 1, (count, 2)) * (SIZE[1] - 1, SIZE[0] - 1)).tolist()

    kinds = [("polygon", int(count)) for count in rng.integers(3, 12, 200)]
    kinds += [("oriented_rectangle", 4)] * 50 + [("circle", 2)] * 50
    fields["shapes"] = [shape | {"shape_type": kind, "points": points(count)} for kind, count in kinds]
    # a rectangle alone is a box; with another shape of its group it is filled
    for group in range(50):
        pair = ("rectangle", 2), ("polygon", 3)
        fields["shapes"] += [
            shape | {"group_id": group, "shape_type": kind, "points": points(count)} for kind, count in pair
        ]
    path.write_text(json.dumps(fields))
    masks, notes = by_us(tmp_path / "dst")
    assert len(masks) == 350 and not notes.changes
    assert (ious(masks, by_labelme(labelme, tmp_path / "dst")) == 1).all()


def test_a_file_it_saved_with_the_photo_inside_is_read(labelme: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    masks = [without_holes(rng) for _ in range(3)]
    written(tmp_path, masks, "labelme")
    file = labelme.LabelFile(str(tmp_path / "dst" / "000.json"))
    shapes = [{key: one[key] for key in one if key != "other_data"} for one in file.shapes]
    (tmp_path / "saved").mkdir()
    file.save(
        str(tmp_path / "saved" / "a.json"), shapes, "a.png", SIZE[0], SIZE[1], image_data=file.image_data
    )
    (record,) = formats.read(tmp_path / "saved", notes := formats.Notes()).records
    assert not notes.failures and not notes.changes
    assert record.read_pixels().shape == (*SIZE, 3)
    assert (ious([one.mask.to_array() for one in record.annotations if one.mask], masks) == 1).all()
