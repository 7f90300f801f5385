"""The click protocol with models whose answers are known, so that numbers can be worked out by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_fakes import Prompted, ScriptedModel, rectangle, sample, write_record

from anymask.errors import AnymaskError, BadInput, BadOption, StorageError
from anymask.evaluation import describe, evaluate_clicks
from anymask.evaluation.clicks import run_clicks

SIZE = (20, 40)
TRUTH = rectangle(SIZE, 0, 0, 20, 10)  # 200 pixels


def share(percent: float) -> np.ndarray:
    """A part of the truth with this IoU."""
    part = np.zeros(SIZE, bool)
    ys, xs = np.nonzero(TRUTH)
    count = round(len(ys) * percent / 100)
    part[ys[:count], xs[:count]] = True
    return part


def growing(*percents: float) -> ScriptedModel:
    """IoU after click 1, 2, ...; the last one stays."""
    return ScriptedModel(lambda n, prompt: [share(percents[min(n, len(percents)) - 1])])


def folder_with(tmp_path: Path, count: int = 1) -> Path:
    for number in range(count):
        write_record(tmp_path, f"photo{number}", [{"mask": TRUTH}])
    return tmp_path


def test_ious_and_noc_follow_the_answers(tmp_path: Path) -> None:
    report = evaluate_clicks(folder_with(tmp_path), growing(50, 84.5, 85, 90, 95), max_clicks=6)
    assert list(report["iou_at"].values()) == pytest.approx([0.5, 0.845, 0.85, 0.9, 0.95, 0.95])
    assert report["noc"] == {"85": 3.0, "90": 4.0}
    assert report["failures"] == {"85": 0, "90": 0}


def test_a_goal_never_reached_costs_all_clicks_and_is_a_failure(tmp_path: Path) -> None:
    report = evaluate_clicks(folder_with(tmp_path), growing(50, 86))
    assert report["noc"] == {"85": 2.0, "90": 20.0}
    assert report["failures"] == {"85": 0, "90": 1}


def test_a_goal_lost_again_counts_from_its_first_time(tmp_path: Path) -> None:
    report = evaluate_clicks(folder_with(tmp_path), growing(50, 91, 40), max_clicks=4)
    assert report["noc"]["90"] == 2.0
    assert report["iou_at"]["4"] == pytest.approx(0.4)


def test_means_are_over_masks(tmp_path: Path) -> None:
    model = ScriptedModel(lambda n, prompt: [share({1: 40, 2: 95, 3: 60, 4: 95}[n])])
    report = evaluate_clicks(folder_with(tmp_path, 2), model, max_clicks=2)
    assert report["iou_at"] == pytest.approx({"1": 0.5, "2": 0.95})
    assert report["samples"] == report["images"] == 2
    assert report["ci"]["iou_at"]["1"] == pytest.approx([0.4, 0.6])
    assert report["ci"]["noc"]["85"] == [2.0, 2.0]


def test_the_report_has_the_promised_keys_and_is_json(tmp_path: Path) -> None:
    report = evaluate_clicks(folder_with(tmp_path), growing(70))
    promised = {"dataset", "model", "samples", "iou_at", "oracle_iou_at_1", "noc", "failures", "ci"}
    assert promised | {"seconds_per_click", "encode_seconds", "first_click"} <= set(report)
    assert list(report["iou_at"]) == [str(k) for k in range(1, 21)]
    assert json.loads(json.dumps(report)) == report
    assert report["model"] == "scripted" and report["dataset"] == tmp_path.name
    assert "NoC@90" in describe(report)


def test_the_first_candidate_counts_and_the_oracle_takes_the_best(tmp_path: Path) -> None:
    model = ScriptedModel(lambda n, prompt: [share(30), share(80), share(60)])
    report = evaluate_clicks(folder_with(tmp_path), model, max_clicks=1)
    assert report["iou_at"]["1"] == pytest.approx(0.3)
    assert report["oracle_iou_at_1"] == pytest.approx(0.8)


def test_every_prompt_holds_all_clicks_and_the_previous_answer() -> None:
    model = growing(50, 60, 70)
    run_clicks(sample(TRUTH), model, max_clicks=3)
    first, second, third = model.prompts
    assert first["mask"] is None and first["points"] == [(4.5, 4.5)] and first["labels"] == [1]
    assert second["mask"] is model.answers[0] and second["points"][:1] == first["points"]
    assert third["mask"] is model.answers[1] and third["points"][:2] == second["points"]


def test_surplus_is_corrected_with_a_negative_click() -> None:
    model = ScriptedModel(lambda n, prompt: [np.ones(SIZE, bool)])
    trace = run_clicks(sample(TRUTH), model, max_clicks=2)
    assert [c.positive for c in trace.clicks] == [True, False]
    assert model.prompts[1]["labels"] == [1, 0]


def test_a_perfect_mask_is_left_alone() -> None:
    model = growing(50, 100)
    trace = run_clicks(sample(TRUTH), model, max_clicks=20)
    assert len(trace.clicks) == 2
    assert trace.ious == (0.5, *[1.0] * 19)


def test_ignored_pixels_of_annotation_and_record_are_left_out(tmp_path: Path) -> None:
    band, corner = rectangle(SIZE, 20, 0, 25, 20), rectangle(SIZE, 30, 0, 40, 20)
    write_record(tmp_path, "photo", [{"mask": TRUTH, "ignore": band}], ignore=corner)
    model = ScriptedModel(lambda n, prompt: [TRUTH | band | corner])
    report = evaluate_clicks(tmp_path, model, max_clicks=3)
    assert report["iou_at"]["1"] == 1.0
    assert len(model.prompts) == 1


def test_a_mask_that_is_ignored_entirely_is_no_sample(tmp_path: Path) -> None:
    other = rectangle(SIZE, 25, 12, 35, 18)
    write_record(tmp_path, "photo", [{"mask": TRUTH}, {"mask": other}], ignore=TRUTH)
    report = evaluate_clicks(tmp_path, ScriptedModel(lambda n, prompt: [other]), max_clicks=1)
    assert report["samples"] == 1 and report["iou_at"]["1"] == 1.0


def test_the_random_first_click_is_inside_the_truth_and_repeats(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, 3)
    models = [growing(50), growing(50)]
    for model in models:
        evaluate_clicks(folder, model, max_clicks=1, first="random")
    firsts = [[p["points"][0] for p in m.prompts] for m in models]
    assert firsts[0] == firsts[1] and len(set(firsts[0])) == 3
    assert all(TRUTH[int(y), int(x)] for x, y in firsts[0])


def test_a_limit_takes_the_first_images_and_progress_counts_them(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = evaluate_clicks(
        folder_with(tmp_path, 3), growing(95), limit=2, progress=lambda *step: seen.append(step)
    )
    assert report["samples"] == 2 and seen == [(1, 2), (2, 2)]


def test_the_csv_has_a_line_per_sample(tmp_path: Path) -> None:
    folder, path = folder_with(tmp_path, 2), tmp_path / "rows.csv"
    evaluate_clicks(folder, growing(50, 88, 91), max_clicks=3, csv_path=path)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [r["key"] for r in rows] == ["photo0", "photo1"]
    assert rows[0]["noc_85"] == "2" and rows[0]["iou_1"] == "0.5" and rows[0]["area"] == "200"
    assert rows[0]["clicks"].split()[0] == "4,4,+"


def test_a_csv_that_cannot_be_written_is_told_before_the_first_click(tmp_path: Path) -> None:
    model = growing(50)
    with pytest.raises(StorageError, match="cannot write"):
        evaluate_clicks(folder_with(tmp_path), model, csv_path=tmp_path / "missing" / "rows.csv")
    assert not model.prompts


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_clicks": 0}, BadOption, "at least 1, got 0"),
        ({"first": "middle"}, BadOption, "'centre' or 'random', got 'middle'"),
        ({"limit": 0}, BadInput, "at least 1 image, got 0"),
    ],
)
def test_bad_options_are_refused(
    tmp_path: Path, options: Prompted, error: type[AnymaskError], message: str
) -> None:
    with pytest.raises(error, match=message):
        evaluate_clicks(folder_with(tmp_path), growing(50), **options)
