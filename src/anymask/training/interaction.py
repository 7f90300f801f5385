"""The simulated annotator: a first prompt drawn from the true mask, then clicks where the answer is wrong.

Works on masks at the mask stride, on the device they are on; coordinates leave in model pixels. All chance
comes from a NumPy generator, so a session is the same on every device. Knows nothing of networks or losses.

Legend: P prompts, N points, m mask side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from anymask.training.config import FirstPrompt
from anymask.training.device import sent
from anymask.training.distance import depth

PAD, NEGATIVE, POSITIVE, TOP_LEFT, BOTTOM_RIGHT = -1, 0, 1, 2, 3
POINT, BOX, MASK = 0, 1, 2
SURE = 6.0  # logit of a mask that is given


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts of P objects: `points_PN2` model pixels, `labels_PN`, `masks_P1mm` logits, `has_mask_P`."""

    points_PN2: Tensor
    labels_PN: Tensor
    masks_P1mm: Tensor
    has_mask_P: Tensor

    @property
    def ambiguous_P(self) -> Tensor:
        """True where one point is all there is: several masks may be meant."""
        return ((self.labels_PN >= 0).sum(1) == 1) & (self.has_mask_P == 0)

    def with_clicks(self, points_P2: Tensor, labels_P: Tensor) -> Prompts:
        points = torch.cat([self.points_PN2, points_P2[:, None]], 1)
        return replace(self, points_PN2=points, labels_PN=torch.cat([self.labels_PN, labels_P[:, None]], 1))

    def with_masks(self, logits_Pmm: Tensor, kept_P: Tensor) -> Prompts:
        return replace(self, masks_P1mm=logits_Pmm[:, None], has_mask_P=kept_P.to(self.has_mask_P.dtype))


def first_prompts(target_Pmm: Tensor, stride: int, how: FirstPrompt, rng: Generator) -> Prompts:
    """A point, a jittered box or a loose mask for every object (bool, none empty).

    Columns of `labels_PN`: box corners, then one point; absent ones are padding, and a column that is all
    padding is left out.
    """
    kinds = _draw_kinds(len(target_Pmm), how, rng)
    device = target_Pmm.device
    labels = np.full((len(kinds), 3), PAD, np.int64)
    labels[kinds == BOX] = TOP_LEFT, BOTTOM_RIGHT, PAD
    labels[kinds == POINT, 2] = POSITIVE
    corners_P22 = jittered_boxes(target_Pmm, how.box_jitter, rng).reshape(-1, 2, 2)
    cells_P2 = pick_cells(target_Pmm, depth(target_Pmm), how.centre, rng)
    used = (labels != PAD).any(0)
    used[2] |= not used.any()
    labels_PN = sent(np.ascontiguousarray(labels[:, used]), device)
    columns = sent(np.flatnonzero(used), device)
    points = torch.cat([corners_P22, cells_P2[:, None]], 1)[:, columns] * stride
    masks = torch.zeros_like(target_Pmm, dtype=torch.float32)
    if len(rows := np.flatnonzero(kinds == MASK)):
        given = sent(rows, device)
        masks[given] = loose_masks(target_Pmm[given], rng)
    has_mask = sent((kinds == MASK).astype(np.float32), device)
    return Prompts(points * (labels_PN != PAD)[..., None], labels_PN, masks[:, None], has_mask)


def _draw_kinds(count: int, how: FirstPrompt, rng: Generator) -> np.ndarray:
    draws = rng.random(count if how.mixed else 1)
    kinds = np.where(draws < how.point, POINT, np.where(draws < how.point + how.box, BOX, MASK))
    return np.broadcast_to(kinds, count).copy()


def drawn(values: np.ndarray, beside: Tensor) -> Tensor:
    return sent(values.astype(np.float32), beside.device)


def pick_cells(region_Pmm: Tensor, depth_Pmm: Tensor, centre: float, rng: Generator) -> Tensor:
    """Centres (x, y), in cells, of a cell of each region: its innermost one, or any with chance 1 - `centre`.

    In an empty region a corner of the frame.
    """
    count, side = len(region_Pmm), region_Pmm.shape[-1]
    central_P = sent(rng.random(count) < centre, region_Pmm.device)
    so_far = region_Pmm.flatten(1).cumsum(1)
    which = (drawn(rng.random(count), region_Pmm) * so_far[:, -1]).long().clamp(max=so_far[:, -1] - 1) + 1
    anywhere = torch.searchsorted(so_far, which[:, None])[:, 0].clamp(max=side * side - 1)
    cell = torch.where(central_P, depth_Pmm.flatten(1).argmax(1), anywhere)
    return torch.stack([cell % side, cell // side], 1).float() + 0.5


def jittered_boxes(region_Pmm: Tensor, jitter: float, rng: Generator) -> Tensor:
    """Tight boxes x0, y0, x1, y1 in cells, every coordinate off by up to `jitter` of the side, inside the
    frame.
    """
    (x0, x1), (y0, y1) = (_extent(region_Pmm.any(axis)) for axis in (1, 2))
    box_P4 = torch.stack([x0, y0, x1, y1], 1).float()
    reach_P4 = jitter * (box_P4[:, 2:] - box_P4[:, :2]).repeat(1, 2)
    off_P4 = drawn(rng.uniform(-1, 1, (len(box_P4), 4)) * rng.random((len(box_P4), 1)), region_Pmm)
    return (box_P4 + off_P4 * reach_P4).clamp(0, region_Pmm.shape[-1])


def _extent(used_Pm: Tensor) -> tuple[Tensor, Tensor]:
    """First used index, and one past the last."""
    used = used_Pm.int()
    return used.argmax(1), used.shape[1] - used.flip(1).argmax(1)


def loose_masks(region_Pmm: Tensor, rng: Generator) -> Tensor:
    """Logits of masks that are right in the large and wrong at their boundary: shrunk or grown, and shifted,
    by a few cells.
    """
    count, side = len(region_Pmm), region_Pmm.shape[-1]
    reach_P = (0.15 * region_Pmm.sum((1, 2)).sqrt()).floor().clamp(min=1)
    by_P11 = (1 + (drawn(rng.random(count), region_Pmm) * reach_P).floor())[:, None, None]
    grows_P11 = sent(rng.random(count) < 0.5, region_Pmm.device)[:, None, None]
    changed = torch.where(grows_P11, depth(~region_Pmm, False) <= by_P11, depth(region_Pmm) > by_P11)
    shift_2P = (drawn(rng.uniform(-1, 1, (2, count)), region_Pmm) * (reach_P + 0.5)).round().long()
    rows, columns = (
        (torch.arange(side, device=region_Pmm.device) - by_P[:, None]) % side for by_P in shift_2P
    )
    moved = changed[
        torch.arange(count, device=rows.device)[:, None, None], rows[:, :, None], columns[:, None]
    ]
    return torch.where(moved, SURE, -SURE)


def correction_clicks(
    predicted_Pmm: Tensor, target_Pmm: Tensor, stride: int, centre: float, rng: Generator
) -> tuple[Tensor, Tensor]:
    """One click per object in its error region (positive where something is missing); padding when all is
    right.

    With chance `centre` in the kind of error that reaches deeper, as a person would see first, else in any.
    Returns points P x 2 in model pixels and labels P.
    """
    missing, surplus = target_Pmm & ~predicted_Pmm, predicted_Pmm & ~target_Pmm
    lack_Pmm, excess_Pmm = depth(torch.cat([missing, surplus])).chunk(2)
    lacks_P11 = (lack_Pmm.amax((1, 2)) > excess_Pmm.amax((1, 2)))[:, None, None]
    choosy_P11 = sent(rng.random(len(target_Pmm)) < centre, missing.device)[:, None, None]
    region = torch.where(choosy_P11, torch.where(lacks_P11, missing, surplus), missing | surplus)
    cells_P2 = pick_cells(region, (lack_Pmm + excess_Pmm) * region, centre, rng)
    column, row = cells_P2.long().unbind(1)
    inside_P = target_Pmm[torch.arange(len(row), device=row.device), row, column]
    wrong_P = region.any(2).any(1)
    labels_P = torch.where(wrong_P, torch.where(inside_P, POSITIVE, NEGATIVE), PAD)
    return cells_P2 * stride * wrong_P[:, None], labels_P
