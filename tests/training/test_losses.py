"""Losses reward what they should."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from anymask.training.tasks.losses import dice, focal, mask_iou, normalised_focal, probability_loss


def target_and_logits(strength: float):  # type: ignore[no-untyped-def]
    target = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    target[..., 2:6, 2:6] = True
    return target, torch.where(target, strength, -strength)


def test_better_masks_cost_less() -> None:
    target, weak = target_and_logits(0.5)
    _, strong = target_and_logits(4.0)
    for loss in (normalised_focal, focal, dice):
        assert loss(strong, target) < loss(weak, target) < loss(-strong, target)


def test_normalised_focal_of_a_uniform_answer_is_cross_entropy() -> None:
    """With one weight for every pixel the rescaling gives back plain cross entropy: ln 2 at logit 0."""
    target, logits = target_and_logits(0.0)
    assert normalised_focal(logits, target).item() == pytest.approx(0.6931, abs=1e-3)


def test_iou_counts_thresholded_pixels() -> None:
    target, logits = target_and_logits(1.0)
    half = logits.clone()
    half[..., 4:, :] = -1
    assert mask_iou(logits, target).item() == 1.0
    assert mask_iou(half, target).item() == 0.5


def test_the_probability_score_is_proper() -> None:
    """Reporting the true chance is optimal: 70 % slot 2, 30 % none."""
    logits = torch.zeros(1, 5, requires_grad=True)
    ious = torch.tensor([[0.0, 0.1, 0.9, 0.2]] * 7 + [[0.0, 0.1, 0.3, 0.2]] * 3)
    optimiser = torch.optim.SGD([logits], lr=1.0)
    for _ in range(500):
        optimiser.zero_grad()
        probability_loss(logits.expand(10, 5), ious, torch.ones(10, dtype=torch.bool)).mean().backward()
        optimiser.step()
    chances = logits.detach()[0, 1:].softmax(0)
    assert chances[1].item() == pytest.approx(0.7, abs=0.02)
    assert chances[3].item() == pytest.approx(0.3, abs=0.02)


def test_unambiguous_prompts_choose_between_the_single_mask_and_none() -> None:
    logits = torch.tensor([[5.0, 9.0, 9.0, 9.0, -5.0]])
    ious = torch.tensor([[0.9, 0.0, 0.0, 0.0]])
    assert probability_loss(logits, ious, torch.tensor([False])).item() < 0.01
