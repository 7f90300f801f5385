"""Learning where things are: views with the boxes of whole things, and the loss of the box head.

Which cell answers for which thing is decided by the answers themselves: those inside the thing whose score
and box fit best (Feng et al. 2021, "TOOD"). A cell's score learns the IoU of its box.

Legend: B views, K things, A cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F

from anymask.model.box_head import BoxNetwork, all_centres
from anymask.store.records import Annotation, Record
from anymask.training.augment import Colour, ViewConfig, ViewFrame, random_frame
from anymask.training.task import Task

VISIBLE, SMALLEST = 0.3, 100.0  # share of a box, and pixels, that must be in the view
CELLS = 9  # that answer for one thing
SCORE_POWER, IOU_POWER, FOCUS = 0.5, 4.0, 1.5
UNSURE = 0.3  # weight of what seems empty where not every thing is annotated
WHOLE = {"ccp": "person"}  # sources of parts: the category that is a whole thing
ONE_KIND = {"duts-tr", "ccp", "coco-person", "human-seg", "coco-boxes"}  # other things are not annotated
GROUPS_COUNT = {"human-seg"}  # here the group is the thing


@dataclass(frozen=True, slots=True, eq=False)
class BoxView:
    """`pixels_SS3`: uint8. `things_K4`, `ignored_K4`: x0, y0, x1, y1 in pixels of the view; nothing is said
    about cells inside ignored boxes. `empty_weight`: of cells without a thing.
    """

    pixels_SS3: np.ndarray
    things_K4: np.ndarray
    ignored_K4: np.ndarray
    empty_weight: float


def has_thing(record: Record) -> bool:
    return bool(split_annotations(record)[0])


def draw_box_view(record: Record, config: ViewConfig, rng: Generator) -> BoxView | None:
    """One view around a random thing of `record`; None when no thing is visible in it."""
    things, groups = split_annotations(record)
    if not things:
        return None
    focus = things[int(rng.integers(len(things)))]
    frame = random_frame(record.size_hw, focus.box_xyxy, config.size, config.scale, rng)
    boxes_K4, areas_K = drawn_boxes(frame, things)
    shown_K = (boxes_K4[:, 2:] - boxes_K4[:, :2]).prod(1)
    seen_K = (shown_K > VISIBLE * areas_K) & (shown_K > SMALLEST)
    if not seen_K.any():
        return None
    ignored_K4 = np.concatenate([drawn_boxes(frame, groups)[0], boxes_K4[~seen_K & (shown_K > 0)]])
    picture = Colour.draw(rng, config.colour).applied(frame.draw_pixels(record.read_pixels(), config.fill))
    weight = UNSURE if record.source in ONE_KIND else 1.0
    return BoxView(np.asarray(picture), boxes_K4[seen_K], ignored_K4, weight)


def split_annotations(record: Record) -> tuple[list[Annotation], list[Annotation]]:
    """Whole things, and groups of which nothing can be said."""
    kind = WHOLE.get(record.source)
    known = [a for a in record.annotations if kind is None or a.fields.get("category") == kind]
    joined = [bool(a.fields.get("semantic")) and record.source not in GROUPS_COUNT for a in known]
    things = [a for a, group in zip(known, joined, strict=True) if not group]
    return things, [*record.crowd, *(a for a, group in zip(known, joined, strict=True) if group)]


def drawn_boxes(frame: ViewFrame, annotations: list[Annotation]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes in the view, cut at its sides, and the areas they would have uncut."""
    boxes_K4 = np.array([a.box_xyxy for a in annotations], np.float32).reshape(-1, 4)
    (x0, y0, x1, y1), (height, width), (top, left) = frame.crop_xyxy, frame.drawn_hw, frame.origin_yx
    zoom = np.array([width / (x1 - x0), height / (y1 - y0)] * 2, np.float32)
    moved_K4 = (boxes_K4 - np.array([x0, y0] * 2, np.float32)) * zoom
    areas_K = (moved_K4[:, 2:] - moved_K4[:, :2]).prod(1)
    cut_K4 = moved_K4.clip(0, np.array([width, height] * 2)) + np.array([left, top] * 2)
    if frame.flip:
        cut_K4[:, [0, 2]] = frame.size - cut_K4[:, [2, 0]]
    return cut_K4.astype(np.float32), areas_K


def box_loss(
    model: BoxNetwork,
    _teacher: BoxNetwork,
    pixels_B3SS: Tensor,
    views: list[BoxView],
    _objective: Any,
    _rng: Generator,
) -> tuple[Tensor, dict[str, float]]:
    """Loss of one batch and the numbers worth logging."""
    scores_BA, boxes_BA4 = model(pixels_B3SS)
    centres_A2 = all_centres(views[0].pixels_SS3.shape[0]).to(boxes_BA4)
    parts = [view_loss(s, b, v, centres_A2) for s, b, v in zip(scores_BA, boxes_BA4, views, strict=True)]
    score, box, certainty = (torch.stack(part).sum() for part in zip(*parts, strict=True))
    norm = certainty.clamp(min=1)
    score, box = score / norm, box / norm
    return 2 * (score + box), {"score": float(score.detach()), "box": float(box.detach())}


def view_loss(
    score_A: Tensor, box_A4: Tensor, view: BoxView, centres_A2: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss of the scores, of the boxes, and how much is to be found: sums over the cells."""
    things_K4 = torch.from_numpy(view.things_K4).to(box_A4)
    who_A, wanted_A = assign(score_A.detach(), box_A4.detach(), things_K4, centres_A2)
    answers_A = who_A >= 0
    chance_A = score_A.detach().sigmoid()
    weight_A = torch.where(answers_A, (wanted_A - chance_A).abs(), chance_A * view.empty_weight) ** FOCUS
    ignored_K4 = torch.from_numpy(view.ignored_K4).to(box_A4)
    weight_A = weight_A * ~(is_inside(centres_A2, ignored_K4).any(0) & ~answers_A)
    score = (F.binary_cross_entropy_with_logits(score_A, wanted_A, reduction="none") * weight_A).sum()
    miss = 1 - overlap(box_A4[answers_A], things_K4[who_A[answers_A]], enclosed=True)
    return score, (miss * wanted_A[answers_A]).sum(), wanted_A.sum()


@torch.no_grad()
def assign(score_A: Tensor, box_A4: Tensor, things_K4: Tensor, centres_A2: Tensor) -> tuple[Tensor, Tensor]:
    """Which thing each cell answers for (-1: none), and the score it should have: the IoU of the thing's
    best cell, less where a cell fits less.
    """
    if not len(things_K4):
        return torch.full_like(score_A, -1, dtype=torch.long), torch.zeros_like(score_A)
    iou_KA = overlap(things_K4[:, None], box_A4[None])
    inside_KA = is_inside(centres_A2, things_K4)
    fit_KA = (score_A.sigmoid()[None] ** SCORE_POWER * iou_KA**IOU_POWER + 1e-9) * inside_KA
    best_KA = torch.zeros_like(inside_KA).scatter_(1, fit_KA.topk(CELLS, 1).indices, True) & inside_KA
    iou_KA = torch.where(best_KA, iou_KA, -torch.ones_like(iou_KA))
    top_A, who_A = iou_KA.max(0)
    fit_KA = torch.where(best_KA, fit_KA, torch.zeros_like(fit_KA))
    relative_KA = fit_KA / fit_KA.amax(1, keepdim=True).clamp(min=1e-12)
    cells = torch.arange(len(score_A), device=score_A.device)
    wanted_A = relative_KA[who_A, cells] * iou_KA.amax(1).clamp(min=0)[who_A]
    answers_A = top_A >= 0
    return torch.where(answers_A, who_A, -1), torch.where(answers_A, wanted_A, 0.0)


def is_inside(centres_A2: Tensor, boxes_K4: Tensor) -> Tensor:
    """K x A."""
    after, before = centres_A2[None] > boxes_K4[:, None, :2], centres_A2[None] < boxes_K4[:, None, 2:]
    return (after & before).all(-1)


def overlap(a: Tensor, b: Tensor, enclosed: bool = False) -> Tensor:
    """IoU of boxes; `enclosed`: generalised, below 0 for boxes apart (Rezatofighi et al. 2019)."""
    shared = area(torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:]))
    union = area(a[..., :2], a[..., 2:]) + area(b[..., :2], b[..., 2:]) - shared + 1e-6
    if not enclosed:
        return shared / union
    hull = area(torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:])) + 1e-6
    return shared / union - (hull - union) / hull


def area(low: Tensor, high: Tensor) -> Tensor:
    return (high - low).clamp(min=0).prod(-1)


def as_they_are(views: list[BoxView], device: torch.device) -> list[BoxView]:
    return views


BOXES = Task("boxes", has_thing, draw_box_view, as_they_are, box_loss)
"""Where things are, without a prompt."""
