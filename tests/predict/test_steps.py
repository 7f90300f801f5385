"""An answer in steps: what is shown first, what is accepted, what the whole answer is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bright import BrightBackend, comb_HW3

import anymask
from anymask.api import EncodedImage, Model
from anymask.core.candidates import Candidates
from anymask.core.mask import Mask
from anymask.errors import BadOption, BadPrompt

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


COIN_XY, COIN_RADIUS = (2_900.0, 1_100.0), 22


@pytest.fixture(scope="module")
def large() -> tuple[EncodedImage, Mask]:
    """A coin of 44 pixels on a card in a photo of 4,000: of all of it, the network sees 5 pixels."""
    rows, columns = np.ogrid[:3_000, :4_000]
    pixels = np.full((3_000, 4_000, 3), (60, 90, 60), np.uint8)
    pixels[900:1_300, 2_600:3_200] = (110, 70, 60)
    coin = (columns - COIN_XY[0]) ** 2 + (rows - COIN_XY[1]) ** 2 <= COIN_RADIUS**2
    pixels[coin] = (240, 220, 120)
    return anymask.load(threads=1).encode(pixels), Mask.from_array(coin)


def test_a_small_thing_is_found_in_the_part_that_somebody_looks_at(large: tuple[EncodedImage, Mask]) -> None:
    image, coin = large
    view = (2_600, 900, 3_200, 1_300)
    look, best, *_ = image.segment_steps(points=[COIN_XY], view=view)
    assert look.candidates.best.mask.iou(coin) > 0.8
    assert best.candidates.best.mask.iou(coin) > 0.9
    assert best.candidates.best.mask.size_hw == image.size_hw
    whole = next(iter(image.segment_steps(points=[COIN_XY])))
    assert whole.candidates.best.mask.iou(coin) < look.candidates.best.mask.iou(coin)


def test_a_correction_in_another_view_keeps_what_was_found(large: tuple[EncodedImage, Mask]) -> None:
    image, coin = large
    *_, first = image.segment_steps(points=[COIN_XY], view=(2_600, 900, 3_200, 1_300))
    more = [COIN_XY, (2_895.0, 1_104.0)]
    *_, last = image.segment_steps(points=more, mask=first.candidates, view=(2_700, 1_000, 3_100, 1_200))
    assert last.candidates.best.mask.iou(coin) > 0.9


def test_a_view_without_the_click_does_not_count(photo: EncodedImage) -> None:
    elsewhere = next(iter(photo.segment_steps(points=[(90, 80)], view=(200, 150, 400, 280))))
    assert same(elsewhere.candidates, next(iter(photo.segment_steps(points=[(90, 80)]))).candidates)
    height, width = photo.size_hw
    everything = next(iter(photo.segment_steps(points=[(90, 80)], view=(0, 0, width, height))))
    whole = next(iter(photo.segment_steps(points=[(90, 80)])))
    assert [one.mask for one in everything.candidates] == [one.mask for one in whole.candidates]


@pytest.mark.parametrize("view", [(9, 9, 3, 3), (1, 2, 3), (-9, -9, -3, -3), (float("nan"), 0, 5, 5)])
def test_a_view_of_nothing_is_refused(photo: EncodedImage, view: tuple[float, ...]) -> None:
    with pytest.raises(BadOption, match="x0, y0, x1, y1|x0 < x1"):
        photo.segment_steps(points=[(90, 80)], view=view)


def test_a_word_is_heard_in_the_last_step(photo: EncodedImage) -> None:
    look, last = photo.segment_steps(points=POINTS[:1], text="person")
    assert (look.is_final, last.is_final) == (False, True)
    assert same(last.candidates, photo.segment(points=POINTS[:1], text="person"))
    with pytest.raises(BadPrompt, match="unknown word"):
        photo.segment_steps(points=POINTS[:1], text="grmpfx")
