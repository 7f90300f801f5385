"""The probability of an automatic mask: from a card, from a fit, and where neither is there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anymask
from anymask.automatic.probability import FACT, FEATURES, INTERCEPT, MaskProbability, features_of, fit
from anymask.core.automatic_mask import Evidence
from anymask.errors import WeightsError
from anymask.hub.catalog import EMBEDDED_FOLDER

BOX = Evidence(0.6, 0.8, 0.9, 0.05, 2, 0, 0)
FLAT = {INTERCEPT: -1.0, **dict.fromkeys(FEATURES, 0.0)}


def test_without_coefficients_it_is_predicted_iou_times_stability() -> None:
    probability = MaskProbability.of_card({})
    assert not probability.is_calibrated
    assert probability(BOX) == pytest.approx(0.72)
    assert probability(Evidence(None, 1.2, 0.5, 0.1, 0, 1, 0)) == pytest.approx(0.5), (
        "some networks say above 1"
    )


def test_a_card_gives_intercept_and_coefficients() -> None:
    probability = MaskProbability.of_card({FACT: {**FLAT, "votes_of_boxes": 1.0}})
    assert probability.is_calibrated
    assert probability(BOX) == pytest.approx(1 / (1 + np.exp(1 - np.log(3))))


def test_features_are_as_many_as_named_and_finite_at_the_ends() -> None:
    for score in (0.0, 1.0):
        values = features_of(Evidence(score, score, score, 0.0, 0, 0, 4))
        assert len(values) == len(FEATURES)
        assert np.isfinite(values).all()


@pytest.mark.parametrize(
    "fact", [3, {}, {**FLAT, "more": 1}, {**FLAT, "edges": float("nan")}, {**FLAT, "edges": "1"}], ids=str
)
def test_a_damaged_card_is_refused_when_the_model_is_opened(fact: Any, tmp_path: Path) -> None:
    for file in EMBEDDED_FOLDER.glob("lite.*"):
        shutil.copy(file, tmp_path)
    card = json.loads((tmp_path / "lite.json").read_text("utf-8"))
    card["automatic"][FACT] = fact
    (tmp_path / "lite.json").write_text(json.dumps(card), "utf-8")
    with pytest.raises(WeightsError, match=r"automatic\.probability"):
        anymask.load(str(tmp_path / "lite.json"))


def test_a_fit_finds_what_made_the_data() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20_000, 2)) * (1, 5)
    right = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 + features @ (2.0, -0.3))))
    fitted = fit(features, right)
    assert fitted.intercept == pytest.approx(0.5, abs=0.1)
    assert fitted.coefficients_F == pytest.approx((2.0, -0.3), abs=0.1)


def test_the_default_model_is_calibrated() -> None:
    assert MaskProbability.of_card(anymask.load().automatic).is_calibrated
