"""YOLO files beside ultralytics and supervision: what they make of ours, and what we make of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from programs import reader
from reader_masks import SIZE, blob, ious, without_holes, written

from anymask.data import formats

Masks = list[np.ndarray]


@pytest.fixture(scope="module")
def ultralytics() -> Any:
    return reader("ultralytics.data.utils")


@pytest.fixture(scope="module")
def supervision() -> Any:
    return reader("supervision")


def by_ultralytics(data_utils: Any, folder: Path) -> Masks:
    """Photo by photo, as its data loader does at full size."""
    found = []
    for photo in sorted((folder / "images").iterdir()):
        (label,) = data_utils.img2label_paths([str(photo)])
        checked = data_utils.verify_image_label((str(photo), label, "", False, 1, 0, 0, False))
        _, _, shape, segments, _, missing, _, _, corrupt, message = checked
        assert (missing, corrupt, message) == (0, 0, "") and tuple(shape) == SIZE
        scale = np.array(SIZE[::-1], np.float32)
        found += [
            data_utils.polygon2mask(SIZE, [(segment * scale).reshape(-1)]).astype(bool)
            for segment in segments
        ]
    return found


def by_supervision(supervision: Any, folder: Path) -> Masks:
    data = supervision.DetectionDataset.from_yolo(
        str(folder / "images"), str(folder / "labels"), str(folder / "data.yaml"), force_masks=True
    )
    return [mask for _, _, one in sorted(data, key=lambda item: item[0]) for mask in np.asarray(one.mask)]


def by_us(folder: Path) -> Masks:
    notes = formats.Notes()
    records = sorted(formats.read(folder, notes, format_name="yolo").records, key=lambda one: one.key)
    assert not notes.failures
    return [one.mask.to_array() for record in records for one in record.annotations if one.mask]


@pytest.mark.parametrize("program", ["ultralytics", "supervision"])
def test_a_thousand_masks_without_holes_are_exact(
    program: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    module, rng = request.getfixturevalue(program), np.random.default_rng(1)
    masks = [without_holes(rng) for _ in range(1000)]
    notes = written(tmp_path, masks, "yolo")
    read = {"ultralytics": by_ultralytics, "supervision": by_supervision}[program]
    assert (ious(read(module, tmp_path / "dst"), masks) == 1).all()
    assert not notes.changes


@pytest.mark.parametrize("program", ["ultralytics", "supervision"])
def test_holes_are_exact_and_the_note_says_what_parts_lose(
    program: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    module, rng = request.getfixturevalue(program), np.random.default_rng(2)
    masks = [blob(rng) for _ in range(300)]
    notes = written(tmp_path, masks, "yolo")
    read = {"ultralytics": by_ultralytics, "supervision": by_supervision}[program]
    found = ious(read(module, tmp_path / "dst"), masks)
    lost = found[found < 1]
    ((what, times),) = notes.changes.items()
    assert times == len(lost)
    assert f"mean IoU {lost.mean():.3f}, least {lost.min():.3f}" in what
    assert found.mean() > 0.9  # of noise; of real masks 0.979
    assert (ious(by_us(tmp_path / "dst"), masks) == 1).all()


def test_what_supervision_writes_is_read_as_it_reads_it(supervision: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    written(tmp_path, [blob(rng) for _ in range(100)], "coco")
    data = supervision.DetectionDataset.from_coco(
        str(tmp_path / "dst" / "images"), str(tmp_path / "dst" / "annotations.json"), force_masks=True
    )
    theirs = tmp_path / "theirs"
    data.as_yolo(str(theirs / "images"), str(theirs / "labels"), str(theirs / "data.yaml"))
    masks = by_supervision(supervision, theirs)
    assert len(masks) > 100  # a line for each part
    assert (ious(by_us(theirs), masks) == 1).all()


def test_polygons_of_any_kind_are_filled_as_ultralytics_fills_them(ultralytics: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    written(tmp_path, [without_holes(rng) for _ in range(200)], "yolo")
    for label in (tmp_path / "dst" / "labels").iterdir():
        polygons = [rng.uniform(0, 1, (rng.integers(4, 12), 2)) for _ in range(10)]
        lines = ["0 " + " ".join(f"{share:.6f}" for share in one.reshape(-1)) for one in polygons]
        label.write_text("\n".join(lines))
    masks = by_ultralytics(ultralytics, tmp_path / "dst")
    assert (ious(by_us(tmp_path / "dst"), masks) == 1).all()
