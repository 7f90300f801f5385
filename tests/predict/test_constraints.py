"""Prompt constraints: the mask is at a click what its label says, and stays in its box."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import anymask
from anymask.core.candidates import Candidates
from anymask.core.frames import ResizeLongest
from anymask.core.prompt import Prompt
from anymask.images.reader import read_image
from anymask.predict.constraints import (
    BOX_MARGIN,
    clip_to_box,
    enforce_clicks,
    extend_to_edges,
    keep_clicked_component,
)


def answer_of(logits_mm: np.ndarray, frame: ResizeLongest) -> Candidates:
    one = np.ones(1, np.float32)
    return Candidates(logits_mm[None].astype(np.float32), one, one, 0.0, (frame,))


EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize("refine", [False, True])
def test_a_cat_that_the_photo_cuts_off_reaches_its_last_row_or_column(refine: bool) -> None:
    landscape = read_image(EXAMPLES / "cat.jpg")
    height = len(landscape)
    model = anymask.load()
    for photo, point in ((landscape, (240, 180)), (np.rot90(landscape, -1), (height - 180, 240))):
        mask = model.encode(np.ascontiguousarray(photo), refine=refine).segment(points=[point]).best.array
        lines = mask if photo is landscape else mask.T
        assert lines[-6].sum() > 300
        assert lines[-1].sum() > 0.98 * lines[-6].sum()


@given(st.tuples(st.integers(1, 700), st.integers(1, 700)), st.sampled_from([32, 64, 128]))
def test_padding_has_no_say_in_what_is_extended_to_the_edges(size_hw: tuple[int, int], side: int) -> None:
    frame = ResizeLongest(size_hw, 128)
    whole_hw = [max(1, model * side // 128) for model in frame.size_hw_model]
    logits = np.full((side, side), -9.0)
    logits[: whole_hw[0], : whole_hw[1]] = 3.0
    extended = extend_to_edges(answer_of(logits, frame), Prompt.of([(0, 0)]), frame)
    np.testing.assert_allclose(extended.best.logits, 3.0)


def test_where_there_is_no_padding_nothing_is_extended() -> None:
    frame, logits = ResizeLongest((300, 300), 128), np.arange(1024.0).reshape(32, 32)
    answer = answer_of(logits, frame)
    extended = extend_to_edges(answer, Prompt.of([(5, 5)]), frame)
    np.testing.assert_array_equal(extended.low_res_logits, answer.low_res_logits)


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
    assert enforce_clicks(answer_of(logits, frame), prompt, frame).best.array[row, column] == bool(label)


def test_far_from_the_click_nothing_changes() -> None:
    frame = ResizeLongest((128, 128), 128)
    logits = np.full((32, 32), -4.0)
    held = enforce_clicks(answer_of(logits, frame), Prompt.of([(40, 40)]), frame)
    moved = np.argwhere(np.abs(held.low_res_logits[0] - logits) > 0.01)
    assert 0 < np.count_nonzero(held.best.array) < 120  # about three cells of 4 x 4 pixels wide
    assert np.abs(moved - 9.5).max() < 5


def test_an_answer_that_agrees_is_left_as_it_is() -> None:
    frame = ResizeLongest((128, 128), 128)
    answer = answer_of(np.full((32, 32), 3.0), frame)
    held = enforce_clicks(answer, Prompt.of([(40, 40)]), frame)
    np.testing.assert_array_equal(held.low_res_logits, answer.low_res_logits)


def two_pieces() -> np.ndarray:
    logits = np.full((32, 32), -4.0)
    logits[4:12, 4:12] = logits[20:30, 20:30] = 4.0
    return logits


def test_one_click_asks_for_the_piece_it_lies_on() -> None:
    frame = ResizeLongest((128, 128), 128)
    answer = keep_clicked_component(answer_of(two_pieces(), frame), Prompt.of([(32, 32)]), frame)
    inside = answer.best.array
    assert inside[20:44, 20:44].all()
    assert not inside[60:].any()


def test_pieces_that_touch_at_a_corner_are_one() -> None:
    frame = ResizeLongest((128, 128), 128)
    logits = two_pieces()
    logits[12:20, 12:20] = 4.0
    answer = keep_clicked_component(answer_of(logits, frame), Prompt.of([(32, 32)]), frame)
    np.testing.assert_array_equal(answer.low_res_logits[0], logits)


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt.of([(32, 32), (100, 100)]),
        Prompt.of([(32, 32)], box=(0, 0, 128, 128)),
        Prompt.of([(32, 32)], [0]),
        Prompt.of([(60, 60)]),
    ],
    ids=["two clicks", "a box", "a click outside", "a click beside all pieces"],
)
def test_other_prompts_keep_all_pieces(prompt: Prompt) -> None:
    frame = ResizeLongest((128, 128), 128)
    answer = keep_clicked_component(answer_of(two_pieces(), frame), prompt, frame)
    np.testing.assert_array_equal(answer.low_res_logits[0], two_pieces())


@pytest.mark.parametrize("refine", [False, True])
def test_the_default_model_never_ignores_a_click(refine: bool) -> None:
    photo = anymask.read_image("examples/coffee.jpg")
    image = anymask.load().encode(photo, refine=refine)
    rng = np.random.default_rng(0)
    answer, points, labels = None, [], []
    for _ in range(12):
        x, y = int(rng.integers(photo.shape[1])), int(rng.integers(photo.shape[0]))
        inside = answer is not None and bool(answer.best.array[y, x])
        points, labels = [*points, (x + 0.5, y + 0.5)], [*labels, int(not inside)]  # always the contrary
        answer = image.segment(points=points, labels=labels, mask=answer)
        assert answer.best.array[y, x] != inside


EVERYWHERE = np.full((32, 32), 5.0)


@given(
    st.tuples(st.integers(20, 300), st.integers(20, 300)),
    st.tuples(*[st.floats(0, 1)] * 4),
)
def test_a_mask_stays_in_its_box_and_is_never_all_cut_away(
    size_hw: tuple[int, int], corners: tuple[float, float, float, float]
) -> None:
    frame = ResizeLongest(size_hw, 128)
    (x0, x1), (y0, y1) = sorted(corners[:2]), sorted(corners[2:])
    height, width = size_hw
    box = np.array([x0 * (width - 1), y0 * (height - 1), x1 * (width - 1) + 1, y1 * (height - 1) + 1])
    kept = clip_to_box(answer_of(EVERYWHERE, frame), Prompt.of(box=box), frame)
    ys, xs = np.nonzero(kept.best.array)
    cell = 4 * max(size_hw) / 128  # pixels: a margin of one, and upscaling reaches over one more
    reach_xy = np.maximum(BOX_MARGIN * (box[2:] - box[:2]), cell) + cell + 1
    assert len(xs)
    assert (np.array([xs.min(), ys.min()]) >= box[:2] - reach_xy).all()
    assert (np.array([xs.max(), ys.max()]) <= box[2:] + reach_xy).all()


@pytest.mark.parametrize(("label", "kept"), [(1, True), (0, False)])
def test_a_click_of_what_is_meant_outside_a_box_widens_it(label: int, kept: bool) -> None:
    frame = ResizeLongest((128, 128), 128)
    prompt = Prompt.of([(120, 120)], [label], box=(10, 10, 60, 60))
    assert clip_to_box(answer_of(EVERYWHERE, frame), prompt, frame).best.array[90, 90] == kept


def test_inside_a_box_and_without_one_nothing_changes() -> None:
    frame = ResizeLongest((128, 128), 128)
    answer = answer_of(np.random.default_rng(0).normal(0, 3, (32, 32)), frame)
    whole = clip_to_box(answer, Prompt.of(box=(0, 0, 128, 128)), frame)
    np.testing.assert_array_equal(whole.low_res_logits, answer.low_res_logits)
    assert clip_to_box(answer, Prompt.of([(40, 40)]), frame) is answer


@pytest.mark.parametrize("refine", [False, True])
def test_masks_of_the_default_model_stay_in_their_boxes(refine: bool) -> None:
    photo = anymask.read_image("examples/coffee.jpg")
    image = anymask.load().encode(photo, refine=refine)
    height, width = photo.shape[:2]
    rng = np.random.default_rng(1)
    for _ in range(8):
        (x0, x1), (y0, y1) = (np.sort(rng.choice(side, 2, replace=False)) for side in (width, height))
        x1, y1 = max(x1, x0 + 20), max(y1, y0 + 20)
        mask = image.segment(box=(x0, y0, x1, y1)).best.array
        reach_x, reach_y = (max(BOX_MARGIN * side, 2) + 3 for side in (x1 - x0, y1 - y0))
        mask[max(0, int(y0 - reach_y)) : int(y1 + reach_y), max(0, int(x0 - reach_x)) : int(x1 + reach_x)] = 0
        assert not mask.any()
