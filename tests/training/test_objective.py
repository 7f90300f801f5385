"""What a training session feeds back to the network."""

from __future__ import annotations

import numpy as np
import torch

from anymask.model.segmenter import Decoded
from anymask.training.interaction import PAD, POSITIVE, Prompts
from anymask.training.objective import Objective, blurred, looked_again

SIDE = 32


def square(size: int) -> torch.Tensor:
    logits = torch.full((SIDE, SIDE), -5.0)
    logits[:size, :size] = 5
    return logits


def test_a_second_look_gets_the_candidate_that_was_meant_and_no_new_click() -> None:
    sizes = [[4, 8, 16, 30], [4, 8, 16, 30]]
    masks = torch.stack([torch.stack([square(size) for size in row]) for row in sizes])
    target = (torch.stack([square(16), square(16)]) > 0)[:, None]
    labels = torch.tensor([[PAD, PAD, POSITIVE], [2, 3, PAD]])  # a point alone; a box
    prompts = Prompts(torch.zeros(2, 3, 2), labels, torch.zeros(2, 1, SIDE, SIDE), torch.zeros(2))
    answer = Decoded(masks, torch.zeros(2, 4), None)
    again = looked_again(prompts, answer, target, Objective(), np.random.default_rng(0))
    assert torch.equal(again.labels_PN, labels)
    assert again.has_mask_P.tolist() == [1, 1]
    assert torch.equal(again.masks_P1mm[0, 0], square(16))
    assert torch.equal(again.masks_P1mm[1, 0], square(4)), "a box has one answer: slot 0"


def test_blurring_moves_edges_and_keeps_the_inside() -> None:
    logits = square(16)[None]
    coarse = blurred(logits, 4.0, np.random.default_rng(3))
    assert coarse.shape == logits.shape
    assert coarse[0, 4, 4] > 4
    assert coarse[0, 28, 28] < -4
    assert 0.5 < (coarse - logits).abs().max() < 11


def test_no_blur_changes_nothing() -> None:
    logits = square(16)[None]
    assert blurred(logits, 1.0, np.random.default_rng(0)) is logits
