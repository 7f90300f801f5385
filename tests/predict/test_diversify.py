"""Candidates of one click differ; near-duplicates are one, with the sum of their probabilities."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anymask.core.candidates import Candidate, Candidates
from anymask.core.frames import ResizeLongest, Window
from anymask.core.prompt import Prompt
from anymask.predict.diversify import (
    NEAR_DUPLICATE_IOU,
    VARIANT_PROBABILITY,
    diversify_candidates,
    merge_near_duplicates,
    near_duplicates,
    threshold_variants,
)

SIDE = 32
FRAME = Window((90, 90), (0, 0, 64, 64), 64)
CLICK = Prompt.of([(5, 5)])


def hill(at: tuple[float, float] = (16, 16), steep: float = 1.0, height: float = 8.0) -> np.ndarray:
    """Logits that fall off around a place: the higher the threshold, the smaller the mask."""
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    return (steep * (height - np.hypot(rows - at[0], columns - at[1]))).astype(np.float32)


def answer(*logits: np.ndarray, chances: tuple[float, ...] = (0.5, 0.3, 0.1)) -> Candidates:
    iou = np.array([0.8, 0.7, 0.6], np.float32)[: len(logits)]
    chance = np.array(chances[: len(logits)], np.float32)
    return Candidates(np.stack(logits), iou, chance, 1 - float(chance.sum()), (FRAME,) * len(logits))


def merged(*logits: np.ndarray, chances: tuple[float, ...] = (0.5, 0.3, 0.1)) -> Candidates:
    return merge_near_duplicates(answer(*logits, chances=chances), CLICK, ResizeLongest((90, 90), 64))


def diversified(first: Candidates, makes: np.ndarray | None = None) -> Candidates:
    """Refined to themselves, or all to the same."""

    def refine(candidate: Candidate) -> Candidate:
        logits = candidate.low_res_logits if makes is None else makes
        return Candidate(logits, candidate.iou, candidate.probability, candidate.frame)

    return diversify_candidates(first, threshold_variants(first), refine)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a > 0) & (b > 0)).sum() / ((a > 0) | (b > 0)).sum())


def test_three_near_duplicates_are_one_candidate_with_the_sum_of_their_probabilities() -> None:
    shown = merged(hill(), hill() + 0.1, hill() - 0.1)
    np.testing.assert_array_equal(shown.low_res_logits, hill()[None])
    assert shown.probability.tolist() == pytest.approx([0.9])
    assert shown.none_probability == pytest.approx(0.1)


def test_near_duplicates_that_are_more_probable_together_come_first() -> None:
    shown = merged(hill((6, 6)), hill((24, 24)), hill((24, 24)) + 0.1, chances=(0.4, 0.3, 0.25))
    assert shown.probability.tolist() == pytest.approx([0.55, 0.4])
    np.testing.assert_array_equal(shown.low_res_logits[0], hill((24, 24)))


def test_candidates_that_differ_stay() -> None:
    shown = merged(hill(), hill((6, 6)), hill((26, 26)))
    assert shown == answer(hill(), hill((6, 6)), hill((26, 26)))


def test_the_same_mask_in_another_window_is_no_near_duplicate() -> None:
    here, there = answer(hill())[0], Candidate(hill(), 0.5, 0.2, Window((90, 90), (10, 10, 80, 80), 64))
    assert near_duplicates([here, there]).tolist() == [[True, False], [False, True]]


def test_free_places_go_to_a_part_and_to_more() -> None:
    shown = diversified(answer(hill(), chances=(0.9,)))
    assert all(iou(a, b) < NEAR_DUPLICATE_IOU for a, b in combinations(shown.low_res_logits, 2))
    whole, part, more = ((logits > 0).sum() for logits in shown.low_res_logits)
    assert part < whole < more
    left = 1 - 2 * VARIANT_PROBABILITY
    wanted = [0.9 * left, VARIANT_PROBABILITY, VARIANT_PROBABILITY]
    assert shown.probability.tolist() == pytest.approx(wanted)
    assert shown.none_probability == pytest.approx(0.1 * left)


def test_three_candidates_that_differ_leave_no_place() -> None:
    first = answer(hill(), hill((6, 6)), hill((26, 26)))
    assert diversified(first) == first


def test_a_thing_with_sharp_edges_is_one_candidate() -> None:
    sharp = hill(steep=50.0)
    assert diversified(answer(sharp, chances=(0.9,))).probability.tolist() == pytest.approx([0.9])


def test_what_refinement_makes_alike_is_merged() -> None:
    shown = diversified(answer(hill(), hill((6, 6))), makes=hill())
    assert shown.probability.tolist() == pytest.approx([0.8])
    assert shown.best.iou == pytest.approx(0.8)


def test_an_empty_mask_is_no_variant() -> None:
    low = hill(height=3.0)  # nothing is left of it four higher
    shown = diversified(answer(low))
    assert len(shown) == 2 and all((logits > 0).any() for logits in shown.low_res_logits)


def test_the_predicted_iou_of_a_variant_is_what_it_shares_with_the_best() -> None:
    variants = threshold_variants(answer(hill(), hill((6, 6))))
    wanted = [0.8 * iou(hill(), hill() - 4), 0.8 * iou(hill(), hill() + 4)]
    assert variants.iou.tolist() == pytest.approx(wanted, abs=1e-6)


@given(
    st.lists(
        st.tuples(st.integers(2, 30), st.integers(2, 30), st.sampled_from([0.3, 1.0, 20.0])),
        min_size=1,
        max_size=3,
    )
)
def test_probabilities_sum_to_one_and_fall(hills: list[tuple[int, int, float]]) -> None:
    first = merged(*(hill((y, x), steep) for y, x, steep in hills))
    shown = diversified(first)
    assert len(first) <= len(shown) <= 3
    assert float(shown.probability.sum()) + shown.none_probability == pytest.approx(1)
    assert (np.diff(shown.probability) <= 0).all() and (shown.probability > 0).all()
    assert not (near_duplicates(list(shown)) & ~np.eye(len(shown), dtype=bool)).any()
