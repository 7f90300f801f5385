"""Regions: masks and boxes as weights of the cells of a feature map, so that pooling is one product.

Legend: R regions, H W image pixels, h w cells of the map, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anymask.core.frames import ResizeLongest
from anymask.core.mask import Mask
from anymask.core.resample import Floats, SizeHW

STRIDE = 16  # pixels of the model frame that a cell covers
SAMPLES = 8  # of a mask along each side of a cell


def mask_weights(masks: Sequence[Mask], frame: ResizeLongest, size_hw: SizeHW) -> Floats:
    """(R, h, w): the share of each cell that a mask covers. A mask between all samples counts by its box."""
    rows, columns = (_sample_places(frame, axis, size_hw[axis]) for axis in (0, 1))
    weights_Rhw = np.zeros((len(masks), *size_hw), np.float32)
    for weights_hw, mask in zip(weights_Rhw, masks, strict=True):
        inside = np.pad(mask.to_array()[rows][:, columns], _missing(len(rows), len(columns), size_hw))
        weights_hw[...] = inside.reshape(size_hw[0], SAMPLES, size_hw[1], SAMPLES).mean((1, 3))
        if not weights_hw.any():
            weights_hw[...] = box_weights([mask.box_xyxy], frame, size_hw)[0]
    return weights_Rhw


def box_weights(boxes_xyxy_R4: ArrayLike, frame: ResizeLongest, size_hw: SizeHW) -> Floats:
    """(R, h, w): the share of each cell that a box covers; boxes in pixels of the image."""
    boxes = frame.to_model_boxes(boxes_xyxy_R4).reshape(-1, 4) / STRIDE
    covered = []
    for axis in (1, 0):
        start = np.arange(size_hw[1 - axis], dtype=np.float32)
        low, high = boxes[:, axis, None], boxes[:, axis + 2, None]
        covered.append((np.minimum(high, start + 1) - np.maximum(low, start)).clip(0, 1))
    return np.asarray(covered[0][:, :, None] * covered[1][:, None, :], np.float32)


def pooled(weights_Rhw: Floats, map_Chw: Floats) -> Floats:
    """(R, C): the weighted mean of the map in each region; zeros for a region without weight."""
    flat = weights_Rhw.reshape(len(weights_Rhw), -1)
    total = flat.sum(1, keepdims=True)
    sums: Floats = flat @ map_Chw.reshape(len(map_Chw), -1).T
    return np.asarray(sums / np.maximum(total, 1e-6), np.float32)


def _sample_places(frame: ResizeLongest, axis: int, cells: int) -> NDArray[np.intp]:
    """Rows or columns of the image under the samples of the cells; those in the padding are left out."""
    image, model = frame.size_hw_image[axis], frame.size_hw_model[axis]
    places = (np.arange(cells * SAMPLES) + 0.5) * (STRIDE / SAMPLES)
    return np.asarray((places[places < model] * (image / model)).astype(np.intp).clip(0, image - 1))


def _missing(rows: int, columns: int, size_hw: SizeHW) -> tuple[tuple[int, int], tuple[int, int]]:
    return (0, size_hw[0] * SAMPLES - rows), (0, size_hw[1] * SAMPLES - columns)
