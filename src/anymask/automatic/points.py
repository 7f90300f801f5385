"""The grid of automatic masks: points and crops (paper, Appendix B, and the published code)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Crop = tuple[int, int, int, int]  # x0, y0, x1, y1, whole pixels, right and bottom exclusive


def point_grid(points_per_side: int) -> NDArray[np.float64]:
    """n * n points x, y in the unit square, each in the middle of its cell; x changes fastest."""
    centres = (np.arange(points_per_side) + 0.5) / points_per_side
    x, y = np.meshgrid(centres, centres)
    return np.stack([x, y], axis=-1).reshape(-1, 2)


def crop_layers(size_hw: tuple[int, int], layers: int, overlap_ratio: float) -> list[tuple[int, Crop]]:
    """The whole image as layer 0, then 2^i x 2^i overlapping crops for each further layer i.

    `overlap_ratio`: of the short side, for layer 1; half of it for each layer more. Crops without a pixel,
    as a tiny image has them, are left out.
    """
    height, width = size_hw
    crops: list[tuple[int, Crop]] = [(0, (0, 0, width, height))]
    for layer in range(1, layers + 1):
        per_side = 2**layer
        overlap = int(overlap_ratio * min(size_hw) * (2 / per_side))
        crop_width, crop_height = (
            math.ceil((overlap * (per_side - 1) + side) / per_side) for side in (width, height)
        )
        for column in range(per_side):
            for row in range(per_side):
                x0, y0 = int((crop_width - overlap) * column), int((crop_height - overlap) * row)
                box = (x0, y0, min(x0 + crop_width, width), min(y0 + crop_height, height))
                crops.append((layer, box))
    return [(layer, box) for layer, box in crops if box[0] < box[2] and box[1] < box[3]]


def touches_inner_edge(
    boxes_xyxy: NDArray[np.float64], crop: Crop, size_hw: tuple[int, int], within: float = 20.0
) -> NDArray[np.bool_]:
    """(M,): boxes, in pixels of the crop, that reach an edge of the crop which is no edge of the image."""
    x0, y0, x1, y1 = crop
    height, width = size_hw
    moved = boxes_xyxy + np.array([x0, y0, x0, y0])
    near_crop = np.abs(moved - np.array(crop)) <= within
    near_image = np.abs(moved - np.array([0, 0, width, height])) <= within
    return np.asarray((near_crop & ~near_image).any(axis=1))
