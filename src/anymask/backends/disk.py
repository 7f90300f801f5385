"""A fake that ships: a click is answered with a disk, a box with its interior, a mask with itself.

For tests and demonstrations. It needs no weights and does not look at the image.

Legend: N points, m side of the low-resolution masks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anymask.backends.base import DecodedArrays, DecodeInput, EmbeddingArrays, Floats
from anymask.core.frames import OUTSIDE
from anymask.core.spec import ModelSpec

DISK_SPEC = ModelSpec(
    name="disk", family="lite", input_size=256, low_res_size=128, mean=(0.0, 0.0, 0.0),
    std=(255.0, 255.0, 255.0), pixel_offset=0.0,
)  # fmt: skip
RADII = (0.15, 0.08, 0.15, 0.3)  # of the model frame, one per slot
IOU = (0.8, 0.7, 0.9, 0.6)
PROBABILITY = (0.9, 0.3, 0.4, 0.2, 0.1)  # of the slots and of "none of these", before they are normalised
SLOPE = 0.5  # logits per low-resolution cell


class DiskBackend:
    """Answers at once and always alike."""

    spec = DISK_SPEC
    batch_size = 8

    def __init__(self, model: Path | None = None, threads: int = 1) -> None:
        del model, threads

    def encode(self, pixels_13hw: Floats) -> EmbeddingArrays:
        return {"image_embeddings": pixels_13hw.mean(axis=(2, 3), keepdims=True)}

    def decode(self, embedding: EmbeddingArrays, prompts: DecodeInput) -> DecodedArrays:
        cell = self.spec.input_size / self.spec.low_res_size
        rows = zip(*prompts.arrays, strict=True)
        masks = np.stack([answer(xy / cell, kind, mask[0] if has else None) for xy, kind, mask, has in rows])
        iou, chances = np.array(IOU, np.float32), np.log(np.array(PROBABILITY, np.float32))
        return DecodedArrays(masks, np.tile(iou, (len(masks), 1)), np.tile(chances, (len(masks), 1)))


def answer(cells_N2: Floats, labels_N: Floats, mask_mm: Floats | None) -> Floats:
    """4 x m x m logits: inside a positive disk, the box or the mask, and outside every negative disk."""
    side = DISK_SPEC.low_res_size
    y, x = np.mgrid[:side, :side] + 0.5
    base = np.full((side, side), OUTSIDE) if mask_mm is None else mask_mm.astype(np.float64)
    if (labels_N == 2).any():
        (x0, y0), (x1, y1) = cells_N2[labels_N == 2][0], cells_N2[labels_N == 3][0]
        base = np.maximum(base, SLOPE * np.minimum.reduce([x - x0, x1 - x, y - y0, y1 - y]))
    slots = np.stack([base] * len(RADII))
    for (cx, cy), label in zip(cells_N2, labels_N, strict=True):
        disks = SLOPE * (np.array(RADII)[:, None, None] * side - np.hypot(x - cx, y - cy))
        if label in (0, 1):
            slots = np.maximum(slots, disks) if label else np.minimum(slots, -disks)
    return slots.astype(np.float32)
