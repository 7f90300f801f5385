"""Everything in a box: sure answers inside the box, each thing once."""

from __future__ import annotations

import numpy as np
import pytest

from anymask.cli.grid import grid_points, segment_grid_in_box, share_in_box, stability, valid_part
from anymask.core.candidates import Candidates
from anymask.core.frames import ResizeLongest
from anymask.core.prompt import Prompt

SIDE, SIZE_HW = 64, (60, 120)
THINGS = (slice(10, 50), slice(70, 110))  # columns of two blocks, rows 10..50


class TwoThings:
    """An encoded image with two blocks: a point on one is answered with it, any other point with noise."""

    transform = ResizeLongest(SIZE_HW, 128)

    def segment_batch(self, prompts: list[Prompt]) -> list[Candidates]:
        return [self.answer(*p.points_xy[0].tolist()) for p in prompts]

    def answer(self, x: float, y: float) -> Candidates:
        hit = [c for c in THINGS if c.start <= x < c.stop and 10 <= y < 50]
        logits = np.full((SIDE, SIDE), -9.0, np.float32)
        scale = SIDE / 120
        for columns in hit:
            logits[
                round(10 * scale) : round(50 * scale),
                round(columns.start * scale) : round(columns.stop * scale),
            ] = 9
        if not hit:
            logits[:] = np.random.default_rng(3).normal(0, 0.5, logits.shape)
        iou = np.array([0.9 if hit else 0.2], np.float32)
        return Candidates(logits[None], iou, np.array([0.8], np.float32), 0.2, (ResizeLongest(SIZE_HW, 128),))


def test_every_thing_is_found_once() -> None:
    found = segment_grid_in_box(TwoThings(), (0, 0, 120, 60), n=6)  # type: ignore[arg-type]
    assert [f.candidate.iou for f in found] == [pytest.approx(0.9)] * 2
    starts = sorted(f.candidate.mask.box_xyxy[0] for f in found)
    assert starts == [pytest.approx(10, abs=2), pytest.approx(70, abs=2)]


def test_what_reaches_out_of_the_box_is_left_out() -> None:
    found = segment_grid_in_box(TwoThings(), (0, 0, 90, 60), n=6)  # type: ignore[arg-type]
    assert [round(f.candidate.mask.box_xyxy[0], -1) for f in found] == [10]


def test_points_are_the_centres_of_equal_cells() -> None:
    assert grid_points((10, 20, 30, 60), 2) == [(15, 30), (25, 30), (15, 50), (25, 50)]


def test_stability_compares_two_thresholds() -> None:
    logits = np.array([[5, 2, 0.5, -0.5, -2]])
    assert stability(logits) == pytest.approx(2 / 4)
    assert stability(np.full((3, 3), -5.0)) == 0


def test_padding_of_the_model_frame_does_not_count() -> None:
    answer = TwoThings().answer(20, 20)
    inside = valid_part(answer.low_res_logits[0], ResizeLongest(SIZE_HW, 128)) > 0
    assert inside.shape == (32, 64)
    assert share_in_box(inside, SIZE_HW, (0, 0, 120, 60)) == 1
    assert share_in_box(inside, SIZE_HW, (0, 0, 30, 60)) == pytest.approx(0.5, abs=0.05)
