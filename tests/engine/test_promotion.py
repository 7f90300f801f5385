"""A model is promoted only when the paired intervals say that it is not worse."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("scipy")

from anymask.engine.promotion import promote
from anymask.engine.round_scores import RoundScores
from anymask.errors import BadInput


def scores(shift: float, noise: float = 0.0, photos: int = 30, measure: str = "iou_click_1") -> RoundScores:
    rng, other = np.random.default_rng(1), np.random.default_rng(2)
    found = RoundScores()
    for number in range(photos):
        values = rng.uniform(0.3, 0.7, 3) + shift + other.normal(0, noise, 3)
        found.add(str(number), {measure: values.tolist()})
    return found


def test_a_better_model_is_promoted_and_a_worse_one_is_not() -> None:
    assert promote(scores(0), scores(0.05)).promoted
    worse = promote(scores(0), scores(-0.05))
    assert not worse.promoted
    assert "worse at iou_click_1 -0.050" in worse.why


def test_pairing_finds_differences_far_below_the_spread_of_photos() -> None:
    gain = scores(0.02, noise=0.01).gain_over(scores(0), "iou_click_1")
    assert 0 < gain.low < gain.value < gain.high
    alone = scores(0.02, noise=0.01).estimate("iou_click_1")
    assert alone.high - alone.low > 3 * (gain.high - gain.low)


def test_nothing_gained_is_not_promoted_and_a_loss_within_the_tolerance_is_none() -> None:
    assert not promote(scores(0), scores(0)).promoted
    assert "nothing better" in promote(scores(0), scores(-0.005)).why


def test_one_photo_has_no_interval_so_the_mean_of_all_measures_decides() -> None:
    def of_one(click: float, precision: float) -> RoundScores:
        found = RoundScores()
        found.add("only", {"iou_click_1": [click], "precision_at_75": [precision]})
        return found

    better = promote(of_one(0.98, 0.58), of_one(0.95, 0.79))
    assert better.promoted and "too few photos" in better.why
    assert not promote(of_one(0.98, 0.58), of_one(0.95, 0.60)).promoted


def test_what_forgets_everyday_photos_is_not_promoted_however_good() -> None:
    decision = promote(scores(0), scores(0.3), forgotten=0.05)
    assert not decision.promoted
    assert "everyday photos" in decision.why
    assert promote(scores(0), scores(0.3), forgotten=0.02).promoted


def test_scores_of_other_photos_cannot_be_compared() -> None:
    with pytest.raises(BadInput):
        promote(scores(0, photos=3), scores(0, photos=4))


def test_scores_survive_json_and_photos_without_a_measure_weigh_nothing() -> None:
    found = scores(0)
    found.add("without", {})
    found.add("late", {"ar_at_100": [1.0, 0.0]})
    again = RoundScores.from_dict(found.to_dict())
    assert again == found
    assert found.mean("iou_click_1") == pytest.approx(scores(0).mean("iou_click_1"))
    assert found.report()["ar_at_100"] == 0.5
    assert promote(found, again).to_dict()["promoted"] is False
