"""What a training session feeds back to the network."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from anymask.networks.segmenter import Decoded
from anymask.training.tasks.annotator import PAD, POSITIVE, Prompts
from anymask.training.tasks.clicks import (
    Objective,
    blurred,
    next_prompts,
    prediction_loss,
)

SIDE = 32


def square(size: int) -> torch.Tensor:
    logits = torch.full((SIDE, SIDE), -5.0)
    logits[:size, :size] = 5
    return logits


def test_a_refinement_pass_gets_the_best_candidate_and_no_new_click() -> None:
    sizes = [[4, 8, 16, 30], [4, 8, 16, 30]]
    masks = torch.stack([torch.stack([square(size) for size in row]) for row in sizes])
    target = (torch.stack([square(16), square(16)]) > 0)[:, None]
    labels = torch.tensor([[PAD, PAD, POSITIVE], [2, 3, PAD]])  # a point alone; a box
    prompts = Prompts(torch.zeros(2, 3, 2), labels, torch.zeros(2, 1, SIDE, SIDE), torch.zeros(2))
    decoded = Decoded(masks, torch.zeros(2, 4), None)
    every = torch.tensor([True, True])
    again = next_prompts(prompts, decoded, target[:, 0], every, 2, Objective(), np.random.default_rng(0))
    assert torch.equal(again.labels_PN[:, :3], labels)
    assert again.labels_PN[:, 3].tolist() == [PAD, PAD]
    assert again.has_mask_P.tolist() == [1, 1]
    assert torch.equal(again.masks_P1mm[0, 0], square(16))
    assert torch.equal(again.masks_P1mm[1, 0], square(4)), "a box has one mask: slot 0"


def test_windows_are_refined_while_other_views_are_corrected() -> None:
    masks = torch.stack([torch.stack([square(4)] * 4)] * 2)
    target = torch.stack([square(16), square(16)]) > 0
    prompts = Prompts(
        torch.zeros(2, 1, 2), torch.full((2, 1), POSITIVE), torch.zeros(2, 1, SIDE, SIDE), torch.zeros(2)
    )
    how, window = Objective(drop_mask=1.0), torch.tensor([True, False])
    decoded = Decoded(masks, torch.zeros(2, 4), None)
    asked = next_prompts(prompts, decoded, target, window, 2, how, np.random.default_rng(0))
    assert asked.labels_PN.tolist() == [[POSITIVE, PAD], [POSITIVE, POSITIVE]]
    assert asked.points_PN2[0, 1].tolist() == [0, 0]
    assert asked.has_mask_P.tolist() == [1, 0], "a refinement pass always has its mask"


def test_answers_that_do_not_count_change_nothing() -> None:
    target = (torch.stack([square(16), square(16), square(8)]) > 0)[:, None]
    prompts = Prompts(
        torch.zeros(3, 1, 2), torch.full((3, 1), POSITIVE), torch.zeros(3, 1, SIDE, SIDE), torch.zeros(3)
    )

    def loss(last: int, counts: list[bool]) -> torch.Tensor:
        masks = torch.stack([torch.stack([square(size)] * 4) for size in (14, 12, last)])
        decoded = Decoded(masks, torch.zeros(3, 4), None)
        return prediction_loss(decoded, target, prompts, Objective(), "first", torch.tensor(counts))[0]

    assert loss(30, [True, True, False]) == loss(2, [True, True, False])
    assert loss(30, [True, True, True]) > loss(8, [True, True, True])
    assert loss(30, [False, False, False]) == 0


def test_the_low_pass_moves_edges_and_keeps_the_inside() -> None:
    logits = square(16)[None]
    coarse = blurred(logits, 4.0, np.random.default_rng(3))
    assert coarse.shape == logits.shape
    assert coarse[0, 4, 4] > 4
    assert coarse[0, 28, 28] < -4
    assert 0.5 < (coarse - logits).abs().max() < 11


def test_no_blur_changes_nothing() -> None:
    logits = square(16)[None]
    assert blurred(logits, 1.0, np.random.default_rng(0)) is logits
