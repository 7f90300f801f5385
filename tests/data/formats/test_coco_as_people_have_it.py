"""COCO files as other programs write them: ids, places of photos, several files, crowds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from anymask.data import formats
from anymask.data.sources import open_records
from anymask.errors import BadInput

RLE = {"size": [4, 6], "counts": [4, 4, 16]}


def a_file(path: Path, **changes: Any) -> Path:
    """A COCO file with one photo `a.png` of 6 x 4 and one mask of class 3, `cat`."""
    found = {
        "images": [{"id": 1, "file_name": "a.png", "width": 6, "height": 4}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "segmentation": RLE, "iscrowd": 0}],
        "categories": [{"id": 3, "name": "cat"}],
    } | changes
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))
    return path


def a_photo(path: Path, size: tuple[int, int] = (6, 4)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)
    return path


def read(path: Path) -> tuple[list[Any], formats.Notes]:
    notes = formats.Notes()
    return list(formats.read(path, notes, format_name="coco").records), notes


def an_annotation(**changes: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 1, "category_id": 3, "segmentation": RLE} | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"annotations": [an_annotation(image_id=1.0)]},
        {"annotations": [an_annotation(category_id=3.0)]},
        {"annotations": [an_annotation(category_id="3")]},
        {"categories": [{"id": 3.0, "name": "cat"}]},
        {"images": [{"id": 1.0, "file_name": "a.png", "width": 6, "height": 4}]},
        {"images": [{"id": "1", "file_name": "a.png", "width": 6, "height": 4}]},
    ],
)
def test_ids_written_as_floats_or_text_are_the_same_ids(tmp_path: Path, changes: dict[str, Any]) -> None:
    records, notes = read(a_file(tmp_path / "a.json", **changes))
    assert [one.category for one in records[0].annotations] == ["cat"]
    assert records[0].fields["image"]["image_id"] == 1
    assert not notes.changes and not notes.failures


@pytest.mark.parametrize(
    ("changes", "said", "names"),
    [
        ({"annotations": [an_annotation(category_id=7)]}, "not declared", ["7"]),
        ({"categories": None}, "not declared", ["3"]),
        ({"categories": [{"id": 3}]}, "without a name", ["3"]),
        ({"annotations": [an_annotation(category_id=[3])]}, "makes no sense", [None]),
        ({"annotations": [{"id": 1, "segmentation": RLE}]}, "not listed", []),
    ],
)
def test_what_is_guessed_or_dropped_is_said(
    tmp_path: Path, changes: dict[str, Any], said: str, names: list[str | None]
) -> None:
    records, notes = read(a_file(tmp_path / "a.json", **changes))
    assert [one.category for one in records[0].annotations] == names
    assert any(said in what for what in notes.changes)


def test_of_two_photos_with_one_id_the_last_has_the_annotations(tmp_path: Path) -> None:
    both = [{"id": 1, "file_name": f"{name}.png", "width": 6, "height": 4} for name in "ab"]
    records, notes = read(a_file(tmp_path / "a.json", images=both))
    assert [(one.key, len(one.annotations)) for one in records] == [("b", 1)]
    assert any("id a later one has" in what for what in notes.changes)


def test_an_absolute_path_that_is_there_is_taken(tmp_path: Path) -> None:
    photo = a_photo(tmp_path / "images" / "sub" / "a.png")
    a_photo(tmp_path / "images" / "a.png")
    images = [{"id": 1, "file_name": str(photo), "width": 6, "height": 4}]
    records, notes = read(a_file(tmp_path / "a.json", images=images))
    assert records[0].blob.path == photo and not notes.changes


def test_a_photo_found_by_its_last_name_is_said(tmp_path: Path) -> None:
    photo = a_photo(tmp_path / "images" / "a.png")
    images = [{"id": 1, "file_name": "elsewhere/a.png", "width": 6, "height": 4}]
    records, notes = read(a_file(tmp_path / "a.json", images=images))
    assert records[0].blob.path == photo
    assert any("last part of their name" in what for what in notes.changes)


def test_one_photo_is_never_used_for_two_entries(tmp_path: Path) -> None:
    a_photo(tmp_path / "images" / "a.png")
    images = [
        {"id": number, "file_name": f"{folder}/a.png", "width": 6, "height": 4}
        for number, folder in enumerate(("train", "val"), 1)
    ]
    records, notes = read(a_file(tmp_path / "a.json", images=images))
    assert not any(one.blob.exists for one in records)
    assert any("several have that last name" in what for what in notes.changes)


@pytest.mark.parametrize("size", [(4, 6), (3, 2)])
def test_a_photo_of_another_size_is_said(tmp_path: Path, size: tuple[int, int]) -> None:
    a_photo(tmp_path / "a.png", size)
    records, notes = read(a_file(tmp_path / "a.json"))
    assert records[0].size_hw == (4, 6)
    assert any(f"as 6 x 4 for {size[0]} x {size[1]}" in what for what in notes.changes)


def test_crowds_alone_are_masks_and_beside_others_groups(tmp_path: Path) -> None:
    crowd = an_annotation(id=2, iscrowd=1)
    alone, notes = read(a_file(tmp_path / "a.json", annotations=[crowd]))
    assert len(alone[0].annotations) == 1 and any("taken as masks" in what for what in notes.changes)
    beside, notes = read(a_file(tmp_path / "b.json", annotations=[an_annotation(), crowd]))
    assert (len(beside[0].annotations), len(beside[0].crowd)) == (1, 1) and not notes.changes


def test_instances_are_read_where_other_tasks_lie_beside(tmp_path: Path) -> None:
    photo = a_photo(tmp_path / "images" / "default" / "a.png")
    a_file(tmp_path / "annotations" / "instances_default.json")
    for task in ("image_info", "captions", "person_keypoints"):
        a_file(tmp_path / "annotations" / f"{task}_default.json", annotations=[])
    records, notes = read(tmp_path)
    assert [(one.key, one.blob.path, len(one.annotations)) for one in records] == [("a", photo, 1)]
    assert notes.changes["COCO files of other tasks passed over"] == 3


def test_subsets_are_read_together_and_kept_apart(tmp_path: Path) -> None:
    for subset in ("train", "val"):
        a_photo(tmp_path / "images" / subset / "a.png")
        a_file(tmp_path / "annotations" / f"instances_{subset}.json")
    records, notes = read(tmp_path)
    assert [one.key for one in records] == ["train/a", "val/a"]
    assert [one.blob.path.parent.name for one in records] == ["train", "val"]
    assert any("read together" in what for what in notes.changes)


def test_several_files_that_are_no_subsets_are_asked_for(tmp_path: Path) -> None:
    a_file(tmp_path / "first.json")
    a_file(tmp_path / "second.json")
    with pytest.raises(BadInput, match="give the file"):
        read(tmp_path)


def test_what_convert_reads_evaluate_reads(tmp_path: Path) -> None:
    a_photo(tmp_path / "val2017" / "a.png")
    rings = [an_annotation(), an_annotation(id=2, segmentation=[[]])]
    path = a_file(tmp_path / "annotations" / "instances_val2017.json", annotations=rings, categories=None)
    source = open_records(path)
    assert [len(one.drawn) for one in source] == [1]
    assert source[0].read_pixels().shape == (4, 6, 3)


def test_the_layout_of_cvat_is_written(tmp_path: Path) -> None:
    a_photo(tmp_path / "src" / "a.png")
    notes = formats.Notes()
    contents = formats.read(a_file(tmp_path / "src" / "a.json"), notes, format_name="coco")
    formats.write(contents, tmp_path / "dst", notes, format_name="coco-cvat")
    assert (tmp_path / "dst" / "images" / "default" / "a.png").exists()
    records, notes = read(tmp_path / "dst")
    assert [len(one.annotations) for one in records] == [1]
    assert (tmp_path / "dst" / "annotations" / "instances_default.json").exists() and not notes.changes
