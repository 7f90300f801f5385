"""Words on a real photo: what is told about a stand-in, and a word beside a click."""

from __future__ import annotations

from pathlib import Path

import pytest

from anymask.api import Image, Model
from anymask.core.prompt import Prompt
from anymask.words.phrase import understand

CLICK = [(230, 180)]


@pytest.fixture(scope="module")
def cat(model: Model, examples: Path) -> Image:
    return model.encode(examples / "cat.jpg")


def test_the_answer_says_what_was_searched_instead(cat: Image) -> None:
    answer = cat.find("jungle cat", refine=False)
    same = cat.find("cat", refine=False)
    assert '"jungle cat" was not learned; searched as cat' in answer.understood
    assert answer.present and answer.presence == same.presence
    assert {one.name for one in answer.masks} == {"cat"}
    assert not any("not learned" in told for told in same.understood)


def test_a_word_beside_a_click_orders_the_candidates_and_adds_none(model: Model, examples: Path) -> None:
    cat = model.encode(examples / "cat.jpg")
    plain, worded = cat.segment(points=CLICK), cat.segment(points=CLICK, text="cat")
    assert len(plain) > 1 and "boxes" not in cat._words.search.__dict__
    chance_of = {one.mask: one.probability for one in plain}
    assert {one.mask for one in worded} == set(chance_of)
    assert all(one.probability <= chance_of[one.mask] + 1e-6 for one in worded)
    chances = [one.probability for one in worded]
    assert chances == sorted(chances, reverse=True)


def test_a_wrong_word_beside_a_click_lowers_every_candidate(cat: Image) -> None:
    right, wrong = (cat.segment(points=CLICK, text=word) for word in ("cat", "bus"))
    assert wrong.none_probability > 0.5 > right.none_probability


def test_instances_are_candidates_in_a_box_and_not_at_a_click(cat: Image) -> None:
    words, whole = cat._words, (0, 0, cat.size_hw[1], cat.size_hw[0])
    query = words._query(understand("cat"))
    assert words._instances_in(Prompt.of(box=whole, text="cat"), query)
    assert words._instances_in(Prompt.of(points=CLICK, text="cat"), query) == []
