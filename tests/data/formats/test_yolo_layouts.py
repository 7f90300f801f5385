"""YOLO data sets as they lie about: where labels, photos and names are, and lines that are no polygons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from format_samples import masks_of, png, record, there_and_back

from anymask.data import formats
from anymask.data.formats.yolo import JOINED, KEYPOINTS, TRACKED
from anymask.data.formats.yolo_files import NOT_LABELS, NOT_THERE
from anymask.data.record import Record
from anymask.errors import BadInput

LINE = "0 0.1 0.1 0.6 0.1 0.6 0.6\n"
SIZE = (64, 96)


def lay_out(folder: Path, files: Mapping[str, str]) -> Path:
    """Files with their text; photos are those without."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text:
            path.write_text(text)
        else:
            path.write_bytes(png(SIZE))
    return folder


def masks_by_key(path: Path, notes: formats.Notes | None = None, expect: str = "yolo") -> dict[str, int]:
    notes = notes or formats.Notes()
    assert formats.detect(path).name == expect
    records = list(formats.read(path, notes).records)
    assert not notes.failures
    return {one.key: len(one.annotations) for one in records}


def only_record(folder: Path, notes: formats.Notes, label: str, yaml: str = "") -> Record:
    names = {"data.yaml": yaml} if yaml else {}
    lay_out(folder, {"images/a.png": "", "labels/a.txt": label, **names})
    (record,) = formats.read(folder, notes, format_name="yolo").records
    return record


@pytest.mark.parametrize("name", ["test", "train", "val", "readme", "requirements", "classes", "bus"])
@pytest.mark.parametrize("beside", [True, False])
def test_a_photo_may_be_called_as_it_likes(name: str, beside: bool, tmp_path: Path) -> None:
    images, labels = ("", "") if beside else ("images/", "labels/")
    lay_out(tmp_path, {f"{images}{name}.png": "", f"{labels}{name}.txt": LINE})
    assert masks_by_key(tmp_path) == {name: 1}


def test_lists_and_readmes_are_no_labels(tmp_path: Path) -> None:
    notes = formats.Notes()
    lay_out(tmp_path, {
        "images/a.png": "", "images/classes.png": "", "labels/a.txt": LINE,
        "labels/classes.txt": "cat\ndog\n", "train.txt": "./images/a.png\n",
        "README.txt": "1 2 3", "README.roboflow.txt": "Exported on ...",
    })  # fmt: skip
    records = list(formats.read(tmp_path, notes).records)
    assert {one.key: [a.category for a in one.annotations] for one in records} == {
        "a": ["cat"],
        "classes": [],
    }
    assert not notes.failures and notes.changes == {NOT_LABELS: 1}


def test_labels_beside_photos_in_a_folder_called_images(tmp_path: Path) -> None:
    lay_out(tmp_path, {"x/images/b.png": "", "x/images/b.txt": LINE, "y/a.png": "", "y/a.txt": LINE})
    assert masks_by_key(tmp_path) == {"x/images/b": 1, "y/a": 1}


def test_a_label_without_a_photo_is_told(tmp_path: Path) -> None:
    notes = formats.Notes()
    lay_out(tmp_path, {"images/a.png": "", "labels/a.txt": LINE, "labels/b.txt": LINE, "c.txt": LINE})
    assert [one.key for one in formats.read(tmp_path, notes).records] == ["a"]
    assert [Path(where).name for where, _ in notes.failures] == ["c.txt", "b.txt"]


@pytest.mark.parametrize("absolute", [True, False])
def test_the_yaml_may_lie_apart_from_its_data(absolute: bool, tmp_path: Path) -> None:
    lay_out(tmp_path / "data", {
        "images/train/a.png": "", "labels/train/a.txt": LINE,
        "images/val/b.png": "", "labels/val/b.txt": LINE,
        "images/other/c.png": "", "labels/other/c.txt": LINE,
    })  # fmt: skip
    path = (tmp_path / "data") if absolute else "../data"
    yaml = f"path: {path}\ntrain: images/train\nval:\n- images/val\nnames:\n  0: cat\n"
    lay_out(tmp_path / "cfg", {"data.yaml": yaml})
    for source in (tmp_path / "cfg", tmp_path / "cfg" / "data.yaml"):
        assert masks_by_key(source) == {"train/a": 1, "val/b": 1}


def test_a_list_of_photos_elsewhere_is_followed(tmp_path: Path) -> None:
    lay_out(
        tmp_path / "x", {"images/a.png": "", "labels/a.txt": LINE, "images/b.png": "", "labels/b.txt": LINE}
    )
    listed = f"{tmp_path}/x/images/a.png\n../x/images/gone.png\n{'a' * 5000}.png\n"
    lay_out(tmp_path / "cfg", {"data.yaml": "train: train.txt\nnames: [cat]\n", "train.txt": listed})
    notes = formats.Notes()
    assert masks_by_key(tmp_path / "cfg" / "data.yaml", notes) == {"a": 1}
    assert notes.changes == {NOT_THERE: 2}


def test_roboflow_and_splits_of_one_name(tmp_path: Path) -> None:
    yaml = "train: ../train/images\nval: ../valid/images\nnames: ['it''s']\n"
    files = {f"{split}/{kind}": text for split in ("train", "valid")
             for kind, text in (("images/a.png", ""), ("labels/a.txt", LINE))}  # fmt: skip
    lay_out(tmp_path, {"data.yaml": yaml, **files})
    assert masks_by_key(tmp_path) == masks_by_key(tmp_path / "data.yaml") == {"train/a": 1, "valid/a": 1}


def test_a_yaml_without_data_says_so(tmp_path: Path) -> None:
    lay_out(tmp_path, {"data.yaml": "path: ../gone\ntrain: images\nnames: [a]\n"})
    with pytest.raises(BadInput, match=r"label files .* \(its path: ../gone\), found none"):
        formats.read(tmp_path / "data.yaml", formats.Notes())


@pytest.mark.parametrize("shape", ["[2, 3]", "\n- 2\n- 3"])
def test_of_key_points_the_box_is_taken(shape: str, tmp_path: Path) -> None:
    notes = formats.Notes()
    line = "0 0.5 0.5 0.4 0.6 0.4 0.3 2 0.6 0.3 2\n"
    yaml = f"kpt_shape: {shape}\nnames: [person]\n"
    (one,) = only_record(tmp_path, notes, line, yaml).annotations
    assert one.mask is None and one.category == "person"
    assert one.box_xyxy == pytest.approx((28.8, 12.8, 67.2, 51.2))
    assert notes.changes == {KEYPOINTS: 1}


def test_of_tracks_box_and_confidence_are_taken(tmp_path: Path) -> None:
    notes = formats.Notes()
    one, two = only_record(tmp_path, notes, "0 0.5 0.5 0.4 0.6 0.91 1\n0 0.5 0.5 0.4 0.6 1 17\n").annotations
    assert one.box_xyxy == two.box_xyxy == pytest.approx((28.8, 12.8, 67.2, 51.2))
    assert (one.fields["score"], two.fields["score"]) == (0.91, 1)
    assert notes.changes == {TRACKED: 2}


def test_a_triangle_beside_polygons_is_no_track(tmp_path: Path) -> None:
    notes = formats.Notes()
    lines = "0 0.5 0.5 0.4 0.6 0.91 1\n0 0.1 0.1 0.6 0.1 0.6 0.6 0.1 0.6\n0 0.5 0.5 0.4 0.6 0.9 7\n"
    record = only_record(tmp_path, notes, lines)
    assert [one.mask is not None for one in record.annotations] == [True, True]
    ((where, why),) = notes.failures
    assert where == "a, annotation 3" and "expected fractions" in why


def test_what_no_line_can_be_is_refused(tmp_path: Path) -> None:
    notes = formats.Notes()
    assert not only_record(
        tmp_path, notes, "0 38 19 58 45 60 70\n0 3 0 9 0 9 9 3 9\n0.5 0 0 1 0 1 1\n"
    ).annotations
    assert len(notes.failures) == 3


def test_bridges_are_not_painted_when_ours_are_read_and_their_loss_is_told(tmp_path: Path) -> None:
    inside = np.zeros((20, 40), bool)
    inside[2:6, 2:6] = inside[2:6, 30:38] = True
    notes = formats.Notes()
    records = [record(tmp_path / "src", "k", [inside], (20, 40))]
    (back,) = there_and_back(records, tmp_path / "dst", "yolo", notes)
    assert np.array_equal(masks_of(back)[0].to_array(), inside)
    assert notes.changes == {f"{JOINED} (mean IoU 0.667, least 0.667)": 1}
    assert notes.lines()[0].endswith("(first: k)")


def test_points_keep_their_pixel_however_a_reader_makes_it_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for width in (7, 640, 1333, 6000):
        inside = np.zeros((3, width), bool)
        inside[1, np.sort(rng.choice(width, 2, replace=False))[0] :] = True
        records = [record(tmp_path / "s", f"w{width}", [inside], (3, width))]
        there_and_back(records, tmp_path / f"{width}", "yolo")
        words = (tmp_path / f"{width}" / "labels" / f"w{width}.txt").read_text().split()[1:]
        for kind in (np.float32, np.float64):
            xy = np.array(words, kind).reshape(-1, 2) * np.array([width, 3], kind)
            assert np.array_equal(np.trunc(xy), np.round(xy))
            assert set(np.trunc(xy[:, 0]).astype(int)) == {int(np.argmax(inside[1])), width - 1}
