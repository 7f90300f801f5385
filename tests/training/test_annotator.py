"""The simulated annotator prompts where a person would."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anymask.training.tasks.annotator import (
    FirstPrompt,
    correction_clicks,
    first_prompts,
    jittered_boxes,
    loose_masks,
    pick_cells,
)
from anymask.training.tasks.distance import distance_transform, distances_opencv, distances_torch

SIDE, STRIDE = 32, 2


def blob(y0: int, y1: int, x0: int, x1: int) -> torch.Tensor:
    mask = torch.zeros((SIDE, SIDE), dtype=torch.bool)
    mask[y0:y1, x0:x1] = True
    return mask


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(arrays(bool, st.tuples(st.integers(1, 4), st.just(19), st.just(19))))
def test_both_distance_transforms_agree(regions: np.ndarray) -> None:
    """What runs on accelerators is held against what runs on processors, where tests run."""
    padded = torch.nn.functional.pad(torch.from_numpy(regions), (1, 1, 1, 1))
    assert torch.allclose(distances_torch(padded), distances_opencv(padded), atol=1e-4)


def test_the_frame_ends_a_region_or_does_not() -> None:
    whole = torch.ones(1, 9, 9, dtype=torch.bool)
    assert distance_transform(whole)[0, 4, 4] == 5
    hole = whole.clone()
    hole[0, 4, 4] = False
    assert distance_transform(hole, frame_ends=False)[0, 0, 4] == 4
    assert distance_transform(hole)[0, 0, 4] == 1


def test_the_centre_click_is_the_innermost_cell() -> None:
    region = blob(4, 15, 8, 19)[None]
    assert pick_cells(region, distance_transform(region), 1.0, rng()).tolist() == [[13.5, 9.5]]


def test_a_click_anywhere_is_equally_likely_in_every_cell_of_the_region() -> None:
    region = blob(5, 8, 3, 7)
    many = region.expand(6000, -1, -1)
    cells = pick_cells(many, many.float(), 0.0, rng()).long()
    counts = torch.zeros(SIDE, SIDE, dtype=torch.long)
    counts.index_put_((cells[:, 1], cells[:, 0]), torch.ones(6000, dtype=torch.long), accumulate=True)
    assert counts[~region].sum() == 0
    assert counts[region].min() > 400 and counts[region].max() < 600  # 500 in each, give or take


def test_first_points_lie_in_the_object_in_model_pixels() -> None:
    targets = torch.stack([blob(2, 6, 20, 30)] * 20)
    prompts = first_prompts(targets, STRIDE, FirstPrompt(point=1.0, box=0.0), rng())
    assert prompts.labels_PN.tolist() == [[1]] * 20
    x, y = prompts.points_PN2[:, 0].T
    assert (x > 40).all() and (x < 60).all() and (y > 4).all() and (y < 12).all()
    assert prompts.ambiguous_P.all()


def test_mixed_first_prompts_keep_their_columns() -> None:
    targets = torch.stack([blob(5, 20, 5, 20)] * 60)
    prompts = first_prompts(targets, STRIDE, FirstPrompt(), rng(1))
    kinds = {tuple(row) for row in prompts.labels_PN.tolist()}
    assert kinds == {(-1, -1, 1), (2, 3, -1), (-1, -1, -1)}
    assert ((prompts.has_mask_P == 1) == (prompts.labels_PN == -1).all(1)).all()
    assert (prompts.points_PN2[prompts.labels_PN == -1] == 0).all()
    given = prompts.masks_P1mm.flatten(1).abs().amax(1) > 0
    assert torch.equal(given, prompts.has_mask_P == 1)


def test_an_exact_box_is_tight_and_a_jittered_one_stays_in_the_frame() -> None:
    assert jittered_boxes(blob(3, 9, 4, 20)[None], 0.0, rng()).tolist() == [[4, 3, 20, 9]]
    boxes = jittered_boxes(blob(0, 32, 0, 30).expand(50, -1, -1), 0.1, rng())
    assert (boxes >= 0).all() and (boxes <= SIDE).all() and (boxes[:, :2] < boxes[:, 2:]).all()
    assert len(boxes.unique(dim=0)) == 50


def test_a_coarse_mask_overlaps_the_object_and_is_off_at_its_boundary() -> None:
    target = blob(6, 26, 8, 24)
    given = loose_masks(target.expand(80, -1, -1), rng()) > 0
    overlaps = (given & target).sum((1, 2)) / (given | target).sum((1, 2))
    assert overlaps.mean() > 0.55 and overlaps.max() < 1.0
    larger = given.sum((1, 2)) > target.sum()
    assert 20 < larger.sum() < 60


def test_corrections_hit_the_error_and_carry_its_label() -> None:
    target = blob(4, 20, 4, 20)
    predictions = torch.stack([blob(4, 20, 4, 12), blob(4, 28, 4, 28), target])
    for centre in (0.0, 1.0):
        points, labels = correction_clicks(predictions, torch.stack([target] * 3), STRIDE, centre, rng())
        assert labels.tolist() == [1, 0, -1]
        for p in (0, 1):
            x, y = (points[p] // STRIDE).long()
            assert target[y, x] != predictions[p][y, x]


def test_a_person_sees_the_deeper_error_first() -> None:
    target, predicted = blob(4, 20, 4, 20), blob(4, 24, 4, 14)  # 6 columns missing, 4 rows too many
    points, labels = correction_clicks(predicted[None], target[None], STRIDE, 1.0, rng())
    assert labels.tolist() == [1]
    x, y = (points[0] // STRIDE).long()
    assert 16 <= x <= 17 and 6 <= y <= 17
