"""Words on a real photo: what is told about a stand-in, and a word beside a click."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anymask.api import EncodedImage, Model
from anymask.core.prompt import Prompt
from anymask.words.photo_words import window_around
from anymask.words.phrase import understand

CLICK = [(230, 180)]


@pytest.fixture(scope="module")
def cat(model: Model, examples: Path) -> EncodedImage:
    return model.encode(examples / "cat.jpg")


def test_one_cat_is_one_mask_of_the_whole_animal(cat: EncodedImage) -> None:
    answer = cat.find("cat")
    assert answer.present and len(answer.masks) == 1
    x0, y0, x1, y1 = answer.masks[0].mask.box_xyxy
    assert x1 - x0 > 0.8 * cat.size_hw[1] and y1 - y0 > 0.9 * cat.size_hw[0], "not an ear"


def test_the_answer_says_what_was_searched_instead(model: Model, examples: Path) -> None:
    coffee = model.encode(examples / "coffee.jpg")
    answer, same = (coffee.find(word, refine=False) for word in ("teacup", "cup"))
    assert '"teacup" was not learned; searched as cup' in answer.understood
    assert answer.present and answer.presence == same.presence
    assert {one.name for one in answer.masks} == {"cup"}
    assert not any("not learned" in told for told in same.understood)


def test_a_word_beside_a_click_orders_the_candidates_and_adds_none(model: Model, examples: Path) -> None:
    raccoon, click = model.encode(examples / "raccoon.jpg"), [(590, 460)]
    plain, worded = raccoon.segment(points=click), raccoon.segment(points=click, text="animal")
    assert len(plain) == 3 and "boxes" not in raccoon._words.search.__dict__
    chance_of = {one.mask: one.probability for one in plain}
    assert {one.mask for one in worded} == set(chance_of)
    assert all(one.probability <= chance_of[one.mask] + 1e-6 for one in worded)
    chances = [one.probability for one in worded]
    assert chances == sorted(chances, reverse=True)


def test_a_wrong_word_beside_a_click_lowers_every_candidate(cat: EncodedImage) -> None:
    right, wrong = (cat.segment(points=CLICK, text=word) for word in ("cat", "bus"))
    assert wrong.none_probability > 0.5 > right.none_probability


def test_instances_are_candidates_in_a_box_and_not_at_a_click(cat: EncodedImage) -> None:
    words, whole = cat._words, (0, 0, cat.size_hw[1], cat.size_hw[0])
    query = words._query(understand("cat"))
    assert words._instances_in(Prompt.of(box=whole, text="cat"), query)
    assert words._instances_in(Prompt.of(points=CLICK, text="cat"), query) == []


def test_the_closer_look_is_around_the_largest_candidate_and_in_the_image() -> None:
    boxes = np.array([[110, 100, 120, 110], [100, 100, 300, 200]], np.float64)
    assert window_around(boxes, (1000, 2000)) == (40, 0, 360, 310)
    tiny, nothing = np.array([[500, 500, 504, 502.0]]), np.zeros((1, 4))
    assert window_around(tiny, (1000, 2000)) == (454, 453, 550, 549)
    assert window_around(nothing, (20, 30)) == (0, 0, 30, 20)
