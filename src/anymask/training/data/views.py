"""Views with object masks: an augmented crop of a photo and a few of the objects visible in it.

Knows nothing of prompts or networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from anymask.core.mask import Mask
from anymask.data.record import Annotation, Record
from anymask.training.data.augment import Box, ColourJitter, ViewFrame, random_frame, window_frame
from anymask.training.task import ViewConfig

MIN_CELLS = 12  # mask cells that a visible object covers
MAX_COVER = 0.95  # fraction of the view that it covers


@dataclass(frozen=True, slots=True)
class MaskView:
    """`pixels_SS3`: uint8. `masks_Kmm`: bool, one per object, at the mask stride. `closer`: a window around
    one object.
    """

    pixels_SS3: np.ndarray
    masks_Kmm: np.ndarray
    closer: bool = False


@dataclass(frozen=True, slots=True)
class MaskTargets:
    """Ground truth of a batch: `masks_BKmm`, bool, and `closer_B`, bool: which views are windows."""

    masks_BKmm: Tensor
    closer_B: Tensor


def has_mask(record: Record) -> bool:
    return bool(with_mask(record))


def with_mask(record: Record) -> list[Annotation]:
    return [a for a in record.annotations if a.fields.get("segmentation")]


def draw_view(record: Record, config: ViewConfig, rng: Generator) -> MaskView | None:
    """One view around a random object of `record`; None when nothing is visible in it."""
    annotations = with_mask(record)
    frame, order = random_view([a.box_xyxy for a in annotations], record.size_hw, config, rng)
    masks: list[np.ndarray] = []
    for number in order:
        drawn = frame.draw_mask(mask_array(annotations[number]), config.stride)
        if MIN_CELLS <= drawn.sum() <= MAX_COVER * drawn.size:
            masks.append(drawn)
        if len(masks) == config.objects:
            break
    if not masks:
        return None
    pixels_SS3 = draw_augmented(record, frame, config, rng)
    chosen = [masks[i % len(masks)] for i in range(config.objects)]
    return MaskView(pixels_SS3, np.stack(chosen), frame.closer)


def draw_augmented(record: Record, frame: ViewFrame, config: ViewConfig, rng: Generator) -> np.ndarray:
    """uint8 S x S x 3: the photo in `frame`, with colour jitter."""
    jitter = ColourJitter.draw(rng, config.colour)
    return np.asarray(jitter.applied(frame.draw_pixels(record.read_pixels(), config.fill)))


def random_view(
    boxes_xyxy: list[Box], size_hw: tuple[int, int], config: ViewConfig, rng: Generator
) -> tuple[ViewFrame, list[int]]:
    """A view around a random object, and the indices of objects to show: this one first, then others whose
    boxes overlap it, up to twice as many as wanted, since some are hardly visible. A window shows one.
    """
    focus = int(rng.integers(len(boxes_xyxy)))
    if config.closer and rng.random() < config.closer:
        return window_frame(size_hw, boxes_xyxy[focus], config.size, rng), [focus]
    frame = random_frame(size_hw, boxes_xyxy[focus], config, rng)
    others = [i for i, box in enumerate(boxes_xyxy) if i != focus and _overlaps(box, frame.crop_xyxy)]
    return frame, [focus, *(others[int(i)] for i in rng.permutation(len(others)))][: 2 * config.objects]


def mask_targets(views: Sequence[MaskView], device: torch.device) -> MaskTargets:
    masks_BKmm = torch.from_numpy(np.stack([view.masks_Kmm for view in views])).to(device)
    return MaskTargets(masks_BKmm, torch.tensor([view.closer for view in views], device=device))


def mask_array(annotation: Annotation) -> np.ndarray:
    mask = annotation.mask
    assert isinstance(mask, Mask)  # annotations without a segmentation were left out
    return mask.to_array()


def _overlaps(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
