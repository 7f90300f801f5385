"""The calibration protocol with forecasts whose errors are known."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_fakes import rectangle, sample, write_record

from anymask.evaluation import describe, evaluate_calibration, reliability_diagram
from anymask.evaluation.calibration import (
    EQUAL_BINS,
    Forecast,
    brier,
    ece,
    equal_bins,
    even_bins,
    log_score,
    prompts_of,
    summarise,
)

SIZE = (40, 60)
TRUTH = rectangle(SIZE, 10, 10, 30, 30)
HALF = rectangle(SIZE, 10, 10, 30, 19)


def forecast(
    probabilities: list[float], ious: list[float], image: int = 0, prompt: str = "centre"
) -> Forecast:
    numbers = (np.array(values, float) for values in (probabilities, ious, ious))
    return Forecast(sample(TRUTH, image=image), prompt, *numbers, 0.5)


def drawn(true_rate: float, told: float, count: int = 2000) -> list[Forecast]:
    """Answers with one candidate that is right at one rate and says another."""
    rng = np.random.default_rng(0)
    ious = np.where(rng.random(count) < true_rate, 0.9, 0.1)
    return [forecast([told], [iou], image=n) for n, iou in enumerate(ious)]


def test_honest_probabilities_have_no_error() -> None:
    report = summarise(drawn(0.7, 0.7))
    assert report["ece_even"] < 0.03
    assert report["none_forecast"] == pytest.approx(report["none_observed"], abs=0.03)


def test_the_error_of_a_boast_is_its_size() -> None:
    report = summarise(drawn(0.6, 0.9))
    assert report["ece_even"] == pytest.approx(0.3, abs=0.03)
    low, high = report["ci"]["ece"]
    assert low < 0.3 < high


def test_opposite_errors_in_different_bins_do_not_cancel() -> None:
    p, true = np.repeat([0.2, 0.8], 100), np.repeat([0.0, 1.0], 100)
    assert ece(p, true, even_bins(p)) == pytest.approx(0.2)
    assert abs((p - true).mean()) < 1e-9


def test_bins_of_equal_size_hold_equally_many() -> None:
    counts = np.bincount(equal_bins(np.random.default_rng(1).random(150) ** 4))
    assert counts.tolist() == [150 // EQUAL_BINS] * EQUAL_BINS


def test_the_candidate_that_fits_best_comes_true_unless_none_fits() -> None:
    assert forecast([0.2, 0.5, 0.1], [0.6, 0.4, 0.8]).outcome_M.tolist() == [0, 0, 1]
    assert forecast([0.2, 0.5, 0.1], [0.4, 0.3, 0.1]).outcome_M.tolist() == [0, 0, 0]


def test_scores_ask_for_the_whole_distribution() -> None:
    sure = forecast([0.0, 1.0], [0.1, 0.9])
    assert (brier(sure), log_score(sure)) == pytest.approx((0, 0))
    none = forecast([0.25, 0.25], [0.1, 0.2])
    assert brier(none) == pytest.approx(2 * 0.25**2 + 0.5**2)
    assert log_score(none) == pytest.approx(np.log(2))


def test_ranks_tell_how_often_each_candidate_is_the_best() -> None:
    report = summarise([forecast([0.5, 0.3], [0.9, 0.2]), forecast([0.6, 0.2], [0.3, 0.7], image=1)])
    assert report["ranks"] == {"probability": [0.55, 0.25], "best": [0.5, 0.5]}
    assert report["alike"] == 0.5


def test_a_mask_is_asked_for_in_four_ways() -> None:
    prompts = prompts_of(sample(TRUTH))
    assert prompts["box"] == {"box": (10.0, 10.0, 30.0, 30.0)} != prompts["jittered"]
    assert all(TRUTH[int(y), int(x)] for n in ("centre", "random") for x, y in prompts[n]["points"])


@dataclass(frozen=True)
class Told:
    array: np.ndarray
    probability: float
    iou: float = 0.8


class Answered(list[Told]):
    none_probability = 0.1


class Teller:
    """The truth to a box; three candidates to a click, the second of which is the truth."""

    name = "teller"

    def encode(self, source: Any, /) -> Teller:
        return self

    def segment(self, **prompt: Any) -> Answered:
        if "box" in prompt:
            return Answered([Told(TRUTH, 0.9)])
        return Answered([Told(HALF, 0.5), Told(TRUTH, 0.3), Told(~TRUTH, 0.1)])


def test_a_data_set_is_asked_and_every_answer_gets_a_line(tmp_path: Path) -> None:
    write_record(tmp_path, "photo", [{"mask": TRUTH}])
    report = evaluate_calibration(tmp_path, Teller(), csv_path=tmp_path / "rows.csv")  # type: ignore[arg-type]
    assert (report["samples"], report["answers"]) == (1, 4)
    assert report["ranks"]["best"] == [0, 1, 0]
    with (tmp_path / "rows.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["prompt"] for row in rows] == ["centre", "random", "box", "jittered"]
    assert rows[0]["ious"].split()[1] == "1.00000"
    assert "calibration error" in describe(report) and "best in 100%" in describe(report)


def test_the_diagram_shows_where_forecasts_lie() -> None:
    bins = [{"count": 9, "forecast": 0.1, "observed": 0.1}, {"count": 4, "forecast": 0.9, "observed": 0.4}]
    with_both, with_one = (np.asarray(reliability_diagram(b, "model")) for b in (bins, bins[:1]))
    assert (with_both != with_one).any(2).sum() > 100
