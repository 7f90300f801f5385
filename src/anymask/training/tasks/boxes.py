"""Detection task: views with the boxes of whole objects, and the loss of the box head.

Task-aligned assignment (Feng et al. 2021, "TOOD"): the cells inside an object whose score and box fit best
are its positives. The score's target is the IoU of the box. Legend: B views, K objects, A cells.
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
from anymask.training.data.augment import ViewFrame, random_frame
from anymask.training.data.views import draw_augmented
from anymask.training.device import to_device
from anymask.training.task import Numbers, Task, ViewConfig

MIN_VISIBLE_FRACTION, MIN_VISIBLE_PIXELS = 0.3, 100.0  # of a box
TOP_CELLS = 9  # positives of an object
SCORE_POWER, IOU_POWER, FOCAL_POWER = 0.5, 4.0, 1.5
PARTIAL_WEIGHT = 0.3  # of negatives where not every object is annotated
WHOLE_CATEGORY = {"ccp": "person"}  # sources of parts: the category that is a whole object
PARTIAL_SOURCES = {"duts-tr", "ccp", "coco-person", "human-seg", "coco-boxes"}
GROUP_SOURCES = {"human-seg"}  # here the group is the object


@dataclass(frozen=True, slots=True, eq=False)
class BoxView:
    """Boxes x0, y0, x1, y1 in pixels of the view; cells inside ignored ones are neither positive nor
    negative. `negative_weight`: of cells without an object.
    """

    pixels_SS3: np.ndarray
    objects_K4: np.ndarray
    ignored_K4: np.ndarray
    negative_weight: float


@dataclass(frozen=True, slots=True, eq=False)
class BoxTargets:
    """Ground truth of a batch, as in `BoxView`; empty boxes where a view has fewer."""

    objects_BK4: Tensor
    ignored_BK4: Tensor
    negative_weight_B: Tensor


def has_object(record: Record) -> bool:
    return bool(split_annotations(record)[0])


def draw_box_view(record: Record, config: ViewConfig, rng: Generator) -> BoxView | None:
    """One view around a random object of `record`; None when none is visible in it."""
    objects, crowds = split_annotations(record)
    if not objects:
        return None
    focus = objects[int(rng.integers(len(objects)))]
    frame = random_frame(record.size_hw, focus.box_xyxy, config, rng)
    boxes_K4, areas_K = drawn_boxes(frame, objects)
    visible_K = (boxes_K4[:, 2:] - boxes_K4[:, :2]).prod(1)
    used_K = (visible_K > MIN_VISIBLE_FRACTION * areas_K) & (visible_K > MIN_VISIBLE_PIXELS)
    if not used_K.any():
        return None
    ignored_K4 = np.concatenate([drawn_boxes(frame, crowds)[0], boxes_K4[~used_K & (visible_K > 0)]])
    weight = PARTIAL_WEIGHT if record.source in PARTIAL_SOURCES else 1.0
    return BoxView(draw_augmented(record, frame, config, rng), boxes_K4[used_K], ignored_K4, weight)


def split_annotations(record: Record) -> tuple[list[Annotation], list[Annotation]]:
    """Whole objects, and crowds, which are ignored."""
    kind = WHOLE_CATEGORY.get(record.source)
    objects, crowds = list[Annotation](), list(record.crowd)
    for one in record.annotations:
        if kind is None or one.fields.get("category") == kind:
            is_crowd = bool(one.fields.get("semantic")) and record.source not in GROUP_SOURCES
            (crowds if is_crowd else objects).append(one)
    return objects, crowds


def drawn_boxes(frame: ViewFrame, annotations: list[Annotation]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes clipped to the view, and their areas before clipping."""
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
    model: BoxNetwork, pixels_B3SS: Tensor, truth: BoxTargets, _objective: Any, _rng: Generator
) -> tuple[Tensor, Numbers]:
    """Quality focal loss of the scores and GIoU loss of the boxes, and the numbers worth logging."""
    score_BA, box_BA4 = model(pixels_B3SS)
    centres_A2 = all_centres(pixels_B3SS.shape[-1]).to(box_BA4)
    object_BA, target_BA = assign(score_BA.detach(), box_BA4.detach(), truth.objects_BK4, centres_A2)
    positive_BA, score_now_BA = object_BA >= 0, score_BA.detach().sigmoid()
    negative_BA = score_now_BA * truth.negative_weight_B[:, None]
    weight_BA = torch.where(positive_BA, (target_BA - score_now_BA).abs(), negative_BA) ** FOCAL_POWER
    weight_BA = weight_BA * ~(is_inside(centres_A2, truth.ignored_BK4).any(1) & ~positive_BA)
    each_BA = F.binary_cross_entropy_with_logits(score_BA, target_BA, reduction="none") * weight_BA
    assigned_BA4 = truth.objects_BK4.gather(1, object_BA.clamp(min=0)[..., None].expand(-1, -1, 4))
    apart_BA = (1 - iou_of(box_BA4, assigned_BA4, generalised=True)) * target_BA
    score, box = (loss_BA.sum() / target_BA.sum().clamp(min=1) for loss_BA in (each_BA, apart_BA))
    return 2 * (score + box), {"score": score.detach(), "box": box.detach()}


@torch.no_grad()
def assign(
    score_BA: Tensor, box_BA4: Tensor, objects_BK4: Tensor, centres_A2: Tensor
) -> tuple[Tensor, Tensor]:
    """Task-aligned assignment: the object of each cell (-1: negative), B x A, and the target of its score."""
    iou_BKA = iou_of(objects_BK4[:, :, None], box_BA4[:, None])
    inside_BKA = is_inside(centres_A2, objects_BK4)
    fit_BKA = (score_BA.sigmoid()[:, None] ** SCORE_POWER * iou_BKA**IOU_POWER + 1e-9) * inside_BKA
    best_BKA = torch.zeros_like(inside_BKA).scatter_(2, fit_BKA.topk(TOP_CELLS, 2).indices, True) & inside_BKA
    iou_BKA, fit_BKA = torch.where(best_BKA, iou_BKA, -1.0), torch.where(best_BKA, fit_BKA, 0.0)
    top_BA, object_BA = iou_BKA.max(1)
    relative_BKA = fit_BKA / fit_BKA.amax(2, keepdim=True).clamp(min=1e-12)
    best_iou_BA = iou_BKA.amax(2).clamp(min=0).gather(1, object_BA)
    target_BA = relative_BKA.gather(1, object_BA[:, None])[:, 0] * best_iou_BA
    positive_BA = top_BA >= 0
    return torch.where(positive_BA, object_BA, -1), torch.where(positive_BA, target_BA, 0.0)


def is_inside(centres_A2: Tensor, boxes_BK4: Tensor) -> Tensor:
    """B x K x A; nothing is inside an empty box."""
    return ((centres_A2 > boxes_BK4[..., None, :2]) & (centres_A2 < boxes_BK4[..., None, 2:])).all(-1)


def iou_of(a: Tensor, b: Tensor, generalised: bool = False) -> Tensor:
    """IoU of boxes, elementwise; `generalised`: GIoU, below 0 for boxes apart (Rezatofighi et al. 2019)."""
    overlap = area(torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:]))
    union = area(a[..., :2], a[..., 2:]) + area(b[..., :2], b[..., 2:]) - overlap + 1e-6
    if not generalised:
        return overlap / union
    hull = area(torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:])) + 1e-6
    return overlap / union - (hull - union) / hull


def area(low: Tensor, high: Tensor) -> Tensor:
    return (high - low).clamp(min=0).prod(-1)


def box_targets(views: Sequence[BoxView], device: torch.device) -> BoxTargets:
    boxes = padded([view.objects_K4 for view in views]), padded([view.ignored_K4 for view in views])
    weights = np.array([view.negative_weight for view in views], np.float32)
    return BoxTargets(*(to_device(array, device) for array in (*boxes, weights)))


def padded(boxes: list[np.ndarray]) -> np.ndarray:
    """float32 B x K x 4 with K of the longest, at least 1, padded with empty boxes."""
    all_boxes = np.zeros((len(boxes), max(1, *map(len, boxes)), 4), np.float32)
    for row, own in zip(all_boxes, boxes, strict=True):
        row[: len(own)] = own
    return all_boxes


BOXES = Task("boxes", has_object, draw_box_view, box_targets, box_loss)
"""Class-agnostic box proposals, without a prompt."""
