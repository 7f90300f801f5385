"""AutomaticMask: a mask that was found by a grid of points, without a prompt from a person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anymask.core.frames import Frame
from anymask.core.mask import Mask


@dataclass(frozen=True, slots=True, eq=False)
class AutomaticMask:
    """One mask of the size of the image, and what it was kept for.

    `predicted_iou`: as the network says. `stability_score`: IoU of the mask at a raised and at a lowered
    threshold, 0..1 (paper, section 5). `point_xy`: the grid point, in pixels of the image. `crop_box_xyxy`:
    the part of the image that the network saw. `low_res_logits`, `transform`: the answer before it was
    upscaled and what it was drawn in, the crop or, from closer, a window of the image; only where asked for.
    """

    mask: Mask
    predicted_iou: float
    stability_score: float
    point_xy: tuple[float, float]
    crop_box_xyxy: tuple[int, int, int, int]
    low_res_logits: NDArray[np.float32] | None = None
    transform: Frame | None = None
