"""Through every format and back: the same pixels wherever the format can hold them, a note where not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from format_samples import (
    LABEL_IMAGES,
    LOSSLESS,
    NAMES,
    masks_of,
    photos_with_masks,
    png,
    record,
    there_and_back,
)
from hypothesis import given, settings
from PIL import Image

from anymask.core.mask import Mask
from anymask.data import formats
from anymask.data.sources import open_records
from anymask.errors import BadInput, BadOption

ROOT = Path(__file__).resolve().parents[3]
KEYS = [
    "plain",
    "with space and, comma",
    "고양이/사진 1",
    "a/same",
    "b/same",
    "dots.in.name",
    "images/labels/x",
]


def block(size_hw: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(size_hw, bool)
    mask[rows, columns] = True
    return mask


@pytest.mark.parametrize("name", LOSSLESS)
@given(drawn=photos_with_masks())
@settings(max_examples=40)
def test_masks_that_overlap_have_holes_and_many_pieces_come_back(name: str, drawn: Any) -> None:
    size_hw, masks = drawn
    with TemporaryDirectory() as folder:
        here = Path(folder)
        (back,) = there_and_back([record(here / "src", "k", masks, size_hw)], here / "dst", name)
        assert back.size_hw == size_hw
        assert masks_of(back) == [Mask.from_array(mask) for mask in masks]
        assert [one.category for one in back.annotations] == [f"c{n}" for n in range(len(masks))]


@pytest.mark.parametrize("name", LABEL_IMAGES)
@given(drawn=photos_with_masks(apart=True))
@settings(max_examples=40)
def test_masks_that_lie_apart_come_back_from_label_images(name: str, drawn: Any) -> None:
    size_hw, masks = drawn
    with TemporaryDirectory() as folder:
        here, notes = Path(folder), formats.Notes()
        (back,) = there_and_back([record(here / "src", "k", masks, size_hw)], here / "dst", name, notes)
        assert back.size_hw == size_hw
        assert masks_of(back) == [Mask.from_array(mask) for mask in masks]
        assert not any("smaller" in what for what in notes.changes)


@pytest.mark.parametrize("name", NAMES)
def test_names_with_folders_spaces_and_any_letters_come_back(name: str, tmp_path: Path) -> None:
    mask = block((9, 12), slice(2, 5), slice(3, 9))
    records = [record(tmp_path / "src", key, [mask], (9, 12)) for key in KEYS]
    back = {one.key: one for one in there_and_back(records, tmp_path / "dst", name)}
    expected = {"images_/labels_/x" if key.startswith("images/") and name == "yolo" else key for key in KEYS}
    if name == "webdataset":
        expected = {key.replace(".", "_") for key in KEYS}
    assert back.keys() == expected
    assert all(masks_of(one) == [Mask.from_array(mask)] for one in back.values())
    if formats.FORMATS[name].capabilities.photos:
        assert all(one.blob.read() == png((9, 12)) for one in back.values())
        assert len(list((tmp_path / "dst").rglob("*.png"))) >= len(KEYS) or name == "webdataset"


@pytest.mark.parametrize("name", NAMES)
def test_a_photo_without_masks_stays(name: str, tmp_path: Path) -> None:
    records = [record(tmp_path / "src", key, [], (1, 1)) for key in ("none", "neither")]
    back = there_and_back(records, tmp_path / "dst", name)
    assert sorted(one.key for one in back) == ["neither", "none"]
    assert all(one.annotations == [] and one.size_hw == (1, 1) for one in back)


@pytest.mark.parametrize("name", NAMES)
def test_empty_masks_come_back_or_are_counted(name: str, tmp_path: Path) -> None:
    notes = formats.Notes()
    masks = [np.zeros((4, 5), bool), block((4, 5), slice(1, 2), slice(0, 5))]
    (back,) = there_and_back([record(tmp_path / "src", "k", masks, (4, 5))], tmp_path / "dst", name, notes)
    if formats.FORMATS[name].capabilities.empty:
        assert masks_of(back) == [Mask.from_array(mask) for mask in masks]
    else:
        assert masks_of(back) == [Mask.from_array(masks[1])]
        assert notes.changes["empty masks left out"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_boxes_alone_come_back_or_are_counted(name: str, tmp_path: Path) -> None:
    notes = formats.Notes()
    one = record(tmp_path / "src", "k", [block((8, 9), slice(0, 2), slice(0, 3))], (8, 9))
    one.fields["annotations"].append({"id": 2, "bbox": [1.5, 2, 3, 4], "area": 12, "category": "box"})
    (back,) = there_and_back([one], tmp_path / "dst", name, notes)
    boxes = [a.box_xyxy for a in back.annotations if a.mask is None]
    if formats.FORMATS[name].capabilities.boxes:
        assert boxes == [(1.5, 2, 4.5, 6)]
    else:
        assert boxes == [] and notes.changes["boxes without a mask left out"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_scores_and_categories_come_back_or_are_counted(name: str, tmp_path: Path) -> None:
    notes, holds = formats.Notes(), formats.FORMATS[name].capabilities
    one = record(tmp_path / "src", "k", [block((6, 6), slice(0, 2), slice(0, 3))], (6, 6))
    one.fields["annotations"][0] |= {"predicted_iou": 0.875, "category": "두 단어: #1, 'x'"}
    (back,) = there_and_back([one], tmp_path / "dst", name, notes)
    (annotation,) = back.annotations
    assert annotation.fields.get("predicted_iou") == (0.875 if holds.scores else None)
    assert annotation.category == ("두 단어: #1, 'x'" if holds.categories else None)
    expected = set() if holds.scores else {"scores not kept"}
    expected |= set() if holds.categories else {"categories not kept"}
    assert {what for what in notes.changes if "not kept" in what} == expected


@pytest.mark.parametrize("name", LABEL_IMAGES)
def test_in_label_images_smaller_masks_lie_on_top_and_the_loss_is_counted(name: str, tmp_path: Path) -> None:
    large, small = block((8, 8), slice(0, 8), slice(0, 8)), block((8, 8), slice(2, 4), slice(2, 4))
    twin = block((8, 8), slice(2, 4), slice(2, 4))
    for order in ([large, small], [small, large]):
        notes = formats.Notes()
        target = tmp_path / f"dst{order[0].sum()}"
        (back,) = there_and_back([record(tmp_path / "src", "k", order, (8, 8))], target, name, notes)
        kept = {large.sum(): Mask.from_array(large & ~small), small.sum(): Mask.from_array(small)}
        assert masks_of(back) == [kept[mask.sum()] for mask in order]
        assert notes.changes["masks that lost pixels to smaller ones above them"] == 1
    notes = formats.Notes()
    (back,) = there_and_back(
        [record(tmp_path / "src", "k", [small, twin], (8, 8))], tmp_path / "t", name, notes
    )
    assert len(back.annotations) == 1
    assert notes.changes["masks hidden whole under smaller ones, left out"] == 1


@pytest.mark.parametrize("name", ["voc", "label-map"])
@pytest.mark.parametrize("count", [253, 254, 255, 256, 700])
def test_many_masks_take_sixteen_bits(name: str, count: int, tmp_path: Path) -> None:
    size_hw = (30, 40)
    masks = []
    for place in range(count):
        masks.append(np.zeros(size_hw, bool))
        masks[-1].flat[place] = True
    (back,) = there_and_back([record(tmp_path / "src", "k", masks, size_hw)], tmp_path / "dst", name)
    assert masks_of(back) == [Mask.from_array(mask) for mask in masks]
    file = tmp_path / "dst" / {"voc": "SegmentationObject", "label-map": "masks"}[name] / "k.png"
    eight_bit = count <= {"voc": 254, "label-map": 255}[name]
    with Image.open(file) as image:
        assert image.mode == ({"voc": "P", "label-map": "L"}[name] if eight_bit else "I;16")
    if name == "voc":
        assert [a.category for a in back.annotations] == [f"c{n}" for n in range(count)]


def test_what_is_ignored_and_crowds_come_back(tmp_path: Path) -> None:
    mask, other = block((6, 7), slice(0, 2), slice(0, 7)), block((6, 7), slice(4, 6), slice(0, 7))
    crowd = {"id": 9, "segmentation": Mask.from_array(other).rle, "category": "c0", "bbox": [0, 4, 7, 2]}
    with_crowd = record(tmp_path / "src", "k", [mask], (6, 7), crowd=[crowd])
    for name in ("sa1b", "coco", "coco-polygon", "coco-cvat", "panoptic"):
        (back,) = there_and_back([with_crowd], tmp_path / f"crowd-{name}", name)
        assert masks_of(back) == [Mask.from_array(mask)]
        assert [one.mask for one in back.crowd] == [Mask.from_array(other)]
    (back,) = there_and_back([with_crowd], tmp_path / "crowd-voc", "voc")
    assert back.ignore == Mask.from_array(other) and masks_of(back) == [Mask.from_array(mask)]
    with_ignore = record(tmp_path / "src", "k", [mask], (6, 7), ignore=Mask.from_array(other).rle)
    for name in ("sa1b", "voc"):
        (back,) = there_and_back([with_ignore], tmp_path / f"ignore-{name}", name)
        assert back.ignore == Mask.from_array(other) and masks_of(back) == [Mask.from_array(mask)]
    notes = formats.Notes()
    there_and_back([with_ignore], tmp_path / "lost", "yolo", notes)
    assert notes.changes["ignored pixels of a photo not kept"] == 1


@pytest.mark.parametrize("name", ["sa1b", "coco", "coco-polygon"])
def test_what_was_written_is_a_data_set_for_training_and_evaluation(name: str, tmp_path: Path) -> None:
    masks = [block((9, 12), slice(2, 5), slice(3, 9)), block((9, 12), slice(0, 9), slice(0, 2))]
    there_and_back([record(tmp_path / "src", "d/k", masks, (9, 12))], tmp_path / "dst", name)
    path = tmp_path / "dst" if name == "sa1b" else tmp_path / "dst" / "annotations.json"
    (found,) = open_records(path)
    assert [one.mask for one in found.annotations] == [Mask.from_array(mask) for mask in masks]
    assert found.read_pixels().shape == (9, 12, 3)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("name", ["coco", "coco-polygon"])
def test_the_coco_tools_read_the_same_masks(name: str, tmp_path: Path) -> None:
    coco_module = pytest.importorskip("pycocotools.coco")
    rng = np.random.default_rng(3)
    masks = [rng.random((17, 23)) < share for share in (0.2, 0.5, 0.8, 1.0)]
    records = [record(tmp_path / "src", key, masks, (17, 23)) for key in ("a", "b")]
    there_and_back(records, tmp_path / "dst", name)
    coco = coco_module.COCO(str(tmp_path / "dst" / "annotations.json"))
    assert len(coco.imgs) == 2 and len(coco.anns) == 8  # both photos had the same id
    for image_id in coco.imgs:
        found = [coco.annToMask(one) for one in coco.loadAnns(coco.getAnnIds(image_id))]
        assert np.array_equal(found, masks)
    assert sorted(one["name"] for one in coco.cats.values()) == ["c0", "c1", "c2", "c3"]


def test_numbers_of_categories_stay_in_coco_and_lose_their_gaps_in_yolo(tmp_path: Path) -> None:
    coco = {
        "images": [{"id": 1, "width": 8, "height": 6, "file_name": "a.png"}],
        "annotations": [
            {"id": 4, "image_id": 1, "category_id": 90, "segmentation": [[1, 1, 5, 1, 5, 4]], "iscrowd": 0}
        ],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 1, "name": "person"}],
    }
    (tmp_path / "a.png").write_bytes(png((6, 8)))
    (tmp_path / "c.json").write_text(json.dumps(coco))
    for name in ("coco", "yolo"):
        notes = formats.Notes()
        formats.write(formats.read(tmp_path / "c.json", notes), tmp_path / name, notes, format_name=name)
    written = json.loads((tmp_path / "coco" / "annotations.json").read_text())
    assert written["annotations"][0]["category_id"] == 90
    assert {c["id"]: c["name"] for c in written["categories"]} == {1: "person", 90: "toothbrush"}
    assert (tmp_path / "yolo" / "labels" / "a.txt").read_text().startswith("1 ")
    assert '0: "person"\n  1: "toothbrush"' in (tmp_path / "yolo" / "data.yaml").read_text()


def test_large_masks_come_back(tmp_path: Path) -> None:
    size_hw = (3000, 4000)
    y, x = np.ogrid[:3000, :4000]
    ring = ((y - 1500) ** 2 + (x - 2000) ** 2 < 1400**2) & ((y - 1500) ** 2 + (x - 2000) ** 2 > 600**2)
    for name in NAMES:
        (back,) = there_and_back([record(tmp_path / "src", "k", [ring], size_hw)], tmp_path / name, name)
        assert masks_of(back) == [Mask.from_array(ring)]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "yolo"])
def test_a_small_mask_of_a_photo_of_four_gigapixels_needs_little_memory(name: str, tmp_path: Path) -> None:
    side, notes = 65_000, formats.Notes()
    counts = [side * 100, 50, side - 50, 50, side * side - side * 101 - 50]
    mask = Mask.from_rle({"size": [side, side], "counts": counts})
    one = record(tmp_path / "src", "k", [], (1, 1))
    one.fields["image"] |= {"height": side, "width": side}
    one.fields["annotations"].append(
        {"id": 1, "segmentation": mask.rle, "bbox": [100, 0, 2, 50], "area": 100}
    )
    contents = formats.Contents([one], 1)
    formats.write(contents, tmp_path / "dst", notes, format_name=name)
    if formats.FORMATS[name].capabilities.overlap and name != "label-studio":
        (back,) = formats.read(tmp_path / "dst", notes).records
        assert masks_of(back) == [mask] and not notes.failures
    else:  # it would be an image of four gigapixels, or a brush of more values than its head can count
        assert len(notes.failures) == 1 and "200,000,000 pixels" in notes.failures[0][1]


def test_the_table_in_the_documents_says_what_the_code_does() -> None:
    text = (ROOT / "docs" / "how-to" / "formats.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \|((?: (?:yes|no) \|){10}) [^|]+ \| [^|]+ \|$", text, re.MULTILINE)
    fields = ("holes", "parts", "overlap", "empty", "boxes", "categories", "scores", "crowd", "photos")
    documented = {
        name: dict(
            zip((*fields, "read"), [cell.strip() == "yes" for cell in cells.split("|")[:-1]], strict=True)
        )
        for name, cells in rows
    }
    assert documented == {
        name: {**{field: getattr(one.capabilities, field) for field in fields}, "read": one.readable}
        for name, one in formats.FORMATS.items()
    }


def test_the_python_example_in_the_documents_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "how-to" / "formats.md").read_text("utf-8")
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    code = "\n".join(lines[lines.index("from anymask.data import formats") :])
    monkeypatch.chdir(tmp_path)
    one = record(tmp_path, "k", [block((4, 5), slice(0, 2), slice(0, 3))], (4, 5))
    formats.write(formats.Contents([one], 1), tmp_path / "SRC", formats.Notes(), format_name="sa1b")
    exec(code, {"Path": Path})
    assert (tmp_path / "DST" / "labels" / "k.txt").exists()


def test_an_unknown_format_is_refused_with_the_names_of_all(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="sa1b, coco, .*label-map"):
        formats.find_format("png")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(BadInput, match="cannot tell the format"):
        formats.detect(tmp_path)
