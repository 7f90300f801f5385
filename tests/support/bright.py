"""A stand-in for a network that finds what is bright, and a photo too fine for its first look.

Legend: H W image pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from anymask.backends.base import DecodedArrays
from anymask.backends.disk import DISK_SPEC

HEIGHT, WIDTH = 900, 1200


class BrightBackend:
    """Finds what is bright, at the resolution at which it was shown; counts how often it looked."""

    spec = DISK_SPEC
    batch_size = 8

    def __init__(self) -> None:
        self.looks = 0
        self.given: list[np.ndarray] = []

    def encode(self, pixels_13hw: np.ndarray) -> dict[str, np.ndarray]:
        self.looks += 1
        side = self.spec.low_res_size
        grey = pixels_13hw.mean(1)[0].reshape(side, 2, side, 2).mean((1, 3))
        return {"image_embeddings": grey[None, None].astype(np.float32)}

    def decode(self, embedding: Any, prompts: Any) -> DecodedArrays:
        self.given += list(prompts.masks_P1mm[:, 0])
        count = len(prompts.labels_PN)
        logits = 20 * (embedding["image_embeddings"][0, 0] - 0.5)
        masks = np.stack([np.stack([logits] * 4)] * count).astype(np.float32)
        iou = np.tile(np.array([0.8, 0.7, 0.9, 0.6], np.float32), (count, 1))
        chances = np.log(np.array([0.9, 0.3, 0.4, 0.2, 0.1], np.float32))
        return DecodedArrays(masks, iou, np.tile(chances, (count, 1)))


def comb_HW3() -> np.ndarray:
    """A small bright comb on black: teeth of 3 pixels with gaps of 3, finer than a cell of the first look."""
    photo = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    photo[380:400, 560:680] = 255
    for x in range(560, 680, 6):
        photo[400:470, x : x + 3] = 255
    return photo


def iou(found_HW: np.ndarray, photo_HW3: np.ndarray) -> float:
    """Of a mask and what is bright in the photo."""
    truth_HW = photo_HW3[..., 0] > 0
    return float((found_HW & truth_HW).sum() / (found_HW | truth_HW).sum())
