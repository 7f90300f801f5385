"""Calibration with predictions whose outcomes are known: calibrated, overconfident, distorted."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_fakes import rectangle, write_record
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from anymask.core.candidates import apply_temperature
from anymask.errors import BadInput
from anymask.evaluation import describe, evaluate_calibration, reliability_diagram, summarise_with_fit
from anymask.evaluation.calibration import Prediction, ece, ece_null, equal_bins, even_bins, pooled
from anymask.evaluation.reliability import BAR, place
from anymask.evaluation.temperature_scaling import best_temperature

SIZE = (40, 60)
TRUTH = rectangle(SIZE, 10, 10, 30, 30)
HALF = rectangle(SIZE, 10, 10, 20, 30)  # IoU 0.5
ELSEWHERE = rectangle(SIZE, 40, 10, 50, 30)


@dataclass(frozen=True)
class FixedMask:
    array: np.ndarray
    iou: float
    probability: float


@dataclass(frozen=True)
class FixedAnswer:
    masks: Sequence[FixedMask]

    @property
    def best(self) -> FixedMask:
        return self.masks[0]

    @property
    def none_probability(self) -> float:
        return 1 - sum(m.probability for m in self.masks)

    def __iter__(self) -> Iterator[FixedMask]:
        return iter(self.masks)


@dataclass(frozen=True)
class FixedModel:
    """Answers a click with `clicked` and a box with the first of it alone."""

    clicked: Sequence[FixedMask]
    name: str = "fixed"

    def encode(self, source: Any, /) -> FixedModel:
        return self

    def segment(self, **prompt: Any) -> FixedAnswer:
        return FixedAnswer(self.clicked[:1] if "box" in prompt else self.clicked)


THREE = (FixedMask(HALF, 0.6, 0.5), FixedMask(TRUTH, 0.9, 0.3), FixedMask(ELSEWHERE, 0.1, 0.1))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_record(tmp_path, "photo", [{"mask": TRUTH}])
    return tmp_path


def drawn(chances_AN: np.ndarray, seed: int = 0) -> np.ndarray:
    """Outcomes with these probabilities."""
    rng = np.random.default_rng(seed)
    return np.array([rng.choice(len(chance_N), p=chance_N) for chance_N in chances_AN])


def test_calibrated_probabilities_have_a_small_error() -> None:
    rng = np.random.default_rng(1)
    p_F = rng.random(20_000)
    true_F = (rng.random(20_000) < p_F).astype(float)
    assert ece(p_F, true_F, equal_bins(p_F)) < 0.02
    assert ece(p_F, true_F, even_bins(p_F)) < 0.02


def test_the_error_of_overconfidence_is_what_it_adds() -> None:
    """Says 90 % and 20 %; 60 % and 20 % come true."""
    p_F = np.repeat([0.9, 0.2], 300)
    true_F = np.concatenate([np.tile([1, 1, 1, 0, 0], 60), np.tile([1, 0, 0, 0, 0], 60)]).astype(float)
    assert ece(p_F, true_F, even_bins(p_F)) == pytest.approx(0.15)
    assert ece(p_F, true_F, equal_bins(p_F)) == pytest.approx(0.15)


def calibrated_predictions(count: int, seed: int) -> list[Prediction]:
    """Three candidates and none; the one that comes true is drawn from the predictions."""
    chances = np.random.default_rng(seed).dirichlet((2, 1, 1, 1), count)
    eye = np.eye(4)[drawn(chances, seed)][:, :3]
    sample: Any = None  # not looked at
    return [Prediction(sample, "", c, c[:3], iou, 0.5) for c, iou in zip(chances, eye, strict=True)]


def test_the_null_error_is_that_of_a_calibrated_model() -> None:
    errors, chances = [], []
    for seed in range(12):
        found = calibrated_predictions(60, seed)
        p_F, true_F = pooled(found)
        bins = equal_bins(p_F)
        errors.append(ece(p_F, true_F, bins))
        chances.append(ece_null(found, p_F, bins))
    assert np.mean(chances) == pytest.approx(np.mean(errors), rel=0.15)
    many = calibrated_predictions(2000, 0)
    p_F, _ = pooled(many)
    assert ece_null(many, p_F, equal_bins(p_F)) < 0.3 * np.mean(chances)


def test_equal_bins_hold_equally_many() -> None:
    counts = np.bincount(equal_bins(np.random.default_rng(2).random(150)))
    assert counts.tolist() == [10] * 15


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_fit_finds_the_temperature_that_distorted(temperature: float) -> None:
    rng = np.random.default_rng(3)
    honest = np.exp(rng.normal(0, 1.5, (6000, 4)))
    honest /= honest.sum(1, keepdims=True)
    distorted = [apply_temperature(chance_N, 1 / temperature) for chance_N in honest]
    assert best_temperature(distorted, drawn(honest).tolist()) == pytest.approx(temperature, rel=0.07)


@given(st.lists(st.floats(-9, 9), min_size=2, max_size=5), st.floats(0.2, 5))
def test_a_temperature_divides_logits(logits: list[float], temperature: float) -> None:
    scaled = apply_temperature(softmax(logits), temperature)
    np.testing.assert_allclose(scaled, softmax(np.array(logits) / temperature), atol=1e-9)


def test_what_is_impossible_stays_impossible() -> None:
    np.testing.assert_allclose(apply_temperature(np.array([0.0, 0.2, 0.8]), 2), [0, 1 / 3, 2 / 3])


def test_the_candidate_of_the_largest_iou_is_the_outcome(data: Path) -> None:
    report = evaluate_calibration(data, FixedModel(THREE))
    assert report["ranks"] == {
        "probability": pytest.approx([0.5, 0.3, 0.1]),
        "best": [0, 1, 0],
        "best_predicted": [0, 1, 0],
    }
    clicks, boxes = 0.5**2 + 0.7**2 + 0.1**2 + 0.1**2, 0.5**2 + 0.5**2  # two answers of each
    assert report["brier"] == pytest.approx((clicks + boxes) / 2)
    assert report["log_score"] == pytest.approx(-(np.log(0.3) + np.log(0.5)) / 2)
    assert (report["samples"], report["answers"]) == (1, 4)


def test_below_half_an_iou_the_outcome_is_none(data: Path) -> None:
    report = evaluate_calibration(data, FixedModel([FixedMask(ELSEWHERE, 0.2, 0.4)]))
    assert (report["none_predicted"], report["none_observed"]) == (pytest.approx(0.6), 1.0)
    assert report["log_score"] == pytest.approx(-np.log(0.6))
    assert report["ranks"]["best"] == [] and report["candidate_iou"] is None


def test_predicted_iou_is_compared_with_the_true_one(data: Path) -> None:
    report = evaluate_calibration(data, FixedModel([FixedMask(HALF, 0.8, 0.9), FixedMask(TRUTH, 0.9, 0.1)]))
    assert report["iou_error"] == pytest.approx((4 * 0.3 + 2 * 0.1) / 6)
    assert report["iou_correlation"] == pytest.approx(1)
    assert report["candidate_iou"] == pytest.approx(0.5)


def test_the_report_with_a_fit_is_json_and_text(data: Path) -> None:
    report = evaluate_calibration(data, FixedModel(THREE), summary=summarise_with_fit)
    assert json.loads(json.dumps(report)) == report
    assert set(report["ci"]) == {"ece", "brier", "log_score", "none_predicted", "none_observed"}
    assert report["fit"]["log_score"] <= report["log_score"]
    assert "temperature" in describe(report) and "candidate 2: 30% probable, best in 100%" in describe(report)


def test_the_csv_has_a_line_per_answer(data: Path) -> None:
    evaluate_calibration(data, FixedModel(THREE), csv_path=data / "rows.csv")
    with (data / "rows.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["prompt"] for row in rows] == ["centre", "random", "box", "jittered"]
    assert rows[0]["ious"] == "0.50000 1.00000 0.00000"


def test_data_without_a_mask_are_refused(tmp_path: Path) -> None:
    write_record(tmp_path, "photo", [{"mask": TRUTH, "ignore": TRUTH}])
    with pytest.raises(BadInput, match="no masks to score"):
        evaluate_calibration(tmp_path, FixedModel(THREE))


def test_the_diagram_has_a_bar_as_high_as_the_observed_fraction() -> None:
    bins = [
        {"bin": 2, "count": 100, "predicted": 0.25, "observed": 0.5},
        {"bin": 9, "count": 20, "predicted": 0.95, "observed": 0.9},
    ]
    pixels = np.asarray(reliability_diagram(bins, "title"))
    blue = (pixels == BAR).all(-1)
    tops = {b["bin"]: place(0, b["observed"])[1] for b in bins}
    for number, top in tops.items():
        column = int(place((number + 0.2) / 10, 0)[0])
        assert int(blue[:, column].argmax()) == pytest.approx(top, abs=1)
    assert not blue[:, int(place(0.55, 0)[0])].any()
