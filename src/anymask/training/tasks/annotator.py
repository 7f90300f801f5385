"""The simulated annotator: a first prompt drawn from the ground truth, then clicks in the error region.

Works on masks at the mask stride, on their device; points are in model pixels. All random numbers come from a
NumPy generator, so a session is the same on every device. Legend: P prompts, N points, m mask side.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from anymask.training.config import FirstPrompt
from anymask.training.device import to_device
from anymask.training.tasks.distance import distance_transform

PAD, NEGATIVE, POSITIVE, TOP_LEFT, BOTTOM_RIGHT = -1, 0, 1, 2, 3
POINT, BOX, MASK = 0, 1, 2
MASK_PROMPT_LOGIT = 6.0


class Prompts(NamedTuple):
    """Prompts of P objects: `points_PN2` model pixels, `labels_PN`, `masks_P1mm` logits, `has_mask_P`."""

    points_PN2: Tensor
    labels_PN: Tensor
    masks_P1mm: Tensor
    has_mask_P: Tensor

    @property
    def ambiguous_P(self) -> Tensor:
        """Prompts of a single point, for which several masks may be meant."""
        return ((self.labels_PN >= 0).sum(1) == 1) & (self.has_mask_P == 0)

    def and_then(self, points_P2: Tensor, labels_P: Tensor, logits_Pmm: Tensor, kept_P: Tensor) -> Prompts:
        """With one more point each and the masks `logits_Pmm`, where they are kept."""
        points = torch.cat([self.points_PN2, points_P2[:, None]], 1)
        labels = torch.cat([self.labels_PN, labels_P[:, None]], 1)
        return Prompts(points, labels, logits_Pmm[:, None], kept_P.to(self.has_mask_P.dtype))


def first_prompts(target_Pmm: Tensor, stride: int, how: FirstPrompt, rng: Generator) -> Prompts:
    """A point, a jittered box or a loose mask for every object (bool, none empty), without empty columns."""
    count, device = len(target_Pmm), target_Pmm.device
    draws = rng.random(count if how.mixed else 1)
    kinds = np.where(draws < how.point, POINT, np.where(draws < how.point + how.box, BOX, MASK))
    kinds = np.broadcast_to(kinds, count)
    labels = np.full((len(kinds), 3), PAD, np.int64)
    labels[kinds == BOX] = TOP_LEFT, BOTTOM_RIGHT, PAD
    labels[kinds == POINT, 2] = POSITIVE
    corners_P22 = jittered_boxes(target_Pmm, how.box_jitter, rng).reshape(-1, 2, 2)
    cells_P2 = pick_cells(target_Pmm, distance_transform(target_Pmm), how.centre, rng)
    used = (labels != PAD).any(0)
    used[2] |= not used.any()
    labels_PN = to_device(np.ascontiguousarray(labels[:, used]), device)
    columns = to_device(np.flatnonzero(used), device)
    points = torch.cat([corners_P22, cells_P2[:, None]], 1)[:, columns] * stride
    masks = torch.zeros_like(target_Pmm, dtype=torch.float32)
    if len(rows := np.flatnonzero(kinds == MASK)):
        given = to_device(rows, device)
        masks[given] = loose_masks(target_Pmm[given], rng)
    has_mask = to_device((kinds == MASK).astype(np.float32), device)
    return Prompts(points * (labels_PN != PAD)[..., None], labels_PN, masks[:, None], has_mask)


def like(values: np.ndarray, tensor: Tensor) -> Tensor:
    """float32, on the device of `tensor`."""
    return to_device(values.astype(np.float32), tensor.device)


def pick_cells(region_Pmm: Tensor, distance_Pmm: Tensor, centre: float, rng: Generator) -> Tensor:
    """Centre (x, y), in cells, of a cell of each region: the deepest with probability `centre`, else any."""
    count, side = len(region_Pmm), region_Pmm.shape[-1]
    centred_P = to_device(rng.random(count) < centre, region_Pmm.device)
    count_so_far = region_Pmm.flatten(1).cumsum(1)
    total_P = count_so_far[:, -1]
    which = (like(rng.random(count), region_Pmm) * total_P).long().clamp(max=total_P - 1) + 1
    anywhere = torch.searchsorted(count_so_far, which[:, None])[:, 0].clamp(max=side * side - 1)
    cell = torch.where(centred_P, distance_Pmm.flatten(1).argmax(1), anywhere)
    return torch.stack([cell % side, cell // side], 1).float() + 0.5


def jittered_boxes(region_Pmm: Tensor, jitter: float, rng: Generator) -> Tensor:
    """Tight boxes x0, y0, x1, y1 in cells, jittered by up to `jitter` of the side, in the frame."""
    (x0, x1), (y0, y1) = (_extent(region_Pmm.any(axis)) for axis in (1, 2))
    box_P4 = torch.stack([x0, y0, x1, y1], 1).float()
    range_P4 = jitter * (box_P4[:, 2:] - box_P4[:, :2]).repeat(1, 2)
    offset_P4 = like(rng.uniform(-1, 1, (len(box_P4), 4)) * rng.random((len(box_P4), 1)), region_Pmm)
    return (box_P4 + offset_P4 * range_P4).clamp(0, region_Pmm.shape[-1])


def _extent(used_Pm: Tensor) -> tuple[Tensor, Tensor]:
    """First used index, and one past the last."""
    used = used_Pm.int()
    return used.argmax(1), used.shape[1] - used.flip(1).argmax(1)


def loose_masks(region_Pmm: Tensor, rng: Generator) -> Tensor:
    """Logits of coarse mask prompts: eroded or dilated, and shifted, by a few cells."""
    count, side = len(region_Pmm), region_Pmm.shape[-1]
    max_P = (0.15 * region_Pmm.sum((1, 2)).sqrt()).floor().clamp(min=1)
    by_P11 = (1 + (like(rng.random(count), region_Pmm) * max_P).floor())[:, None, None]
    grows_P11 = to_device(rng.random(count) < 0.5, region_Pmm.device)[:, None, None]
    dilated = distance_transform(~region_Pmm, False) <= by_P11
    changed = torch.where(grows_P11, dilated, distance_transform(region_Pmm) > by_P11)
    shift_2P = (like(rng.uniform(-1, 1, (2, count)), region_Pmm) * (max_P + 0.5)).round().long()
    cells_m = torch.arange(side, device=region_Pmm.device)
    rows, columns = ((cells_m - by_P[:, None]) % side for by_P in shift_2P)
    masks = torch.arange(count, device=rows.device)[:, None, None]
    moved = changed[masks, rows[:, :, None], columns[:, None]]
    return torch.where(moved, MASK_PROMPT_LOGIT, -MASK_PROMPT_LOGIT)


def correction_clicks(
    predicted_Pmm: Tensor, target_Pmm: Tensor, stride: int, centre: float, rng: Generator
) -> tuple[Tensor, Tensor]:
    """One corrective click per object in its error region; padding when there is no error. With probability
    `centre` in the kind of error with the larger distance transform, else in any. Returns points P x 2 in
    model pixels and labels P.
    """
    missed, extra = target_Pmm & ~predicted_Pmm, predicted_Pmm & ~target_Pmm  # false negatives and positives
    missed_distance_Pmm, extra_distance_Pmm = distance_transform(torch.cat([missed, extra])).chunk(2)
    is_missed_P11 = (missed_distance_Pmm.amax((1, 2)) > extra_distance_Pmm.amax((1, 2)))[:, None, None]
    deepest_P11 = to_device(rng.random(len(target_Pmm)) < centre, missed.device)[:, None, None]
    region = torch.where(deepest_P11, torch.where(is_missed_P11, missed, extra), missed | extra)
    cells_P2 = pick_cells(region, (missed_distance_Pmm + extra_distance_Pmm) * region, centre, rng)
    column, row = cells_P2.long().unbind(1)
    inside_P = target_Pmm[torch.arange(len(row), device=row.device), row, column]
    wrong_P = region.any(2).any(1)
    labels_P = torch.where(wrong_P, torch.where(inside_P, POSITIVE, NEGATIVE), PAD)
    return cells_P2 * stride * wrong_P[:, None], labels_P
