"""AutomaticMask: a mask that the automatic mask generator found, without a prompt from a person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anymask.core.frames import Frame
from anymask.core.mask import Mask
from anymask.core.values import ArrayValue


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the probability of a mask rests on.

    `box_score`: 0..1 of the detected box that was asked, None for a grid point. `predicted_iou`, `stability`:
    as the model and its logits say. `area_fraction`: of what was searched. `votes_of_boxes`,
    `votes_of_points`: how many boxes and points were answered alike (IoU above 0.7), itself included.
    `edges`: how many edges of the image it touches.
    """

    box_score: float | None
    predicted_iou: float
    stability: float
    area_fraction: float
    votes_of_boxes: int
    votes_of_points: int
    edges: int


@dataclass(frozen=True, slots=True, eq=False)
class AutomaticMask(ArrayValue):
    """One mask of the size of the image, and what it was kept for.

    `predicted_iou`: the quality that the network predicts. `stability_score`: IoU of the mask at a raised and
    at a lowered threshold, 0..1 (paper, section 5). `point_xy`: the grid point or the middle of the box that
    was asked, in pixels of the image. `crop_box_xyxy`: the crop of the image that it was found in.
    `probability`: chance, 0..1, that this mask is right: that its IoU with a mask that a person would draw is
    0.5 or more. Calibrated in the presets `default` and `precise` of a model whose card has coefficients for
    it; elsewhere predicted IoU times stability score. `evidence`: what it rests on. `low_res_logits`,
    `frame`: the answer before it was upscaled and what it was drawn in, the whole image or a window of
    it; only where asked for.
    """

    mask: Mask
    predicted_iou: float
    stability_score: float
    point_xy: tuple[float, float]
    crop_box_xyxy: tuple[int, int, int, int]
    probability: float = 0.0
    evidence: Evidence | None = None
    low_res_logits: NDArray[np.float32] | None = None
    frame: Frame | None = None
