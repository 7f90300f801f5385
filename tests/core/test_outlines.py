"""Filling with the outline, as OpenCV does, without OpenCV."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anymask.core.outlines import MAX_LENGTH, filled
from anymask.errors import BadInput

POINTS = st.lists(st.tuples(st.integers(0, 39), st.integers(0, 29)), min_size=1, max_size=12)


def fill(points: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    inside, (x, y) = filled(points, np.roll(points, -1, axis=0), size_hw)
    whole = np.zeros(size_hw, bool)
    whole[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return whole


@given(POINTS)
def test_polygons_are_filled_as_by_opencv(points: list[tuple[int, int]]) -> None:
    cv2 = pytest.importorskip("cv2")
    expected = np.zeros((30, 40), np.uint8)
    cv2.fillPoly(expected, [np.array(points, np.int32)], 1)
    assert np.array_equal(fill(np.array(points), (30, 40)), expected.astype(bool))


@given(st.lists(st.tuples(st.integers(-50, 90), st.integers(-50, 90)), min_size=3, max_size=8))
def test_what_lies_outside_of_the_image_is_cut_off(points: list[tuple[int, int]]) -> None:
    large = fill(np.array(points) + 50, (141, 141))
    assert np.array_equal(fill(np.array(points), (30, 40)), large[50:80, 50:90])


def test_a_polygon_without_end_is_refused() -> None:
    points = np.array([[0, 0], [0, 60_000]] * (MAX_LENGTH // 60_000))
    with pytest.raises(BadInput, match="outline of at most"):
        filled(points, np.roll(points, -1, axis=0), (60_000, 60_000))
