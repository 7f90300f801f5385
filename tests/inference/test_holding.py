"""Clicks hold: the mask says at a click what the click says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import anymask
from anymask.core.candidates import Candidates
from anymask.core.geometry import ResizeLongest
from anymask.core.prompt import Prompt
from anymask.inference.holding import holding


def answer_of(logits_mm: np.ndarray, frame: ResizeLongest) -> Candidates:
    one = np.ones(1, np.float32)
    return Candidates(logits_mm[None].astype(np.float32), one, one, 0.0, (frame,))


@given(
    st.tuples(st.integers(20, 300), st.integers(20, 300)),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from([0, 1]),
    st.floats(0, 30),
)
def test_a_contradicting_click_wins_where_it_lands(
    size_hw: tuple[int, int], x: float, y: float, label: int, against: float
) -> None:
    frame = ResizeLongest(size_hw, 128)
    column, row = int(x * size_hw[1]), int(y * size_hw[0])
    logits = np.full((32, 32), against if label == 0 else -against)
    prompt = Prompt.of([(column + 0.5, row + 0.5)], [label])
    assert holding(answer_of(logits, frame), prompt, frame).best.array[row, column] == bool(label)


def test_far_from_the_click_nothing_changes() -> None:
    frame = ResizeLongest((128, 128), 128)
    logits = np.full((32, 32), -4.0)
    held = holding(answer_of(logits, frame), Prompt.of([(40, 40)]), frame)
    moved = np.argwhere(np.abs(held.low_res_logits[0] - logits) > 0.01)
    assert 0 < np.count_nonzero(held.best.array) < 120  # about three cells of 4 x 4 pixels wide
    assert np.abs(moved - 9.5).max() < 5


def test_an_answer_that_agrees_is_left_as_it_is() -> None:
    frame = ResizeLongest((128, 128), 128)
    answer = answer_of(np.full((32, 32), 3.0), frame)
    held = holding(answer, Prompt.of([(40, 40)]), frame)
    np.testing.assert_array_equal(held.low_res_logits, answer.low_res_logits)


@pytest.mark.parametrize("look", ["encode", "zoom"])
def test_the_default_model_never_ignores_a_click(look: str) -> None:
    photo = anymask.read_image("examples/coffee.jpg")
    image = getattr(anymask.load(), look)(photo)
    rng = np.random.default_rng(0)
    answer, points, labels = None, [], []
    for _ in range(12):
        x, y = int(rng.integers(photo.shape[1])), int(rng.integers(photo.shape[0]))
        inside = answer is not None and bool(answer.best.array[y, x])
        points, labels = [*points, (x + 0.5, y + 0.5)], [*labels, int(not inside)]  # always the contrary
        answer = image.segment(points=points, labels=labels, mask=answer)
        assert answer.best.array[y, x] != inside
