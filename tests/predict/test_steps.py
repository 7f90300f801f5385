"""An answer in steps: what is shown first, what is accepted, what the whole answer is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bright import BrightBackend, comb_HW3

import anymask
from anymask.api import EncodedImage, Model
from anymask.core.candidates import Candidates
from anymask.errors import BadPrompt

POINTS = [(x, y) for x in (90, 230, 330, 420) for y in (80, 170, 260)]


@pytest.fixture(scope="module")
def photo(examples: Path) -> EncodedImage:
    return anymask.load(threads=1).encode(sorted(examples.glob("*.jpg"))[0])


def same(one: Candidates, other: Candidates) -> bool:
    return (
        np.array_equal(one.low_res_logits, other.low_res_logits)
        and np.array_equal(one.probability, other.probability)
        and one.frames == other.frames
    )


def test_the_last_step_of_a_click_is_the_answer(photo: EncodedImage) -> None:
    *_, last = photo.segment_steps(points=POINTS[:1])
    assert last.name == "alternatives" and last.is_final
    assert same(last.candidates, photo.segment(points=POINTS[:1]))


def test_the_best_alone_is_the_best_of_the_answer_bit_for_bit(photo: EncodedImage) -> None:
    """And among its candidates where merging made another one more probable."""
    firsts = 0
    for point in POINTS:
        look, best, alternatives = photo.segment_steps(points=[point])
        assert (look.is_final, best.is_final) == (False, True)
        found = [
            np.array_equal(best.candidates.best.low_res_logits, one.low_res_logits)
            for one in alternatives.candidates
        ]
        assert any(found)
        firsts += found[0]
    assert firsts >= len(POINTS) - 1


def test_the_first_step_is_one_pass(photo: EncodedImage) -> None:
    look = next(iter(photo.segment_steps(points=POINTS[:1])))
    once = EncodedImage(photo.model, photo.embedding).segment(points=POINTS[:1])
    assert look.name == "look" and same(look.candidates, once)


def test_a_box_and_a_correction_end_with_the_best(photo: EncodedImage) -> None:
    height, width = photo.size_hw
    box = (width * 0.2, height * 0.2, width * 0.7, height * 0.8)
    assert [step.name for step in photo.segment_steps(box=box)] == ["look", "best"]
    before = photo.segment(box=box)
    point = [(width / 2, height / 2)]
    *_, last = photo.segment_steps(points=point, mask=before)
    assert same(last.candidates, photo.segment(points=point, mask=before))


def test_a_mask_alone_has_one_step(photo: EncodedImage) -> None:
    before = photo.segment(points=POINTS[:1])
    (only,) = photo.segment_steps(mask=before)
    assert only.is_final and same(only.candidates, photo.segment(mask=before))


def test_an_image_that_is_not_refined_answers_at_once() -> None:
    image = Model(BrightBackend()).encode(comb_HW3())
    (only,) = image.segment_steps(points=[(620, 390)])
    assert only.is_final and same(only.candidates, image.segment(points=[(620, 390)]))


def test_steps_that_nobody_asks_for_are_not_worked_out() -> None:
    backend = BrightBackend()
    image = Model(backend, refines=True).encode(comb_HW3())
    encoded: list[object] = []
    encode = backend.encode
    backend.encode = lambda pixels: encoded.append(pixels) or encode(pixels)
    next(iter(image.segment_steps(points=[(620, 390)])))
    assert encoded == []


def test_a_wrong_prompt_is_refused_before_the_first_step(photo: EncodedImage) -> None:
    with pytest.raises(BadPrompt, match="outside the image"):
        photo.segment_steps(points=[(-5, 0)])


def test_a_word_is_heard_in_the_last_step(photo: EncodedImage) -> None:
    look, last = photo.segment_steps(points=POINTS[:1], text="person")
    assert (look.is_final, last.is_final) == (False, True)
    assert same(last.candidates, photo.segment(points=POINTS[:1], text="person"))
    with pytest.raises(BadPrompt, match="unknown word"):
        photo.segment_steps(points=POINTS[:1], text="grmpfx")
