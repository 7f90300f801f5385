"""Interactive segmentation task: encode once, answer a first prompt and simulated corrections, sum losses.

Passes between the first and the last correction run without gradients: they only bring the annotator and
the mask to where a real session would be after so many clicks. Losses are those of the first pass and of the
last.

Legend: B images, K objects each, P = B x K prompts, m mask side.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F

from anymask.networks.segmenter import Decoded, Segmenter
from anymask.training.config import Objective
from anymask.training.data.gpu_dataset import GpuDataset
from anymask.training.data.views import MaskTargets, draw_view, has_mask, mask_targets
from anymask.training.task import Numbers, Task
from anymask.training.tasks.annotator import PAD, Prompts, correction_clicks, first_prompts
from anymask.training.tasks.losses import dice, focal, mask_iou, normalised_focal, probability_loss


def session_loss(
    model: Segmenter, pixels_B3SS: Tensor, truth: MaskTargets, objective: Objective, rng: Generator
) -> tuple[Tensor, Numbers]:
    """Loss of one batch (`truth`: on the device of the pixels) and the numbers worth logging."""
    objects, target_Pmm = truth.masks_BKmm.shape[1], truth.masks_BKmm.flatten(0, 1)
    target_P1mm, closer_P = target_Pmm.unsqueeze(1), truth.closer_B.repeat_interleave(objects)
    stride = pixels_B3SS.shape[-1] // target_Pmm.shape[-1]
    embedding = model.encode_image(pixels_B3SS)
    embedding = {name: repeated(t, objects) for name, t in embedding.items()}
    prompts = first_prompts(target_Pmm, stride, objective.first, rng)
    decoded = decode(model, embedding, prompts)
    counts_P = ~(closer_P & prompts.ambiguous_P)
    loss, numbers = prediction_loss(decoded, target_P1mm, prompts, objective, "first", counts_P)
    corrections = 1 + int(rng.choice(len(objective.corrections), p=objective.corrections))
    refine_P = closer_P | (rng.random() < objective.look_again)
    for number in range(corrections):
        prompts = next_prompts(prompts, decoded, target_Pmm, refine_P & (number == 0), stride, objective, rng)
        last = number == corrections - 1
        with torch.set_grad_enabled(last and torch.is_grad_enabled()):
            decoded = decode(model, embedding, prompts)
    correction_loss, more = prediction_loss(decoded, target_P1mm, prompts, objective, "last")
    return loss + correction_loss, {**numbers, **more, "corrections": float(corrections)}


def repeated(map_BChw: Tensor, objects: int) -> Tensor:
    """Each image's map once for each of its objects, channels still last: sums of maps in different orders
    take nine times as long.
    """
    return map_BChw.repeat_interleave(objects, 0).contiguous(memory_format=torch.channels_last)


def decode(model: Segmenter, embedding: dict[str, Tensor], prompts: Prompts) -> Decoded:
    given = (prompts.points_PN2, prompts.labels_PN, prompts.masks_P1mm, prompts.has_mask_P)
    return model.decode(embedding, *given)


def next_prompts(
    prompts: Prompts,
    decoded: Decoded,
    target_Pmm: Tensor,
    refine_P: Tensor,
    stride: int,
    objective: Objective,
    rng: Generator,
) -> Prompts:
    """The annotator's next click on the mask a user would see, with its logits fed back.

    Where `refine_P`, a refinement pass instead: the same prompt and a mask fed back, of several candidates
    the one with the best IoU, so that what is learned is to redraw that candidate and not to choose another.
    """
    ambiguous_P = prompts.ambiguous_P
    best_P = 1 + mask_iou(decoded.low_res_masks_P4mm.detach(), target_Pmm[:, None])[:, 1:].argmax(1)
    slots_P = torch.where(refine_P & ambiguous_P, best_P, chosen_slots(decoded, ambiguous_P))
    logits = masks_of_slots(decoded, slots_P)
    points_P2, labels_P = correction_clicks(logits > 0, target_Pmm, stride, objective.first.centre, rng)
    points_P2, labels_P = points_P2 * ~refine_P[:, None], labels_P.masked_fill(refine_P, PAD)
    kept_P = refine_P | (rng.random() >= objective.drop_mask)
    return prompts.and_then(points_P2, labels_P, blurred(logits, objective.blur, rng).clip(-32, 32), kept_P)


def masks_of_slots(decoded: Decoded, slots_P: Tensor) -> Tensor:
    """Logits of one mask per prompt, P x m x m, without gradient."""
    rows = torch.arange(len(slots_P), device=slots_P.device)
    return decoded.low_res_masks_P4mm.detach()[rows, slots_P].float()


def blurred(logits_Pmm: Tensor, max_factor: float, rng: Generator) -> Tensor:
    """Random low-pass: downscaled 1..`max_factor` times (log-uniform) and upscaled again, bilinearly."""
    factor = float(np.exp(rng.uniform(0, np.log(max_factor))))
    side = logits_Pmm.shape[-1]
    coarse = max(1, round(side / factor))
    if coarse == side:
        return logits_Pmm
    shape = {"mode": "bilinear", "align_corners": False}
    small = F.interpolate(logits_Pmm[:, None], (coarse, coarse), antialias=True, **shape)  # type: ignore[arg-type]
    return F.interpolate(small, (side, side), **shape)[:, 0]  # type: ignore[arg-type]


def chosen_slots(decoded: Decoded, ambiguous_P: Tensor) -> Tensor:
    """The slot shown to the user: 0, or where the prompt is ambiguous the most probable of 1..3."""
    scores = decoded.iou_P4 if decoded.probability_logits_P5 is None else decoded.probability_logits_P5[:, :4]
    return torch.where(ambiguous_P, 1 + scores[:, 1:].detach().argmax(1), 0)


def prediction_loss(
    decoded: Decoded,
    target_P1mm: Tensor,
    prompts: Prompts,
    objective: Objective,
    name: str,
    counts_P: Tensor | None = None,
) -> tuple[Tensor, Numbers]:
    """Mask loss (of ambiguous prompts the minimum over candidates), IoU regression and log score of the
    probabilities, averaged over the prompts that count (None: all).
    """
    weight_P = weights_of(prompts.has_mask_P, counts_P)
    logits = decoded.low_res_masks_P4mm.float()
    ambiguous = prompts.ambiguous_P
    given = logits, target_P1mm
    focal_P4 = 20 * focal(*given) if objective.paper_focal else normalised_focal(*given)
    per_slot = focal_P4 + objective.dice * dice(logits, target_P1mm)
    candidates = per_slot[:, 1:].min(1).values + objective.all_candidates * per_slot[:, 1:].mean(1)
    several = candidates + objective.single_when_ambiguous * per_slot[:, 0]
    per_prompt = torch.where(ambiguous, several, per_slot[:, 0] + objective.all_candidates * candidates)
    masks = (per_prompt * weight_P).sum()
    iou = mask_iou(logits, target_P1mm)
    error = decoded.iou_P4.float() - iou
    iou_loss_P = (error.square() if objective.paper_focal else error.abs()).mean(1)
    loss = masks + objective.iou * (iou_loss_P * weight_P).sum()
    if decoded.probability_logits_P5 is not None:
        scores = probability_loss(decoded.probability_logits_P5.float(), iou, ambiguous)
        loss = loss + objective.probability * (scores * weight_P).sum()
    seen = (iou.gather(1, chosen_slots(decoded, ambiguous)[:, None])[:, 0] * weight_P).sum()
    return loss, {f"{name}_iou": seen, f"{name}_mask_loss": masks.detach()}


def weights_of(like_P: Tensor, counts_P: Tensor | None) -> Tensor:
    """float32: equal weights of those that count, summing to 1 (or to 0, if none does)."""
    counts_P = torch.ones_like(like_P) if counts_P is None else counts_P.float()
    return counts_P / counts_P.sum().clamp(min=1)


CLICKS = Task("masks", has_mask, draw_view, mask_targets, session_loss, GpuDataset)
"""Promptable segmentation."""
