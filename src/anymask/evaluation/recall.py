"""Average recall of a ranked list of masks: recall at ten IoU thresholds, as COCO counts it.

At each threshold the masks choose in the order of their rank: each takes the free target it fits best, if it
fits any well enough (of equal fits the last). A target found at rank r counts for every list that is longer
than r. Legend: D masks in the order of their rank, G targets, T thresholds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = np.linspace(0.5, 0.95, 10)
NOT_FOUND = np.iinfo(np.int64).max

Ious = NDArray[np.float64]
Ranks = NDArray[np.int64]


def ranks_of_finds(ious: Ious) -> Ranks:
    """(D, G) IoUs -> (T, G): the rank, from 0, of the mask that takes each target, or `NOT_FOUND`."""
    count = ious.shape[1]
    ranks_TG = np.full((len(THRESHOLDS), count), NOT_FOUND)
    for rank in np.flatnonzero((ious >= THRESHOLDS[0]).any(axis=1)):
        free_TG = (ranks_TG == NOT_FOUND) & (ious[rank] >= THRESHOLDS[:, None])
        fits_TG = np.where(free_TG, ious[rank], -1.0)
        best_T = count - 1 - fits_TG[:, ::-1].argmax(axis=1)
        takes_T = free_TG.any(axis=1)
        ranks_TG[takes_T, best_T[takes_T]] = rank
    return ranks_TG


def recall_per_target(ranks: Ranks, length: int) -> NDArray[np.float64]:
    """(T, G) -> (G,): fraction of thresholds at which `length` masks find a target; the mean is AR@length."""
    return np.asarray((ranks < length).mean(axis=0))
