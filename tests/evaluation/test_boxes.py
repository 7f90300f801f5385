"""The box protocol with a model that fills its box, so that the numbers can be worked out by hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from evaluation_fakes import Prompted, ScriptedModel, rectangle, write_record
from hypothesis import given
from hypothesis import strategies as st

from anymask.errors import BadInput
from anymask.evaluation import describe, evaluate_boxes
from anymask.evaluation.boxes import jitter

SIZE = (40, 60)


def filled(box: Sequence[float]) -> np.ndarray:
    return rectangle(SIZE, *(round(v) for v in box))


def box_filler() -> ScriptedModel:
    return ScriptedModel(lambda n, prompt: [filled(prompt["box"])])


def write_l_shape(folder: Path) -> None:
    """300 pixels in a box of 400."""
    corner = rectangle(SIZE, 10, 10, 30, 30) & ~rectangle(SIZE, 20, 20, 30, 30)
    write_record(folder, "photo", [{"mask": corner}])


def test_the_exact_box_is_the_tight_box(tmp_path: Path) -> None:
    write_l_shape(tmp_path)
    model = box_filler()
    report = evaluate_boxes(tmp_path, model)
    assert report["miou"] == pytest.approx(0.75)
    assert model.prompts[0] == {"box": (10.0, 10.0, 30.0, 30.0)}


def test_the_jittered_box_is_another_one_and_stays_the_same(tmp_path: Path) -> None:
    write_l_shape(tmp_path)
    runs: list[list[Prompted]] = []
    for _ in range(2):
        model = box_filler()
        report = evaluate_boxes(tmp_path, model)
        runs.append(model.prompts)
        assert report["miou_jittered"] != report["miou"]
    assert runs[0] == runs[1] and runs[0][0] != runs[0][1]


def test_the_filled_box_is_scored_beside_the_model(tmp_path: Path) -> None:
    write_l_shape(tmp_path)
    perfect = ScriptedModel(lambda n, prompt: [filled((10, 10, 30, 30)) & ~filled((20, 20, 30, 30))])
    report = evaluate_boxes(tmp_path, perfect)
    assert (report["miou"], report["miou_filled_box"]) == (1.0, 0.75)


def test_ignored_pixels_are_not_scored(tmp_path: Path) -> None:
    mask = rectangle(SIZE, 10, 10, 30, 30) & ~rectangle(SIZE, 20, 20, 30, 30)
    write_record(tmp_path, "photo", [{"mask": mask, "ignore": rectangle(SIZE, 20, 20, 60, 40)}])
    assert evaluate_boxes(tmp_path, box_filler())["miou"] == 1.0


def test_the_report_has_the_promised_keys_and_is_json(tmp_path: Path) -> None:
    write_l_shape(tmp_path)
    report = evaluate_boxes(tmp_path, box_filler())
    assert {"dataset", "model", "samples", "miou", "miou_jittered", "ci"} <= set(report)
    assert set(report["ci"]) == {"miou", "miou_jittered", "miou_filled_box"}
    assert json.loads(json.dumps(report)) == report
    assert "jittered" in describe(report)


def test_the_csv_has_a_line_per_sample(tmp_path: Path) -> None:
    write_l_shape(tmp_path)
    evaluate_boxes(tmp_path, box_filler(), csv_path=tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["iou"] == "0.75" and row["box_xyxy"] == "10 10 30 30"


def test_data_without_a_mask_are_refused(tmp_path: Path) -> None:
    mask = rectangle(SIZE, 10, 10, 30, 30)
    write_record(tmp_path, "photo", [{"mask": mask, "ignore": mask}])
    with pytest.raises(BadInput, match="no masks to score"):
        evaluate_boxes(tmp_path, box_filler())


def test_a_record_of_another_size_than_its_image_is_refused(tmp_path: Path) -> None:
    write_l_shape(tmp_path)
    (tmp_path / "small").mkdir()
    write_record(tmp_path / "small", "photo", [{"mask": np.ones((5, 5), bool)}])
    (tmp_path / "small" / "photo.png").rename(tmp_path / "photo.png")
    (tmp_path / "small" / "photo.json").unlink()
    with pytest.raises(BadInput, match=r"photo: expected an image of \(40, 60\)"):
        evaluate_boxes(tmp_path, box_filler())


@given(
    x0=st.integers(0, 55),
    y0=st.integers(0, 35),
    width=st.integers(1, 60),
    height=st.integers(1, 40),
    seed=st.integers(0),
)
def test_jitter_stays_in_the_image_and_within_a_tenth(
    x0: int, y0: int, width: int, height: int, seed: int
) -> None:
    box = (float(x0), float(y0), float(min(60, x0 + width)), float(min(40, y0 + height)))
    moved = jitter(box, SIZE, np.random.default_rng(seed))
    sides = (box[2] - box[0], box[3] - box[1]) * 2
    assert all(abs(m - b) <= 0.1 * s + 1e-9 for m, b, s in zip(moved, box, sides, strict=True))
    assert 0 <= moved[0] < moved[2] <= 60 and 0 <= moved[1] < moved[3] <= 40
