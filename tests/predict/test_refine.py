"""Two-pass refinement: what is too fine for the first pass is there after the second."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bright import HEIGHT, WIDTH, BrightBackend, comb_HW3, iou

import anymask
from anymask.api import EncodedImage, Model
from anymask.backends.base import DecodedArrays
from anymask.backends.disk import DISK_SPEC
from anymask.core.candidates import Candidate, Candidates
from anymask.core.frames import Window, redraw
from anymask.core.prompt import Prompt
from anymask.errors import BadPrompt
from anymask.predict.diversify import NEAR_DUPLICATE_IOU, merge_near_duplicates
from anymask.predict.refine import MAX_WINDOWS, MIN_WINDOW_SIDE

MIDDLE = (620.0, 420.0)


class FaithfulBackend(BrightBackend):
    """Keeps to the mask that it is given."""

    def decode(self, embedding: Any, prompts: Any) -> DecodedArrays:
        answer, given_P1mm = super().decode(embedding, prompts), prompts.masks_P1mm
        return replace(answer, low_res_masks_P4mm=given_P1mm.repeat(4, 1)) if given_P1mm.any() else answer


@pytest.fixture
def comb() -> np.ndarray:
    return comb_HW3()


@pytest.fixture
def backend() -> BrightBackend:
    return BrightBackend()


@pytest.fixture
def image(backend: BrightBackend, comb: np.ndarray) -> EncodedImage:
    return Model(backend, refines=True).encode(comb)


def test_the_second_pass_sees_what_the_first_could_not(image: EncodedImage, comb: np.ndarray) -> None:
    once = one_pass(image).segment(points=[(620, 390)]).best.array
    twice = image.segment(points=[(620, 390)]).best.array
    assert iou(once, comb) < 0.7
    assert iou(twice, comb) > 0.85


def one_pass(image: EncodedImage) -> EncodedImage:
    return EncodedImage(image.model, image.embedding)


def test_every_candidate_is_refined_and_keeps_its_probability(image: EncodedImage) -> None:
    once, twice = one_pass(image).segment(points=[(620, 390)]), image.segment(points=[(620, 390)])
    assert len(twice) == len(once) == 3
    assert twice.probability.tolist() == once.probability.tolist()
    assert twice.none_probability == once.none_probability
    assert all(isinstance(frame, Window) for frame in twice.frames)


def test_near_duplicates_give_way_to_threshold_variants_where_the_card_merges_them() -> None:
    """A patch whose brightness falls off, so that it can be cut smaller and larger."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    far = np.hypot(rows - 420, columns - 620)
    photo = np.repeat((255 * np.clip(1 - far / 500, 0, 1)).astype(np.uint8)[..., None], 3, 2)
    model = Model(FaithfulBackend(), refines=True)
    same = model.encode(photo).segment(points=[MIDDLE])
    differ = replace(model, postprocess=(merge_near_duplicates,)).encode(photo).segment(points=[MIDDLE])
    assert [iou_of(same, a, b) > 0.95 for a, b in ((0, 1), (0, 2))] == [True, True]
    assert len(differ) == 3
    assert max(iou_of(differ, a, b) for a, b in ((0, 1), (0, 2), (1, 2))) < NEAR_DUPLICATE_IOU
    assert float(differ.probability.sum()) + differ.none_probability == pytest.approx(1)


def iou_of(answer: Candidates, a: int, b: int) -> float:
    return answer[a].mask.iou(answer[b].mask)


def test_a_window_contains_the_mask_the_clicks_and_the_box_with_a_margin(image: EncodedImage) -> None:
    prompts = [
        Prompt.of(points=[(620, 390), (300, 700), (50, 50)], labels=[1, 1, 0]),
        Prompt.of(box=(400, 300, 800, 600)),
        Prompt.of(points=[(620, 390)]),
    ]
    clicked, boxed, pointed = (answer.frames[0] for answer in image.segment_batch(prompts))
    for window, shown in ((clicked, (300, 370, 690, 701)), (boxed, (400, 300, 800, 600))):
        assert isinstance(window, Window)
        x0, y0, x1, y1 = window.edges_xyxy
        assert x0 < shown[0] and y0 < shown[1] and x1 > shown[2] and y1 > shown[3]
        assert (x1 - x0) * (y1 - y0) < HEIGHT * WIDTH
    assert isinstance(pointed, Window)
    x0, y0, x1, y1 = pointed.edges_xyxy
    assert x1 - x0 >= MIN_WINDOW_SIDE <= y1 - y0


def test_a_correction_encodes_nothing_while_the_mask_stays_in_its_window(
    image: EncodedImage, backend: BrightBackend
) -> None:
    first = image.segment(points=[(620, 390)])
    looks = backend.looks
    second = image.segment(points=[(620, 390), (622, 460)], labels=[1, 0], mask=first)
    assert backend.looks == looks
    assert second.frames[0] == first.frames[0]


def test_an_answer_refined_by_itself_encodes_nothing(image: EncodedImage, backend: BrightBackend) -> None:
    window = Window((HEIGHT, WIDTH), (520, 340, 720, 520), DISK_SPEC.input_size)
    bright = np.full((DISK_SPEC.low_res_size,) * 2, -4.0, np.float32)
    bright[30:90, 30:90] = 4
    answer = image.segment(mask=Candidate(bright, 0.5, 0.5, window))
    assert answer.frames[0] == window
    looks = backend.looks
    image.segment(mask=answer)
    assert backend.looks == looks


def test_a_click_outside_the_window_opens_a_larger_one(image: EncodedImage, backend: BrightBackend) -> None:
    first = image.segment(points=[(620, 390)])
    looks = backend.looks
    second = image.segment(points=[(620, 390), (100, 100)], mask=first)
    assert backend.looks == looks + 1
    frame = second.frames[0]
    assert isinstance(frame, Window)
    assert frame.edges_xyxy[0] < 100 and frame.edges_xyxy[1] < 100


def test_a_mask_that_its_window_cuts_off_is_refined_in_a_larger_one(backend: BrightBackend) -> None:
    photo = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    photo[400:440, 300:900] = 255
    part = np.zeros((HEIGHT, WIDTH), bool)
    part[400:440, 560:640] = True
    answer = Model(backend, refines=True).encode(photo).segment(mask=part)
    assert iou(answer.best.array, photo) > 0.95
    frame = answer.frames[0]
    assert isinstance(frame, Window)
    x0, y0, x1, y1 = frame.edges_xyxy
    assert x0 < 300 and x1 > 900 and y0 > 300 and y1 < 540  # larger only where the mask was cut
    assert backend.looks == 1 + 3


def test_a_mask_that_goes_on_everywhere_is_not_refined_for_ever(backend: BrightBackend) -> None:
    part = np.zeros((HEIGHT, WIDTH), bool)
    part[440:460, 590:610] = True
    bright = Model(backend, refines=True).encode(np.full((HEIGHT, WIDTH, 3), 255, np.uint8))
    assert bright.segment(mask=part).best.array.all()
    assert backend.looks <= 1 + MAX_WINDOWS


@pytest.mark.parametrize(("clicks", "share"), [(2, 1.0), (3, 1 / 2), (5, 1 / 4)])
def test_the_more_clicks_an_answer_rests_on_the_less_a_first_pass_changes_it(
    image: EncodedImage, backend: BrightBackend, clicks: int, share: float
) -> None:
    window = Window((HEIGHT, WIDTH), (500, 300, 740, 540), DISK_SPEC.input_size)
    side = DISK_SPEC.low_res_size
    earlier = Candidate(np.full((side, side), 4.0, np.float32), 0.5, 0.5, window)
    points = [(600 + 10 * i, 390) for i in range(clicks)]
    frame = image.segment(points=points, mask=earlier).frames[0]
    first = one_pass(image).segment(points=points)
    seen = redraw(first.low_res_logits[0], first.frames[0], frame)
    before = redraw(earlier.low_res_logits, window, frame)
    assert backend.given[1] == pytest.approx(share * seen + (1 - share) * before, abs=1e-4)


def test_a_mask_of_unknown_origin_counts_as_much_as_the_first_pass_at_a_click(
    image: EncodedImage, backend: BrightBackend
) -> None:
    nothing = np.zeros((HEIGHT, WIDTH), bool)
    answer = image.segment(points=[(620, 390)], mask=nothing)
    frame, first = answer.frames[0], one_pass(image).segment(points=[(620, 390), (620, 391)])
    seen = redraw(first.low_res_logits[0], first.frames[0], frame)
    inside = np.arange(len(seen)) < len(seen) * min(frame.inside.size_hw_model) // DISK_SPEC.input_size
    assert backend.given[1][inside][:, inside] == pytest.approx((seen[inside][:, inside] - 6) / 2, abs=1e-4)


def test_a_refined_answer_can_be_asked_about_in_one_pass(image: EncodedImage, comb: np.ndarray) -> None:
    """The disk model answers a mask with itself: what it is fed is seen in what it returns."""
    answer = image.segment(points=[(620, 390)])
    disk = anymask.load("disk").encode(comb)
    back = disk.segment(mask=answer).best.array
    small = np.flatnonzero(back.any(1)), np.flatnonzero(back.any(0))
    assert abs(small[0][0] - 380) < 12 and abs(small[1][0] - 560) < 12
    assert abs(small[0][-1] - 469) < 12 and abs(small[1][-1] - 679) < 12


def test_an_answer_about_another_photo_is_refused(image: EncodedImage) -> None:
    other = anymask.load("disk").encode(np.zeros((40, 50, 3), np.uint8))
    answer = image.segment(points=[(620, 390)])
    with pytest.raises(BadPrompt, match="about this image, 50 x 40, got one about an image of 1200 x 900"):
        other.segment(mask=answer)


def test_a_mask_of_the_image_is_refined_where_it_is(image: EncodedImage, comb: np.ndarray) -> None:
    rough = np.zeros((HEIGHT, WIDTH), bool)
    rough[370:480, 550:690] = True
    answer = image.segment(mask=rough)
    assert iou(answer.best.array, comb) > 0.85


def test_nothing_found_is_not_refined(backend: BrightBackend) -> None:
    dark = Model(backend, refines=True).encode(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    answer = dark.segment(points=[MIDDLE])
    assert backend.looks == 1
    assert not answer.best.array.any()


def test_batches_and_threads_get_the_answers_of_single_prompts(image: EncodedImage) -> None:
    prompts = [Prompt.of(points=[(600 + i, 390)]) for i in range(6)] + [Prompt.of(box=(500, 300, 800, 600))]
    alone = [image.segment_batch([prompt])[0] for prompt in prompts]
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(lambda prompt: image.segment_batch([prompt])[0], prompts))
    for one, batched, other in zip(alone, image.segment_batch(prompts), threaded, strict=True):
        assert_same(one, batched)
        assert_same(one, other)


def assert_same(a: Candidates, b: Candidates) -> None:
    assert np.array_equal(a.low_res_logits, b.low_res_logits)
    assert np.array_equal(a.iou, b.iou)
    assert a.frames == b.frames


def test_bad_prompts_are_named_by_their_number(image: EncodedImage) -> None:
    with pytest.raises(BadPrompt, match="prompt 2 of 2: point 1 is outside the image"):
        image.segment_batch([Prompt.of(points=[(5, 5)]), Prompt.of(points=[(5, 5000)])])


@pytest.mark.parametrize("size_hw", [(1, 1), (3, 400), (40, 30)])
def test_photos_smaller_than_a_window_work(size_hw: tuple[int, int]) -> None:
    image = anymask.load("disk").encode(np.zeros((*size_hw, 3), np.uint8), refine=True)
    answer = image.segment(points=[(size_hw[1] / 2, size_hw[0] / 2)])
    assert answer.best.array.shape == size_hw
    assert image.size_hw == size_hw


def test_the_default_model_refines_and_the_fake_does_not() -> None:
    assert anymask.load().refines
    assert not anymask.load("disk").refines
