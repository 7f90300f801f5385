"""GrabCut as a model: it separates colours, obeys clicks and boxes, and repeats itself."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_fakes import rectangle, sample

from anymask.errors import BadPrompt
from anymask.evaluation.baselines import BASELINES, GrabCut, GrabCutImage
from anymask.evaluation.clicks import run_clicks

SIZE = (240, 480)
THING = rectangle(SIZE, 150, 60, 300, 180)


@pytest.fixture(scope="module")
def image() -> GrabCutImage:
    """A reddish rectangle on a bluish ground, with noise; larger than the size of the cut."""
    rng = np.random.default_rng(0)
    colours = np.where(THING[..., None], [190, 70, 60], [60, 80, 170])
    return GrabCut().encode((colours + rng.normal(0, 12, (*SIZE, 3))).clip(0, 255).astype(np.uint8))


def test_a_box_finds_the_thing(image: GrabCutImage) -> None:
    answer = image.segment(box=(135, 50, 320, 195))
    assert answer.best.array.shape == SIZE and answer.best.array.dtype == bool
    assert sample(THING).iou(answer.best.array) > 0.95


def test_clicks_lead_to_the_thing(image: GrabCutImage) -> None:
    trace = run_clicks(sample(THING), image, max_clicks=3)
    assert max(trace.ious) > 0.9


def test_nothing_outside_the_box_is_inside(image: GrabCutImage) -> None:
    answer = image.segment(box=(150, 60, 225, 180))
    assert not answer.best.array[:, 230:].any()


def test_a_box_around_nothing_has_an_answer() -> None:
    flat = GrabCut().encode(np.full((*SIZE, 3), 128, np.uint8))
    assert flat.segment(box=(100, 100, 140, 130)).best.array.any()


def test_a_thing_is_found_in_its_window_at_any_size() -> None:
    size = (900, 1600)
    thing = rectangle(size, 1500, 10, 1540, 60)
    rng = np.random.default_rng(1)
    colours = np.where(thing[..., None], [190, 70, 60], [60, 80, 170]) + rng.normal(0, 12, (*size, 3))
    answer = GrabCut().encode(colours.clip(0, 255).astype(np.uint8)).segment(box=(1497, 8, 1543, 63))
    assert sample(thing).iou(answer.best.array) > 0.95


def test_a_click_decides_its_own_pixel(image: GrabCutImage) -> None:
    answer = image.segment(points=[(225, 120), (40, 30), (400, 200)], labels=[1, 1, 0])
    assert answer.best.array[120, 225] and answer.best.array[30, 40] and not answer.best.array[200, 400]


def test_answers_repeat(image: GrabCutImage) -> None:
    first, second = (image.segment(points=[(225, 120)]).best.array for _ in range(2))
    assert np.array_equal(first, second)


def test_a_box_over_the_whole_image_is_the_answer_itself(image: GrabCutImage) -> None:
    assert image.segment(box=(0, 0, 480, 240)).best.array.all()


def test_impossible_prompts_are_refused(image: GrabCutImage) -> None:
    with pytest.raises(BadPrompt, match="points or a box"):
        image.segment()
    with pytest.raises(BadPrompt, match="earlier answer"):
        image.segment(points=[(3, 3)], mask=THING)


def test_the_table_of_baselines_names_grabcut() -> None:
    assert BASELINES["grabcut"]().name == "grabcut"
