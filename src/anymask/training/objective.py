"""One training step's forward passes: encode once, answer the first prompt, correct it a few times, sum the
losses.

Passes between the first and the last correction run without gradients: they only bring the annotator and
the mask to where a real session would be after so many clicks. Losses fall on the first answer and on the
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
from anymask.training.dataset import Shown, draw_view, has_mask, shown
from anymask.training.interaction import PAD, Prompts, correction_clicks, first_prompts
from anymask.training.losses import dice, focal, mask_iou, normalised_focal, probability_loss
from anymask.training.resident import ResidentViews
from anymask.training.task import Numbers, Task


def session_loss(
    model: Segmenter,
    teacher: Segmenter,
    pixels_B3SS: Tensor,
    truth: Shown,
    objective: Objective,
    rng: Generator,
) -> tuple[Tensor, Numbers]:
    """Loss of one batch (`truth`: on the device of the pixels) and the numbers worth logging."""
    objects, target_Pmm = truth.masks_BKmm.shape[1], truth.masks_BKmm.flatten(0, 1)
    target_P1mm, closer_P = target_Pmm.unsqueeze(1), truth.closer_B.repeat_interleave(objects)
    stride = pixels_B3SS.shape[-1] // target_Pmm.shape[-1]
    embedding = model.encode_image(pixels_B3SS)
    embedding = {name: repeated(t, objects) for name, t in embedding.items()}
    prompts = first_prompts(target_Pmm, stride, objective.first, rng)
    answer = decode(model, embedding, prompts)
    counts_P = ~(closer_P & prompts.ambiguous_P)
    loss, numbers = answer_loss(answer, target_P1mm, prompts, objective, "first", counts_P)
    loss = loss + teacher_loss(answer, teacher, embedding, prompts, objective)
    corrections = 1 + int(rng.choice(len(objective.corrections), p=objective.corrections))
    again_P = closer_P | (rng.random() < objective.look_again)
    for number in range(corrections):
        prompts = asked_next(prompts, answer, target_Pmm, again_P & (number == 0), stride, objective, rng)
        last = number == corrections - 1
        with torch.set_grad_enabled(last and torch.is_grad_enabled()):
            answer = decode(model, embedding, prompts)
    correction_loss, more = answer_loss(answer, target_P1mm, prompts, objective, "last")
    loss = loss + correction_loss + teacher_loss(answer, teacher, embedding, prompts, objective)
    return loss, {**numbers, **more, "corrections": float(corrections)}


def repeated(map_BChw: Tensor, objects: int) -> Tensor:
    """Each image's map once for each of its objects, channels still last: sums of maps in different orders
    take nine times as long.
    """
    return map_BChw.repeat_interleave(objects, 0).contiguous(memory_format=torch.channels_last)


def decode(model: Segmenter, embedding: dict[str, Tensor], prompts: Prompts) -> Decoded:
    given = (prompts.points_PN2, prompts.labels_PN, prompts.masks_P1mm, prompts.has_mask_P)
    return model.decode(embedding, *given)


def teacher_loss(
    answer: Decoded, teacher: Segmenter, embedding: dict[str, Tensor], prompts: Prompts, objective: Objective
) -> Tensor:
    """How far all masks of an answer are from the teacher's (Tarvainen and Valpola 2017, "Mean teachers")."""
    given = answer.low_res_masks_P4mm
    if not objective.teacher:
        return given.new_zeros(())
    with torch.no_grad():
        wanted = decode(teacher, embedding, prompts).low_res_masks_P4mm.float().sigmoid()
    return objective.teacher * F.binary_cross_entropy_with_logits(given.float(), wanted)


def asked_next(
    prompts: Prompts,
    answer: Decoded,
    target_Pmm: Tensor,
    again_P: Tensor,
    stride: int,
    objective: Objective,
    rng: Generator,
) -> Prompts:
    """The annotator's next click on the answer a user would see, with that answer's logits fed back.

    Where `again_P`, the same question instead, with an answer fed back: of several candidates the one that
    fits the target best, so that what is learned is to draw that candidate better and not to choose another.
    """
    ambiguous_P = prompts.ambiguous_P
    best_P = 1 + mask_iou(answer.low_res_masks_P4mm.detach(), target_Pmm[:, None])[:, 1:].argmax(1)
    logits = of_slots(answer, torch.where(again_P & ambiguous_P, best_P, chosen_slots(answer, ambiguous_P)))
    points_P2, labels_P = correction_clicks(logits > 0, target_Pmm, stride, objective.first.centre, rng)
    clicked = prompts.with_clicks(points_P2 * ~again_P[:, None], labels_P.masked_fill(again_P, PAD))
    kept_P = again_P | (rng.random() >= objective.drop_mask)
    return clicked.with_masks(blurred(logits, objective.blur, rng).clip(-32, 32), kept_P)


def of_slots(answer: Decoded, slots_P: Tensor) -> Tensor:
    """Logits of one mask per prompt, P x m x m, without gradient."""
    rows = torch.arange(len(slots_P), device=slots_P.device)
    return answer.low_res_masks_P4mm.detach()[rows, slots_P].float()


def blurred(logits_Pmm: Tensor, most: float, rng: Generator) -> Tensor:
    """Drawn 1..`most` times coarser (log-uniform) and enlarged again, bilinearly."""
    factor = float(np.exp(rng.uniform(0, np.log(most))))
    side = logits_Pmm.shape[-1]
    coarse = max(1, round(side / factor))
    if coarse == side:
        return logits_Pmm
    shape = {"mode": "bilinear", "align_corners": False}
    small = F.interpolate(logits_Pmm[:, None], (coarse, coarse), antialias=True, **shape)  # type: ignore[arg-type]
    return F.interpolate(small, (side, side), **shape)[:, 0]  # type: ignore[arg-type]


def chosen_slots(answer: Decoded, ambiguous_P: Tensor) -> Tensor:
    """Slot 0, or where the prompt is ambiguous the likeliest of slots 1..3."""
    scores = answer.iou_P4 if answer.probability_logits_P5 is None else answer.probability_logits_P5[:, :4]
    return torch.where(ambiguous_P, 1 + scores[:, 1:].detach().argmax(1), 0)


def answer_loss(
    answer: Decoded,
    target_P1mm: Tensor,
    prompts: Prompts,
    objective: Objective,
    name: str,
    counts_P: Tensor | None = None,
) -> tuple[Tensor, Numbers]:
    """Mask loss by slot policy, IoU regression on all slots and the score of the probabilities, of the
    answers that count (None: all).
    """
    share_P = weights_of(prompts.has_mask_P, counts_P)
    logits = answer.low_res_masks_P4mm.float()
    ambiguous = prompts.ambiguous_P
    focal_P4 = (
        20 * focal(logits, target_P1mm) if objective.paper_focal else normalised_focal(logits, target_P1mm)
    )
    per_slot = focal_P4 + objective.dice * dice(logits, target_P1mm)
    candidates = per_slot[:, 1:].min(1).values + objective.all_candidates * per_slot[:, 1:].mean(1)
    several = candidates + objective.single_when_ambiguous * per_slot[:, 0]
    per_prompt = torch.where(ambiguous, several, per_slot[:, 0] + objective.all_candidates * candidates)
    masks = (per_prompt * share_P).sum()
    iou = mask_iou(logits, target_P1mm)
    off = answer.iou_P4.float() - iou
    misjudged_P = (off.square() if objective.paper_focal else off.abs()).mean(1)
    loss = masks + objective.iou * (misjudged_P * share_P).sum()
    if answer.probability_logits_P5 is not None:
        scores = probability_loss(answer.probability_logits_P5.float(), iou, ambiguous)
        loss = loss + objective.probability * (scores * share_P).sum()
    seen = (iou.gather(1, chosen_slots(answer, ambiguous)[:, None])[:, 0] * share_P).sum()
    return loss, {f"{name}_iou": seen, f"{name}_mask_loss": masks.detach()}


def weights_of(like_P: Tensor, counts_P: Tensor | None) -> Tensor:
    """float32, those that count alike, summing to 1 (or to nothing, if none does)."""
    counts_P = torch.ones_like(like_P) if counts_P is None else counts_P.float()
    return counts_P / counts_P.sum().clamp(min=1)


CLICKS = Task("masks", has_mask, draw_view, shown, session_loss, ResidentViews)
"""Promptable segmentation: what the model is."""
