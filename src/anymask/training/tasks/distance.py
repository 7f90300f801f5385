"""Euclidean distance transform of masks: where people click, and how masks grow and shrink.

On the CPU OpenCV's, mask by mask; on an accelerator the same numbers for all masks at once, columns first and
then rows (Felzenszwalb and Huttenlocher 2012, as minima over whole rows). Legend: P masks, m mask side.
"""

from __future__ import annotations

import cv2
import torch
from torch import Tensor
from torch.nn import functional as F

from anymask.training.device import can_compile, compiled_on_gpu

EAGER_ROWS = 16  # at once where no kernel is compiled, to bound memory


def distance_transform(region_Pmm: Tensor, frame_ends: bool = True) -> Tensor:
    """float32 P x m x m: distance to the nearest cell outside; `frame_ends`: so is all beyond the frame."""
    padded = F.pad(region_Pmm, (1, 1, 1, 1), value=not frame_ends)
    distance = distances_opencv(padded) if padded.device.type == "cpu" else distances_torch(padded)
    return distance[:, 1:-1, 1:-1]


def distances_opencv(region_Pmm: Tensor) -> Tensor:
    masks, how = region_Pmm.to(torch.uint8).numpy(), (cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return torch.stack([torch.from_numpy(cv2.distanceTransform(mask, *how)) for mask in masks])


def distances_torch(region_Pmm: Tensor) -> Tensor:
    along = torch.arange(region_Pmm.shape[-1], device=region_Pmm.device)
    down = along[:, None] - last_outside(region_Pmm, along[:, None])
    up = (along[:, None] - last_outside(region_Pmm.flip(1), along[:, None])).flip(1)
    column_Pmm = torch.minimum(down, up).float().square()
    rows = len(along) if can_compile(column_Pmm) else EAGER_ROWS
    return torch.cat([row_minima(part) for part in column_Pmm.split(rows, 1)], 1)


@compiled_on_gpu
def row_minima(column_Prm: Tensor) -> Tensor:
    """From squared distances within columns to distances: in each row the nearest, over all columns."""
    along = torch.arange(column_Prm.shape[-1], device=column_Prm.device)
    across_mm = (along[:, None] - along[None]).float().square()
    return (column_Prm[:, :, None] + across_mm).amin(-1).sqrt()


def last_outside(region_Pmm: Tensor, row_m1: Tensor) -> Tensor:
    """Of each cell the row of the nearest cell above it (or itself) outside the region; far away if none."""
    return torch.where(region_Pmm, -4 * len(row_m1), row_m1).cummax(1).values
