"""Means over samples with 95 % bootstrap intervals over images.

The percentile bootstrap over images (masks of one image are correlated), of the mean over all masks of the
drawn images. The seed is fixed. Legend: S samples, I images, D draws.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
SEED = 20230405


def means(columns: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {name: float(values_S.mean()) for name, values_S in columns.items()}


def draws(images: int) -> NDArray[np.int64]:
    """(D, I): how often each image is drawn; every row sums to the number of images."""
    return np.random.default_rng(SEED).multinomial(images, np.full(images, 1 / images), size=DRAWS)


def interval_of(values_D: np.ndarray) -> list[float]:
    """The middle 95 % of the values of all draws, [low, high]."""
    return [float(edge) for edge in np.percentile(values_D, (2.5, 97.5))]


def intervals(columns: Mapping[str, np.ndarray], images_S: np.ndarray) -> dict[str, list[float]]:
    """95 % interval [low, high] of the mean of every column; sample s belongs to image number `images_S[s]`.
    Columns have one value per sample, and there is at least one sample. All columns see the same draws.
    """
    _, image_of_S = np.unique(images_S, return_inverse=True)
    counts_I = np.bincount(image_of_S)
    draws_DI = draws(len(counts_I))
    masks_D = draws_DI @ counts_I
    return {
        name: interval_of(draws_DI @ np.bincount(image_of_S, weights=values_S) / masks_D)
        for name, values_S in columns.items()
    }
