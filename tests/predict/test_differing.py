"""Answers to one click differ where the network saw anything else; what they are worth stays one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anymask.core.candidates import Candidate, Candidates
from anymask.core.window import Window
from anymask.predict.diversify import OTHER, SAME, differing, others_of

SIDE = 32
FRAME = Window((90, 90), (0, 0, 64, 64), 64)
NONE = 0.1


def hill(at: tuple[float, float] = (16, 16), steep: float = 1.0, height: float = 8.0) -> np.ndarray:
    """Logits that fall off around a place: the higher they are cut, the smaller the mask."""
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    return (steep * (height - np.hypot(rows - at[0], columns - at[1]))).astype(np.float32)


def answer(*logits: np.ndarray, chances: tuple[float, ...] = (0.5, 0.3, 0.1)) -> Candidates:
    iou = np.array([0.8, 0.7, 0.6], np.float32)[: len(logits)]
    chance = np.array(chances[: len(logits)], np.float32)
    return Candidates(np.stack(logits), iou, chance, 1 - float(chance.sum()), (FRAME,) * len(logits))


class Pen:
    """Draws what it is given, or what it is told to make of it; remembers what it drew."""

    def __init__(self, makes: np.ndarray | None = None) -> None:
        self.drawn: list[Candidate] = []
        self.makes = makes

    def __call__(self, candidate: Candidate) -> Candidate:
        self.drawn.append(candidate)
        if self.makes is None:
            return candidate
        return Candidate(self.makes, candidate.iou, candidate.probability, candidate.transform)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a > 0) & (b > 0)).sum() / ((a > 0) | (b > 0)).sum())


def test_copies_give_way_to_a_part_and_to_more() -> None:
    first = answer(hill(), hill() + 0.1, hill() - 0.1)
    shown = differing(first, others_of(first), Pen())
    assert len(shown) == 3
    assert all(iou(a, b) < SAME for a, b in combinations(shown.low_res_logits, 2))
    whole, part, more = ((logits > 0).sum() for logits in shown.low_res_logits)
    assert part < whole < more


def test_what_gives_way_leaves_half_of_its_probability_to_what_takes_its_place() -> None:
    first = answer(hill(), hill() + 0.1, hill() - 0.1)
    shown = differing(first, others_of(first), Pen())
    left = 1 - 2 * OTHER
    wanted = [(0.5 + 0.15 + 0.05) * left, OTHER + 0.15 * left, OTHER + 0.05 * left]
    assert shown.probability.tolist() == pytest.approx(wanted, abs=1e-6)
    assert shown.none_probability == pytest.approx(0.1 * left)


def test_answers_that_differ_are_all_drawn_and_keep_their_probability() -> None:
    first, pen = answer(hill(), hill((6, 6)), hill((26, 26))), Pen()
    shown = differing(first, others_of(first), pen)
    assert len(pen.drawn) == 3
    np.testing.assert_array_equal(shown.low_res_logits, first.low_res_logits)
    assert shown.probability.tolist() == pytest.approx(first.probability.tolist())
    assert shown.none_probability == pytest.approx(first.none_probability)


def test_a_thing_with_sharp_edges_is_nothing_else_and_its_copies_share() -> None:
    sharp = hill(steep=50.0)
    first, pen = answer(sharp, sharp, sharp), Pen()
    shown = differing(first, others_of(first), pen)
    assert len(pen.drawn) == 3  # no look more than for three that differ
    assert shown.probability.tolist() == pytest.approx([0.3, 0.3, 0.3], abs=1e-6)
    assert shown.none_probability == pytest.approx(0.1)


def test_what_comes_out_alike_is_only_found_by_drawing_it() -> None:
    """All that is drawn becomes the same: others are tried, then nothing is left but copies."""
    first, pen = answer(hill(), hill((6, 6)), hill() + 0.1), Pen(makes=hill())
    shown = differing(first, others_of(first), pen)
    assert [c.probability for c in pen.drawn] == pytest.approx([0.5, 0.3, 0.0, 0.0])
    assert shown.probability.tolist() == pytest.approx([0.3, 0.3, 0.3], abs=1e-6)


def test_an_empty_mask_is_no_answer() -> None:
    low = hill(height=3.0)  # nothing is left of it four higher
    first = answer(low, low, low)
    shown = differing(first, others_of(first), Pen())
    assert all((logits > 0).any() for logits in shown.low_res_logits)
    assert len(shown) == 3


def test_masks_that_are_all_empty_are_copies_of_one() -> None:
    nothing = hill(height=-9.0)
    shown = differing(answer(nothing, nothing, nothing), others_of(answer(nothing)), Pen())
    assert shown.probability.tolist() == pytest.approx([0.3, 0.3, 0.3], abs=1e-6)


def test_the_predicted_quality_of_another_answer_is_what_it_shares_with_the_best() -> None:
    first = answer(hill(), hill() + 0.1, hill() - 0.1)
    others = others_of(first)
    wanted = [0.8 * iou(hill(), hill() - 4), 0.8 * iou(hill(), hill() + 4)]
    assert others.iou.tolist() == pytest.approx(wanted, abs=1e-6)


def test_the_first_answer_stays_first_and_the_others_come_by_their_probability() -> None:
    first = answer(hill(), hill() + 0.1, hill((6, 6)), chances=(0.2, 0.2, 0.05))
    shown = differing(first, others_of(first), Pen())
    np.testing.assert_array_equal(shown.low_res_logits[0], first.low_res_logits[0])
    wanted = [OTHER + 0.1 * (1 - OTHER), 0.05 * (1 - OTHER)]
    assert shown.probability[1:].tolist() == pytest.approx(wanted, abs=1e-6)


@given(
    st.lists(
        st.tuples(st.integers(2, 30), st.integers(2, 30), st.sampled_from([0.3, 1.0, 20.0])),
        min_size=3,
        max_size=3,
    )
)
def test_as_many_answers_as_before_whose_probabilities_sum_to_one(
    hills: list[tuple[int, int, float]],
) -> None:
    first = answer(*(hill((y, x), steep) for y, x, steep in hills))
    shown = differing(first, others_of(first), Pen())
    assert len(shown) == 3
    assert float(shown.probability.sum()) + shown.none_probability == pytest.approx(1)
    assert (shown.probability >= 0).all()
    np.testing.assert_array_equal(shown.low_res_logits[0], first.low_res_logits[0])
