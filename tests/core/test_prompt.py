"""Prompts: what fits together and fits the image passes; the rest is one clear line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anymask.core.candidates import Candidates
from anymask.core.frames import ResizeLongest
from anymask.core.mask import Mask
from anymask.core.prompt import ImageMask, LowResLogits, Prompt
from anymask.errors import BadPrompt

SIZE_HW = (30, 40)
NAN, INF = float("nan"), float("inf")


def answer(count: int = 2) -> Candidates:
    logits = np.arange(count * 16, dtype=np.float32).reshape(count, 4, 4)
    scores = np.linspace(0.4, 0.2, count, dtype=np.float32)
    return Candidates(logits, scores, scores, 0.1, (ResizeLongest(SIZE_HW, 16),) * len(scores))


def test_labels_are_all_inside_unless_given() -> None:
    prompt = Prompt.of(points=[(1, 2), (3, 4)])
    assert prompt.labels.tolist() == [1, 1] and prompt.labels.dtype == np.int8
    assert prompt.points_xy.tolist() == [[1, 2], [3, 4]] and prompt.points_xy.dtype == np.float32
    assert Prompt.of(points=[(1, 2), (3, 4)], labels=[1, 0]).labels.tolist() == [1, 0]
    assert Prompt.of(points=[(1, 2)], labels=[True]).labels.tolist() == [1]


def test_one_point_may_stand_without_brackets() -> None:
    assert Prompt.of(points=(5, 6), labels=0).points_xy.tolist() == [[5, 6]]


def test_a_prompt_without_points_has_arrays_of_none() -> None:
    for points in (None, [], np.zeros((0, 2))):
        prompt = Prompt.of(points=points, box=(1, 2, 3, 4))
        assert prompt.points_xy.shape == (0, 2) and prompt.labels.shape == (0,)
        assert prompt.box_xyxy is not None and prompt.box_xyxy.tolist() == [1, 2, 3, 4]


def test_an_integer_mask_is_inside_where_it_is_not_zero() -> None:
    inside = np.zeros(SIZE_HW, bool)
    inside[3:5, 7:9] = True
    for mask in (inside, inside.astype(np.uint8) * 255, inside.astype(int), Mask.from_array(inside)):
        prompt = Prompt.of(mask=mask).check(SIZE_HW, 4)
        assert prompt.mask == ImageMask(inside)


def test_an_earlier_answer_gives_its_best_logits() -> None:
    candidates = answer()
    logits = candidates.low_res_logits[0]
    for mask in (candidates, candidates.best, logits, logits.tolist()):
        given = Prompt.of(mask=mask).check(SIZE_HW, 4).mask
        assert isinstance(given, LowResLogits)
        assert given.logits_hw.dtype == np.float32 and np.array_equal(given.logits_hw, logits)


def test_only_one_point_and_nothing_else_is_ambiguous() -> None:
    point, two, box = [(1, 2)], [(1, 2), (3, 4)], (1, 2, 3, 4)
    assert Prompt.of(points=point).is_ambiguous
    assert not Prompt.of(points=two).is_ambiguous
    assert not Prompt.of(box=box).is_ambiguous
    assert not Prompt.of(points=point, box=box).is_ambiguous
    assert not Prompt.of(points=point, mask=answer()).is_ambiguous
    assert not Prompt.of(points=point, text="cup").is_ambiguous


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "at least one of points, box, mask or text"),
    "no points": ({"points": []}, "at least one of"),
    "three coordinates": ({"points": [(1, 2, 3)]}, r"x, y pairs \(N x 2\), got shape \(1, 3\)"),
    "ragged points": ({"points": [(1, 2), (3,)]}, "points: expected N x 2 numbers"),
    "words as points": ({"points": [("a", "b")]}, "points: expected N x 2 numbers"),
    "point not a number": ({"points": [(NAN, 2)]}, "points: expected finite numbers, got nan"),
    "point without end": ({"points": [(1, -INF)]}, "points: expected finite numbers, got -inf"),
    "too few labels": ({"points": [(1, 2), (3, 4)], "labels": [1]}, r"each of 2 points, got shape \(1,\)"),
    "labels alone": ({"labels": [1]}, "one for each of 0 points"),
    "label two": ({"points": [(1, 2)], "labels": [2]}, "expected 1 .* or 0 .*, got 2"),
    "half a label": ({"points": [(1, 2)], "labels": [0.5]}, "got 0.5"),
    "label minus one": ({"points": [(1, 2)], "labels": [-1]}, "got -1"),
    "word as label": ({"points": [(1, 2)], "labels": ["+"]}, "labels: expected"),
    "three edges": ({"box": (1, 2, 3)}, r"expected x0, y0, x1, y1, got shape \(3,\)"),
    "two boxes": ({"box": [(1, 2, 3, 4)] * 2}, r"got shape \(2, 4\)"),
    "inverted box": ({"box": (30, 2, 3, 4)}, "expected x0 < x1 and y0 < y1, got 30, 2, 3, 4"),
    "empty box": ({"box": (3, 2, 3, 4)}, "expected x0 < x1"),
    "box not a number": ({"box": (NAN, 2, 3, 4)}, "box: expected finite numbers, got nan"),
    "box without end": ({"box": (0, 0, INF, 4)}, "box: expected finite numbers, got inf"),
    "coordinates too large": ({"points": [(1e300, 0)]}, "points: expected finite numbers"),
    "flat mask": ({"mask": np.ones(5)}, r"expected one H x W mask, got shape \(5,\)"),
    "many masks": ({"mask": np.ones((2, 5, 5), bool)}, r"got shape \(2, 5, 5\)"),
    "mask of no pixels": ({"mask": np.ones((0, 5), bool)}, r"got shape \(0, 5\)"),
    "mask not a number": ({"mask": np.full((4, 4), NAN)}, "mask: expected finite"),
    "mask of words": ({"mask": np.full((4, 4), "x")}, "expected a bool array or float logits"),
    "ragged mask": ({"mask": [[1, 2], [3]]}, "mask: expected"),
    "no candidates": ({"mask": answer(0)}, "mask: expected one"),
    "empty text": ({"text": " "}, "text: expected a phrase"),
    "number as text": ({"text": 5}, "text: expected a phrase, got 5"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_meant_is_one_clear_line(case: str) -> None:
    fields, message = BAD[case]
    with pytest.raises(BadPrompt, match=message) as caught:
        Prompt.of(**fields)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2


UNFIT: dict[str, tuple[dict[str, Any], str]] = {
    "point right of it": ({"points": [(5, 5), (41, 7)]}, r"point 2 .* 0\.\.30, got 41, 7"),
    "point above it": ({"points": [(5, -0.1)]}, "point 1 is outside the image"),
    "box beside it": ({"box": (41, 0, 60, 20)}, "expected it to overlap 0, 0, 40, 30, got 41, 0, 60, 20"),
    "box that touches it": ({"box": (-9, 0, 0, 20)}, "box is outside the image"),
    "mask on its side": ({"mask": np.ones((40, 30), bool)}, "mask: expected .* 40 x 30, got 30 x 40"),
    "logits of another model": ({"mask": np.ones((8, 8))}, "float logits of 4 x 4 or .* got floats of 8 x 8"),
    "float image mask": ({"mask": np.ones(SIZE_HW)}, "a bool mask of the image, got floats of 40 x 30"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_does_not_fit_the_image_is_one_clear_line(case: str) -> None:
    fields, message = UNFIT[case]
    with pytest.raises(BadPrompt, match=message):
        Prompt.of(**fields).check(SIZE_HW, low_res_size=4)


def test_the_edge_of_the_image_is_inside() -> None:
    prompt = Prompt.of(points=[(0, 0), (40, 30)], box=(0, 0, 40, 30))
    assert prompt.check(SIZE_HW).box_xyxy is not None


def test_a_box_that_sticks_out_is_clipped() -> None:
    prompt = Prompt.of(points=[(1, 1)], box=(-5, -5, 20, 99), text=" red car ")
    checked = prompt.check(SIZE_HW)
    assert checked.box_xyxy is not None and checked.box_xyxy.tolist() == [0, 0, 20, 30]
    assert checked.points_xy is prompt.points_xy and checked.text == "red car"
    assert prompt.box_xyxy is not None and prompt.box_xyxy.tolist() == [-5, -5, 20, 99]


ANYTHING = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.floats(),
    st.integers(),
    st.lists(st.floats(), max_size=5),
    st.lists(st.lists(st.floats() | st.integers(-3, 3) | st.text(max_size=2), max_size=4), max_size=4),
)


@given(points=ANYTHING, labels=ANYTHING, box=ANYTHING, mask=ANYTHING, text=ANYTHING)
def test_anything_is_a_prompt_or_refused(**fields: Any) -> None:
    try:
        prompt = Prompt.of(**fields).check(SIZE_HW, low_res_size=4)
    except BadPrompt:
        return
    assert np.isfinite(prompt.points_xy).all() and set(prompt.labels.tolist()) <= {0, 1}
