"""Losses of promptable segmentation: normalised focal, dice and the log score of the probabilities.

Legend: P prompts, M masks per prompt (slot 0 single, 1..3 candidates), m mask side.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from anymask.training.device import compiled_on_gpu

MIN_MATCH_IOU = 0.5  # below it no candidate counts as the one meant


@compiled_on_gpu
def normalised_focal(logits_PMmm: Tensor, target_P1mm: Tensor, gamma: float = 2.0) -> Tensor:
    """Normalised focal loss (RITM): weights are rescaled, per mask, to sum to the number of pixels; P x M."""
    log_likelihood = F.logsigmoid(torch.where(target_P1mm, logits_PMmm, -logits_PMmm))
    weight = (1 - log_likelihood.exp()) ** gamma
    scale = weight.numel() / weight.shape[0] / weight.shape[1] / weight.detach().sum((2, 3)).clamp(min=1e-3)
    return -(weight * log_likelihood).mean((2, 3)) * scale.clamp(max=20.0)


def focal(logits_PMmm: Tensor, target_P1mm: Tensor, gamma: float = 2.0, alpha: float = 0.25) -> Tensor:
    """Mean focal loss per mask, P x M (paper, Appendix A)."""
    log_likelihood = F.logsigmoid(torch.where(target_P1mm, logits_PMmm, -logits_PMmm))
    balance = torch.where(target_P1mm, alpha, 1 - alpha)
    return -(balance * (1 - log_likelihood.exp()) ** gamma * log_likelihood).mean((2, 3))


@compiled_on_gpu
def dice(logits_PMmm: Tensor, target_P1mm: Tensor) -> Tensor:
    """1 - soft dice per mask, P x M, smoothed by one pixel."""
    probability, target = logits_PMmm.sigmoid(), target_P1mm.to(logits_PMmm.dtype)
    overlap = (probability * target).sum((2, 3))
    return 1 - (2 * overlap + 1) / (probability.sum((2, 3)) + target.sum((2, 3)) + 1)


def mask_iou(logits_PMmm: Tensor, target_P1mm: Tensor) -> Tensor:
    """IoU of the thresholded masks with the target, P x M, without gradient."""
    with torch.no_grad():
        predicted = logits_PMmm > 0
        overlap = (predicted & target_P1mm).sum((2, 3)).float()
        return overlap / (predicted | target_P1mm).sum((2, 3)).clamp(min=1).float()


def probability_loss(logits_P5: Tensor, iou_P4: Tensor, ambiguous_P: Tensor) -> Tensor:
    """Log score of "which candidate is meant (slots 1..3 if ambiguous, else slot 0), or none", per prompt."""
    allowed = torch.ones_like(logits_P5, dtype=torch.bool)
    allowed[:, 0] = ~ambiguous_P
    allowed[:, 1:4] = ambiguous_P[:, None]
    best_iou, best = iou_P4.masked_fill(~allowed[:, :4], -1).max(1)
    target = torch.where(best_iou >= MIN_MATCH_IOU, best, 4)
    return F.cross_entropy(logits_P5.masked_fill(~allowed, -1e4), target, reduction="none")
