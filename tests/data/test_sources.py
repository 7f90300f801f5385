"""Folders, tar shards and COCO JSON give the same records; bad data sets say what is wrong."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anymask.core.mask import Mask
from anymask.data import formats
from anymask.data.sources import open_records
from anymask.errors import BadInput

MASK = np.zeros((6, 8), bool)
MASK[1:4, 2:7] = True


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (10, 20, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def record() -> bytes:
    annotation = {
        "id": 1,
        "segmentation": Mask.from_array(MASK).rle,
        "area": 15,
        "bbox": [2, 1, 5, 3],
        "category": "x",
    }
    image = {"image_id": "a", "width": 8, "height": 6, "file_name": "a.png"}
    return json.dumps({"image": image, "annotations": [annotation], "source": "s"}).encode()


def folder(root: Path) -> Path:
    root.mkdir()
    (root / "a.png").write_bytes(png())
    (root / "a.json").write_bytes(record())
    return root


def shard(path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, blob in (("a.png", png()), ("a.json", record())):
            info = tarfile.TarInfo(name)
            info.size = len(blob)
            archive.addfile(info, io.BytesIO(blob))
    return path


def coco(root: Path) -> Path:
    (root / "images").mkdir(parents=True)
    (root / "images" / "a.png").write_bytes(png())
    polygon = [2, 1, 7, 1, 7, 4, 2, 4]
    annotations = [
        {
            "id": 1,
            "image_id": 7,
            "category_id": 3,
            "segmentation": [polygon],
            "area": 15,
            "bbox": [2, 1, 5, 3],
            "iscrowd": 0,
        },
        {
            "id": 2,
            "image_id": 7,
            "category_id": 3,
            "segmentation": [],
            "area": 1,
            "bbox": [0, 0, 1, 1],
            "iscrowd": 1,
        },
    ]
    image = {"id": 7, "width": 8, "height": 6, "file_name": "a.png"}
    fields = {"images": [image], "annotations": annotations, "categories": [{"id": 3, "name": "x"}]}
    (root / "instances.json").write_text(json.dumps(fields))
    return root / "instances.json"


SQUARE = [2, 1, 7, 1, 7, 4, 2, 4]
ODD_ANNOTATIONS: list[dict[str, Any]] = [
    {"id": 1, "image_id": 7, "category_id": 3, "segmentation": [SQUARE], "area": 15, "bbox": [2, 1, 5, 3]},
    {"id": 2, "image_id": 7, "category_id": 3, "segmentation": [SQUARE, [1, 1]]},
    {"id": 3, "image_id": 7.0, "segmentation": [SQUARE]},
    {"id": 4, "image_id": 7, "segmentation": [[]], "bbox": [0, 0, 2, 2]},
    {"id": 5, "image_id": 7, "segmentation": [[]]},
    {"id": 6, "image_id": 7, "segmentation": [["x"] * 6], "bbox": [0, 0, 2, 2], "area": 4},
    {"id": 7, "image_id": 7, "segmentation": {"size": [1, 1], "counts": [1]}},
    {"id": 8, "segmentation": [SQUARE]},
    {"id": 9, "image_id": 99, "segmentation": [SQUARE]},
]


def standard_coco(root: Path, photo: str, file_name: str, **more: Any) -> Path:
    """As COCO itself is laid out, with what its users make of it."""
    for path in (root / photo, root / "annotations" / "instances_val2017.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
    (root / photo).write_bytes(png())
    images = [{"id": 7, "width": 8, "height": 6, "file_name": file_name}, {"id": 8, "width": 8, "height": 6}]
    fields = {"images": images, "annotations": ODD_ANNOTATIONS, "categories": None, **more}
    path.write_text(json.dumps(fields))
    return path


@pytest.mark.parametrize("by_folder", [False, True])
@pytest.mark.parametrize(
    "photo, file_name",
    [
        ("val2017/a.png", "a.png"),
        ("images/val2017/a.png", "a.png"),
        ("val2017/a.png", "val2017/a.png"),
        ("images/val2017/a.png", "val2017\\a.png"),
        ("annotations/images/a.png", "a.png"),
    ],
)
def test_coco_is_read_alike_to_convert_and_to_train_and_bad_annotations_are_counted(
    photo: str, file_name: str, by_folder: bool, tmp_path: Path
) -> None:
    path = standard_coco(tmp_path, photo, file_name, categories=[{"id": 3}, {"id": 4, "name": "x"}])
    notes = formats.Notes()
    (expected,) = formats.read(path, notes).records
    source = open_records(tmp_path if by_folder else path)
    (found,) = source
    assert (found.key, found.blob, found.size_hw) == (expected.key, expected.blob, (6, 8))
    assert found.read_pixels().shape == (6, 8, 3)
    assert [(one.mask, one.box_xyxy, one.area, one.category) for one in found.annotations] == [
        (one.mask, one.box_xyxy, one.area, one.category) for one in expected.annotations
    ]
    square = Mask.from_array(MASK)
    assert [one.mask for one in found.annotations] == [square, square, square, None]
    assert [where.rpartition(", ")[2] for where, _ in notes.failures] == [
        "annotation 5", "annotation 6", "annotation 7", "photo 8",
    ]  # fmt: skip
    unusable = "photos or annotations that cannot be used left out"
    assert source.notes.changes == {**notes.changes, unusable: 4}
    assert notes.changes == {
        "annotations of photos that are not listed passed over": 2,
        "outlines of fewer than three points passed over": 3,
        "categories without a name called by their number": 1,
    }
    assert "annotation 5: expected a 'segmentation' or a 'bbox'" in source.notes.first[unusable]


def test_hidden_files_and_pipes_are_left_out(tmp_path: Path) -> None:
    root = folder(tmp_path / "f")
    for name in (".DS_Store", ".lock", "._a.png", "...", "b.x/.hidden"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"x")
    os.mkfifo(root / "pipe.png")
    os.mkfifo(root / "pipe.json")
    os.mkfifo(root / "pipe.tar")
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        archive.add(root, "")
    for path in (root, tmp_path / "s.tar"):
        (only,) = open_records(path)
        assert only.key == "a" and only.members == {}


def test_a_pipe_is_refused_and_not_opened(tmp_path: Path) -> None:
    for name in ("pipe.tar", "pipe.json"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(BadInput, match="expected a regular file"):
            open_records(tmp_path / name)


def test_a_record_that_is_none_is_told_when_it_is_read(tmp_path: Path) -> None:
    size = {"width": 8, "height": 6}
    no_records = [[], {}, {"image": {}, "annotations": []}, {"image": size, "annotations": [3]}]
    for number, fields in enumerate(no_records):
        root = folder(tmp_path / f"f{number}")
        (root / "a.json").write_text(json.dumps(fields))
        with pytest.raises(BadInput, match=r"a in .*a\.json: expected"):
            open_records(root)[0]


@pytest.mark.parametrize("kind", ["folder", "shard", "coco"])
def test_every_layout_gives_the_same_record(kind: str, tmp_path: Path) -> None:
    make = {
        "folder": lambda: folder(tmp_path / "f"),
        "shard": lambda: shard(tmp_path / "s.tar"),
        "coco": lambda: coco(tmp_path / "c"),
    }
    source = open_records(make[kind]())
    assert len(source) == 1
    only = source[0]
    assert only.key == "a" and only.size_hw == (6, 8)
    assert only.read_pixels()[0, 0].tolist() == [10, 20, 30]
    (annotation,) = only.annotations
    assert annotation.mask is not None and np.array_equal(annotation.mask.to_array(), MASK)
    assert annotation.box_xyxy == (2, 1, 7, 4) and annotation.category == "x"


def test_a_folder_of_shards_and_several_paths_join(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    shard(tmp_path / "shards" / "0.tar")
    shard(tmp_path / "shards" / "1.tar")
    assert len(open_records(tmp_path / "shards")) == 2
    assert len(open_records(tmp_path / "shards", folder(tmp_path / "f"))) == 3


def test_bad_data_sets_say_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.tar").write_bytes(b"x" * 2000)
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "photo.txt").write_text("")
    for name, words in {
        "missing": "not found", "empty": "no images", "broken.tar": "tar", "broken.json": "JSON",
        "other.json": "COCO", "photo.txt": "expected a folder",
    }.items():  # fmt: skip
        with pytest.raises(BadInput, match=words):
            open_records(tmp_path / name)


def test_the_shipped_packs_open_and_their_masks_have_the_size_of_the_photo(shared_data: Path) -> None:
    for name, count in {"grabcut": 50, "coco": 50}.items():
        source = open_records(shared_data / "val" / f"{name}.tar")
        assert len(source) == count
        first = source[0]
        assert first.read_pixels().shape[:2] == first.size_hw
        assert all(a.mask is not None and a.mask.size_hw == first.size_hw for a in first.annotations)


def test_further_files_beside_a_photo_are_read_by_name(tmp_path: Path) -> None:
    folder(tmp_path / "f")
    (tmp_path / "f" / "a.boundaries.npz").write_bytes(b"edges")
    (tmp_path / "f" / "a.txt").write_bytes(b"words")
    (tmp_path / "f" / "other.txt").write_bytes(b"nobody's")
    folder(tmp_path / "g")
    (tmp_path / "g" / "a.txt").write_bytes(b"of the second")
    first, second = open_records(tmp_path / "f", tmp_path / "g")
    assert first.member_bytes("boundaries.npz") == b"edges" and first.member_bytes("txt") == b"words"
    assert set(first.members) == {"boundaries.npz", "txt"}
    assert second.member_bytes("txt") == b"of the second"
    with pytest.raises(BadInput, match=r"a file a\.boundaries\.npz beside the photo"):
        second.member_bytes("boundaries.npz")


def test_the_human_boundaries_of_the_shipped_pack_are_read(shared_data: Path) -> None:
    record = open_records(shared_data / "val" / "bsds.tar")[0]
    with np.load(io.BytesIO(record.member_bytes("boundaries.npz")), allow_pickle=False) as maps:
        assert maps["boundaries"].shape[1:] == record.size_hw
