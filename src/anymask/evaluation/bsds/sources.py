"""Where edge maps come from: a model's edge head, the masks it finds, or the photo alone as a baseline.

From masks is zero-shot edge detection as in Segment Anything (section 7.2, App. D.2): masks of a 16 x 16 grid
without thresholds, NMS; Sobel gradient of each mask's probabilities along its outer boundary; maximum over
masks, scaled to 0..1; edge NMS. Legend: H W image pixels.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from anymask.core.automatic_mask import AutomaticMask
from anymask.evaluation.bsds.thinning import Floats, keep_ridges
from anymask.evaluation.extras import cv2

PRESET = "sam_default"
GRID = {"points_per_side": 16, "pred_iou_thresh": -1e9, "stability_score_thresh": 0.0}  # beside the preset


class EdgeSource(Protocol):
    @property
    def name(self) -> str: ...

    def edges(self, pixels_HW3: NDArray[np.uint8]) -> Floats:
        """uint8 photo -> (H, W) float32 strengths in 0..1, on ridges only."""


class ModelEdges:
    def __init__(self, model: Any) -> None:
        self._model = model
        self.name: str = model.name


class HeadEdges(ModelEdges):
    """What a model's edge head finds (`model.encode(pixels).detect_edges()`), on ridges only."""

    def edges(self, pixels_HW3: NDArray[np.uint8]) -> Floats:
        return keep_ridges(self._model.encode(pixels_HW3).detect_edges())


class MaskEdges(ModelEdges):
    """The edges of everything a model finds (`model.everything(pixels)`), as the paper makes them."""

    def edges(self, pixels_HW3: NDArray[np.uint8]) -> Floats:
        strongest_HW = np.zeros(pixels_HW3.shape[:2], np.float32)
        for mask in self._model.everything(pixels_HW3, preset=PRESET, keep_logits=True, **GRID):
            np.maximum(strongest_HW, mask_edges(mask), out=strongest_HW)
        return keep_ridges(scaled(strongest_HW))


class SobelEdges:
    """The gradient of the photo's brightness: the baseline."""

    name = "sobel"

    def edges(self, pixels_HW3: NDArray[np.uint8]) -> Floats:
        grey = cv2.cvtColor(pixels_HW3, cv2.COLOR_RGB2GRAY).astype(np.float32)
        return keep_ridges(scaled(gradient(grey)))


def mask_edges(found: AutomaticMask) -> Floats:
    """(H, W): gradient of the mask's probability along its outer boundary, 0 elsewhere."""
    assert found.low_res_logits is not None and found.frame is not None, "logits were asked for"
    (logits_HW,) = found.frame.to_image_logits(found.low_res_logits[None])
    inside_HW = (logits_HW > 0).astype(np.uint8)
    outer_HW = cv2.dilate(inside_HW, np.ones((3, 3), np.uint8)) != inside_HW
    probability_HW = 1 / (1 + np.exp(-logits_HW.clip(-30, 30)))
    return np.where(outer_HW, gradient(probability_HW), 0).astype(np.float32)


def gradient(map_HW: Floats) -> Floats:
    """Magnitude of the Sobel gradient."""
    steps = (cv2.Sobel(map_HW, cv2.CV_32F, dx, 1 - dx) for dx in (1, 0))
    return np.asarray(np.hypot(*steps), np.float32)


def scaled(strength_HW: Floats) -> Floats:
    """Linearly onto 0..1; a map without any edge stays 0."""
    low, high = float(strength_HW.min()), float(strength_HW.max())
    return (strength_HW - low) / (high - low) if high > low else np.zeros_like(strength_HW)


EDGE_BASELINES: dict[str, type[EdgeSource]] = {"sobel": SobelEdges}
