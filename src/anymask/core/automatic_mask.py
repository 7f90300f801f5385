"""AutomaticMask: a mask that the automatic mask generator found, without a prompt from a person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anymask.core.mask import Mask
from anymask.core.window import Frame


@dataclass(frozen=True, slots=True, eq=False)
class AutomaticMask:
    """One mask of the size of the image, and what it was kept for.

    `predicted_iou`: the quality that the network predicts. `stability_score`: IoU of the mask at a raised and
    at a lowered threshold, 0..1 (paper, section 5). `point_xy`: the grid point or the middle of the box that
    was asked, in pixels of the image. `crop_box_xyxy`: the crop of the image that it was found in.
    `probability`: chance, 0..1, that this mask is right: that its IoU with a mask that a person would draw is
    0.5 or more. Calibrated where the model's card has coefficients for it; elsewhere predicted IoU times
    stability score. `low_res_logits`, `transform`: the answer before it was upscaled and what it was drawn
    in, the whole image or a window of it; only where asked for.
    """

    mask: Mask
    predicted_iou: float
    stability_score: float
    point_xy: tuple[float, float]
    crop_box_xyxy: tuple[int, int, int, int]
    probability: float = 0.0
    low_res_logits: NDArray[np.float32] | None = None
    transform: Frame | None = None
