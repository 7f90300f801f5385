"""The simulated annotator prompts where a person would."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2")

from anymask.training.interaction import (
    FirstPrompt,
    correction_clicks,
    first_prompts,
    jittered_box,
    pick_cell,
)

SIDE, STRIDE = 32, 2


def blob(y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_the_centre_click_is_the_innermost_cell() -> None:
    x, y = pick_cell(blob(4, 15, 8, 19), 1.0, np.random.default_rng(0))
    assert (x, y) == (13.5, 9.5)


def test_first_points_lie_in_the_object_in_model_pixels() -> None:
    targets = np.stack([blob(2, 6, 20, 30)] * 20)
    prompts = first_prompts(targets, STRIDE, FirstPrompt(point=1.0, box=0.0), np.random.default_rng(0))
    assert prompts.labels_PN.tolist() == [[1]] * 20
    x, y = prompts.points_PN2[:, 0].T
    assert (x > 40).all() and (x < 60).all() and (y > 4).all() and (y < 12).all()
    assert prompts.ambiguous_P.all()


def test_mixed_first_prompts_keep_their_columns() -> None:
    targets = np.stack([blob(5, 20, 5, 20)] * 60)
    prompts = first_prompts(targets, STRIDE, FirstPrompt(), np.random.default_rng(1))
    kinds = {tuple(row) for row in prompts.labels_PN.tolist()}
    assert kinds == {(-1, -1, 1), (2, 3, -1), (-1, -1, -1)}
    assert (prompts.has_mask_P == (prompts.labels_PN == -1).all(1)).all()


def test_an_exact_box_is_tight_and_a_jittered_one_stays_in_the_frame() -> None:
    rng = np.random.default_rng(0)
    assert jittered_box(blob(3, 9, 4, 20), 0.0, rng).tolist() == [4, 3, 20, 9]
    for _ in range(50):
        x0, y0, x1, y1 = jittered_box(blob(0, 32, 0, 30), 0.1, rng)
        assert 0 <= x0 < x1 <= SIDE and 0 <= y0 < y1 <= SIDE


def test_corrections_hit_the_error_and_carry_its_label() -> None:
    target = blob(4, 20, 4, 20)
    predictions = np.stack([blob(4, 20, 4, 12), blob(4, 28, 4, 28), target])
    for centre in (0.0, 1.0):
        points, labels = correction_clicks(
            predictions, np.stack([target] * 3), STRIDE, centre, np.random.default_rng(0)
        )
        assert labels.tolist() == [1, 0, -1]
        for p in (0, 1):
            x, y = (points[p] // STRIDE).astype(int)
            assert target[y, x] != predictions[p][y, x]
