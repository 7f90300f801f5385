"""Bootstrap intervals: they hold the mean, they are fixed, and images (not masks) are what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from anymask.evaluation.statistics import intervals, means


def interval(values: np.ndarray, images: np.ndarray) -> list[float]:
    return intervals({"x": values}, images)["x"]


def test_equal_values_have_no_width() -> None:
    assert interval(np.full(10, 0.7), np.arange(10)) == pytest.approx([0.7, 0.7])


def test_the_width_is_that_of_the_normal_interval() -> None:
    values = np.random.default_rng(5).normal(3.0, 2.0, 400)
    low, high = interval(values, np.arange(400))
    half = 1.96 * values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.05)
    assert high == pytest.approx(values.mean() + half, abs=0.05)


def test_many_masks_of_one_image_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(6).random(30)
    alone = interval(values, np.arange(30))
    repeated = interval(np.repeat(values, 20), np.repeat(np.arange(30), 20))
    assert repeated == pytest.approx(alone)


def test_images_weigh_as_many_masks_as_they_have() -> None:
    values, images = np.array([0.0, 0.0, 0.0, 1.0]), np.array([7, 7, 7, 9])
    assert means({"x": values}) == {"x": 0.25}
    assert interval(values, images) == [0.0, 1.0]


def test_the_same_data_give_the_same_interval() -> None:
    values = np.random.default_rng(7).random(12)
    assert interval(values, np.arange(12)) == interval(values, np.arange(12))
