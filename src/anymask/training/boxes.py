"""Learning where things are: views with the boxes of whole things, and the loss of the box head.

Which cell answers for which thing is decided by the answers themselves: those inside the thing whose score
and box fit best (Feng et al. 2021, "TOOD"). A cell's score learns the IoU of its box.

Legend: B views, K things, A cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F

from anymask.data.record import Annotation, Record
from anymask.networks.box_head import BoxNetwork, all_centres
from anymask.training.augment import Colour, ViewConfig, ViewFrame, random_frame
from anymask.training.device import sent
from anymask.training.task import Numbers, Task

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


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """What a batch of views shows, as `BoxView` has it; empty boxes where a view has fewer."""

    things_BK4: Tensor
    ignored_BK4: Tensor
    empty_weight_B: Tensor


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
    truth: Boxes,
    _objective: Any,
    _rng: Generator,
) -> tuple[Tensor, Numbers]:
    """Loss of one batch and the numbers worth logging."""
    score_BA, box_BA4 = model(pixels_B3SS)
    centres_A2 = all_centres(pixels_B3SS.shape[-1]).to(box_BA4)
    who_BA, wanted_BA = assign(score_BA.detach(), box_BA4.detach(), truth.things_BK4, centres_A2)
    answers_BA, chance_BA = who_BA >= 0, score_BA.detach().sigmoid()
    empty_BA = chance_BA * truth.empty_weight_B[:, None]
    weight_BA = torch.where(answers_BA, (wanted_BA - chance_BA).abs(), empty_BA) ** FOCUS
    weight_BA = weight_BA * ~(is_inside(centres_A2, truth.ignored_BK4).any(1) & ~answers_BA)
    score = (F.binary_cross_entropy_with_logits(score_BA, wanted_BA, reduction="none") * weight_BA).sum()
    meant_BA4 = truth.things_BK4.gather(1, who_BA.clamp(min=0)[..., None].expand(-1, -1, 4))
    box = ((1 - overlap(box_BA4, meant_BA4, enclosed=True)) * wanted_BA).sum()
    certainty = wanted_BA.sum().clamp(min=1)
    score, box = score / certainty, box / certainty
    return 2 * (score + box), {"score": score.detach(), "box": box.detach()}


@torch.no_grad()
def assign(
    score_BA: Tensor, box_BA4: Tensor, things_BK4: Tensor, centres_A2: Tensor
) -> tuple[Tensor, Tensor]:
    """Which thing each cell answers for (-1: none), and the score it should have: the IoU of the thing's
    best cell, less where a cell fits less.
    """
    iou_BKA = overlap(things_BK4[:, :, None], box_BA4[:, None])
    inside_BKA = is_inside(centres_A2, things_BK4)
    fit_BKA = (score_BA.sigmoid()[:, None] ** SCORE_POWER * iou_BKA**IOU_POWER + 1e-9) * inside_BKA
    best_BKA = torch.zeros_like(inside_BKA).scatter_(2, fit_BKA.topk(CELLS, 2).indices, True) & inside_BKA
    iou_BKA = torch.where(best_BKA, iou_BKA, -1.0)
    top_BA, who_BA = iou_BKA.max(1)
    fit_BKA = torch.where(best_BKA, fit_BKA, 0.0)
    relative_BKA = fit_BKA / fit_BKA.amax(2, keepdim=True).clamp(min=1e-12)
    best_iou_BA = iou_BKA.amax(2).clamp(min=0).gather(1, who_BA)
    wanted_BA = relative_BKA.gather(1, who_BA[:, None])[:, 0] * best_iou_BA
    answers_BA = top_BA >= 0
    return torch.where(answers_BA, who_BA, -1), torch.where(answers_BA, wanted_BA, 0.0)


def is_inside(centres_A2: Tensor, boxes_BK4: Tensor) -> Tensor:
    """B x K x A; nothing is inside an empty box."""
    after = centres_A2 > boxes_BK4[..., None, :2]
    before = centres_A2 < boxes_BK4[..., None, 2:]
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


def stacked_boxes(views: Sequence[BoxView], device: torch.device) -> Boxes:
    weights = np.array([view.empty_weight for view in views], np.float32)
    return Boxes(
        sent(padded([view.things_K4 for view in views]), device),
        sent(padded([view.ignored_K4 for view in views]), device),
        sent(weights, device),
    )


def padded(boxes: list[np.ndarray]) -> np.ndarray:
    """float32 B x K x 4 with K of the longest, at least 1; empty boxes make up the rest."""
    all_boxes = np.zeros((len(boxes), max(1, *map(len, boxes)), 4), np.float32)
    for row, own in zip(all_boxes, boxes, strict=True):
        row[: len(own)] = own
    return all_boxes


BOXES = Task("boxes", has_thing, draw_box_view, stacked_boxes, box_loss)
"""Where things are, without a prompt."""
