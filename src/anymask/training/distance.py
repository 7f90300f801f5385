"""How deep inside a region its cells lie: where people click, and how masks grow and shrink.

On a processor OpenCV's transform of one mask after the other; on an accelerator the same numbers for all
masks at once, down the columns and then along the rows (Felzenszwalb and Huttenlocher 2012, as minima over
whole rows: more sums than their envelope, and no loop).

Legend: P masks, m mask side.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from anymask.training.device import can_join, joined

ROWS = 16  # worked out at once where their sums are written


def depth(region_Pmm: Tensor, frame_ends: bool = True) -> Tensor:
    """float32 P x m x m: Euclidean distance of each cell to the nearest one outside the region; 0 there.

    `frame_ends`: what lies beyond the frame is outside.
    """
    padded = F.pad(region_Pmm, (1, 1, 1, 1), value=not frame_ends)
    distance = one_by_one(padded) if padded.device.type == "cpu" else all_at_once(padded)
    return distance[:, 1:-1, 1:-1]


def one_by_one(region_Pmm: Tensor) -> Tensor:
    return torch.stack([torch.from_numpy(_where_it_is(a)) for a in region_Pmm.to(torch.uint8).numpy()])


def _where_it_is(region_mm: np.ndarray) -> np.ndarray:
    """Worked out where the region is and right beside it: there is nothing elsewhere."""
    x, y, w, h = cv2.boundingRect(region_mm)
    part = slice(max(0, y - 1), y + h + 1), slice(max(0, x - 1), x + w + 1)
    distance = np.zeros(region_mm.shape, np.float32)
    if w:
        distance[part] = cv2.distanceTransform(region_mm[part], cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return distance


def all_at_once(region_Pmm: Tensor) -> Tensor:
    along = torch.arange(region_Pmm.shape[-1], device=region_Pmm.device)
    down = along[:, None] - last_outside(region_Pmm, along[:, None])
    up = (along[:, None] - last_outside(region_Pmm.flip(1), along[:, None])).flip(1)
    column_Pmm = torch.minimum(down, up).float().square()
    at_once = len(along) if can_join(column_Pmm) else ROWS
    return torch.cat([along_rows(part) for part in column_Pmm.split(at_once, 1)], 1)


@joined
def along_rows(column_Prm: Tensor) -> Tensor:
    """From squared distances within columns to distances: in each row the nearest, over all columns."""
    along = torch.arange(column_Prm.shape[-1], device=column_Prm.device)
    across_mm = (along[:, None] - along[None]).float().square()
    return (column_Prm[:, :, None] + across_mm).amin(-1).sqrt()


def last_outside(region_Pmm: Tensor, row_m1: Tensor) -> Tensor:
    """Of each cell the row of the nearest cell above it (or itself) outside the region; far away if none."""
    return torch.where(region_Pmm, -4 * len(row_m1), row_m1).cummax(1).values
