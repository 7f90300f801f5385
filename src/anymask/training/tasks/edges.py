"""Edge detection task: views with the outlines of all masks, and the loss of the edge head.

Trained on photos of which (nearly) every pixel belongs to a mask: elsewhere a missing outline is no negative.

Legend: B views, K masks, S side of a view, m side of a map at stride 2, h w of a coarser one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F

from anymask.data.record import Record
from anymask.networks.edge_head import EdgeNetwork
from anymask.networks.lite_decoder import MASK_STRIDE
from anymask.training.data.augment import random_frame
from anymask.training.data.views import draw_augmented, mask_array, with_mask
from anymask.training.device import to_device
from anymask.training.task import Numbers, Task, ViewConfig

MIN_COVERAGE = 0.97  # fraction of a photo, by the areas of its masks
POSITIVE_FRACTION, POSITIVE_WEIGHT = 0.3, 2.0  # cells with more of an edge than this weigh so much more
SIDE_OUTPUT_WEIGHT = 0.2  # of the coarser outputs


@dataclass(frozen=True, slots=True, eq=False)
class EdgeView:
    """`pixels_SS3`: uint8. `edges_SS`, `known_SS`: bool, pixels beside which a mask begins or ends, and those
    of the photo.
    """

    pixels_SS3: np.ndarray
    edges_SS: np.ndarray
    known_SS: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class EdgeTargets:
    """Ground truth of a batch: bool, as in `EdgeView`."""

    edges_BSS: Tensor
    known_BSS: Tensor


def is_outlined(record: Record) -> bool:
    """Whether the masks cover (nearly) all of a photo; `area` need not stand on its annotations."""
    height, width = record.size_hw
    return sum(a.area or mask_array(a).sum() for a in with_mask(record)) >= MIN_COVERAGE * height * width


def draw_edge_view(record: Record, config: ViewConfig, rng: Generator) -> EdgeView:
    """One view around a random mask of `record`."""
    annotations = with_mask(record)
    focus = annotations[int(rng.integers(len(annotations)))]
    frame = random_frame(record.size_hw, focus.box_xyxy, config, rng)
    pixels_SS3 = draw_augmented(record, frame, config, rng)
    known_SS = frame.draw_mask(np.ones(record.size_hw, bool), 1)
    masks = (frame.draw_mask(mask_array(annotation), 1) for annotation in annotations)
    return EdgeView(pixels_SS3, outlines(masks, known_SS), known_SS)


def outlines(masks_KSS: Iterable[np.ndarray], known_SS: np.ndarray) -> np.ndarray:
    """bool S x S: known pixels with a known neighbour that does not belong to all the same masks."""
    beside, above = np.zeros_like(known_SS[:, 1:]), np.zeros_like(known_SS[1:])
    for mask_SS in masks_KSS:
        beside |= mask_SS[:, 1:] != mask_SS[:, :-1]
        above |= mask_SS[1:] != mask_SS[:-1]
    beside &= known_SS[:, 1:] & known_SS[:, :-1]
    above &= known_SS[1:] & known_SS[:-1]
    edges_SS = np.zeros_like(known_SS)
    for first, second, steps in ((np.s_[:, 1:], np.s_[:, :-1], beside), (np.s_[1:], np.s_[:-1], above)):
        edges_SS[first] |= steps
        edges_SS[second] |= steps
    return edges_SS


def edge_targets(views: Sequence[EdgeView], device: torch.device) -> EdgeTargets:
    edges, known = [view.edges_SS for view in views], [view.known_SS for view in views]
    return EdgeTargets(to_device(np.stack(edges), device), to_device(np.stack(known), device))


def edge_loss(
    model: EdgeNetwork, pixels_B3SS: Tensor, truth: EdgeTargets, _objective: Any, _rng: Generator
) -> tuple[Tensor, Numbers]:
    """Cross-entropy with deep supervision (HED) and the numbers worth logging.

    A cell's target is the fraction of it that lies on edges.
    """
    *coarse, finest_B1mm = (logits.float() for logits in model(pixels_B3SS))
    fraction_B1mm, known_B1mm = (
        F.avg_pool2d(map_BSS[:, None].float(), MASK_STRIDE) for map_BSS in (truth.edges_BSS, truth.known_BSS)
    )
    loss = cell_loss(finest_B1mm, fraction_B1mm, known_B1mm)
    for logits in coarse:
        cells = fraction_B1mm.shape[-1] // logits.shape[-1]
        fraction_B1hw, known_B1hw = F.max_pool2d(fraction_B1mm, cells), F.avg_pool2d(known_B1mm, cells)
        loss = loss + SIDE_OUTPUT_WEIGHT * cell_loss(logits, fraction_B1hw, known_B1hw)
    found = (finest_B1mm.detach().sigmoid() * fraction_B1mm).sum() / fraction_B1mm.sum().clamp(min=1)
    return loss, {"found": found}


def cell_loss(logits_B1hw: Tensor, fraction_B1hw: Tensor, known_B1hw: Tensor) -> Tensor:
    """Class-balanced mean cross-entropy of the cells of the photo: edges are few and weigh more."""
    weight_B1hw = known_B1hw * torch.where(fraction_B1hw > POSITIVE_FRACTION, POSITIVE_WEIGHT, 1.0)
    each_B1hw = F.binary_cross_entropy_with_logits(logits_B1hw, fraction_B1hw, reduction="none")
    return (each_B1hw * weight_B1hw).sum() / weight_B1hw.sum().clamp(min=1)


EDGES = Task("photos with masks everywhere", is_outlined, draw_edge_view, edge_targets, edge_loss)
"""Where people draw edges."""
