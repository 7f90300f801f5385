"""A fake that ships: every positive click answers with disks around it, a box with its interior, a mask with itself.

For tests, demonstrations and work on everything around a network; it needs no weights.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anymask.core.spec import ModelSpec
from anymask.inference.backend import DecodedArrays, DecodeInput, Embedding, Floats

DISK_SPEC = ModelSpec(
    name="disk", family="lite", input_size=512, low_res_size=128, mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0),
    pixel_offset=0.0,
)  # fmt: skip
RADII = (0.15, 0.08, 0.15, 0.3)  # of the input side, one per slot
SHARPNESS = 0.5  # logits per low-resolution cell


class DiskBackend:
    """Answers without looking at the image."""

    spec = DISK_SPEC

    def __init__(self, model: Path | None = None, threads: int = 1) -> None:
        del model, threads

    def encode(self, pixels_13SS: Floats) -> Embedding:
        return {"image_embeddings": np.zeros((1, 1, 1, 1), np.float32)}

    def decode(self, embedding: Embedding, prompts: DecodeInput) -> DecodedArrays:
        cell = self.spec.input_size / self.spec.low_res_size
        masks = np.stack(
            [
                _answer(xy / cell, labels, mask[0] if has else None)
                for xy, labels, mask, has in zip(
                    prompts.points_PN2, prompts.labels_PN, prompts.masks_P1mm, prompts.has_mask_P, strict=True
                )
            ]
        )
        count = len(masks)
        iou = np.tile(np.array([0.8, 0.7, 0.9, 0.6], np.float32), (count, 1))
        chances = np.tile(np.log(np.array([0.9, 0.3, 0.4, 0.2, 0.1], np.float32)), (count, 1))
        return DecodedArrays(masks, iou, chances)


def _answer(cells_N2: np.ndarray, labels_N: np.ndarray, mask_mm: np.ndarray | None) -> Floats:
    """4 x m x m logits: inside a positive disk, the box or the mask, and outside every negative disk."""
    side = DISK_SPEC.low_res_size
    ys, xs = np.mgrid[:side, :side] + 0.5
    slots = []
    for radius in RADII:
        logits = np.full((side, side), -10.0) if mask_mm is None else mask_mm.astype(np.float64)
        if (labels_N == 2).any():
            (x0, y0), (x1, y1) = cells_N2[labels_N == 2][0], cells_N2[labels_N == 3][0]
            logits = np.maximum(logits, SHARPNESS * np.minimum.reduce([xs - x0, x1 - xs, ys - y0, y1 - ys]))
        for (x, y), label in zip(cells_N2, labels_N, strict=True):
            disk = SHARPNESS * (radius * side - np.hypot(xs - x, ys - y))
            if label in (0, 1):
                logits = np.maximum(logits, disk) if label else np.minimum(logits, -disk)
        slots.append(logits)
    return np.stack(slots).astype(np.float32)
