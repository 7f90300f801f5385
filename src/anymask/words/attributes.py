"""Which masks of a noun a phrase means: by the colour of their pixels, size, place, order and number.

Every step says what it did. Nothing here knows what a mask shows; the scores that come in say how well it
fits the noun. Source of the colour names: `colours`.

Legend: M masks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anymask.core.mask import Mask
from anymask.errors import BadInput
from anymask.words.colours import colour_shares
from anymask.words.parts import SIZES, Order, Place, Size
from anymask.words.phrase import Phrase

Array = NDArray[np.float64]
COLOURED, FULLY_COLOURED = (
    0.15,
    0.5,
)  # share of the pixels from which a thing has a colour, and from which fully
NEAR, FAR = 0.4, 0.6  # how far across the image "on the left" reaches: fully, and not at all


@dataclass(frozen=True, slots=True)
class Applied:
    """The masks that a phrase means.

    `kept`: their indices, best first; empty if no mask has what was asked. `scores`: of each kept mask, at
    most what came in. `told`: one line for each attribute.
    """

    kept: tuple[int, ...]
    scores: tuple[float, ...]
    told: tuple[str, ...]


def apply(
    phrase: Phrase, masks: Sequence[Mask], scores: Sequence[float], pixels_HW3: NDArray[np.uint8]
) -> Applied:
    """Choose among the masks of a noun by what the rest of its phrase says.

    `masks`: candidates for the noun, of the size of the image. `scores`: how well each fits the noun, 0 to 1.
    `pixels_HW3`: the image, uint8 RGB. Raises BadInput for arguments of different lengths or sizes.
    """
    if len(masks) != len(scores):
        raise BadInput(f"expected one score for each mask, got {len(masks)} masks and {len(scores)} scores")
    if any(mask.size_hw != pixels_HW3.shape[:2] for mask in masks):
        raise BadInput("expected masks of the size of the image")
    kept = [index for index, mask in enumerate(masks) if not mask.is_empty]
    chosen = _Choice([masks[index] for index in kept], np.array([scores[index] for index in kept], float))
    for colour in phrase.colours:
        chosen.weigh(_colour_factors(chosen.masks, colour, pixels_HW3), colour)
    for place in phrase.places:
        chosen.weigh(_place_factors(chosen, place), f"place {place}")
    if phrase.size:
        chosen.weigh(_size_factors(chosen.masks, phrase.size), phrase.size)
    if phrase.order:
        chosen.pick(phrase.order, phrase.number or 1)
    elif phrase.number:
        chosen.limit(phrase.number)
    order = sorted(chosen.left, key=lambda row: -chosen.scores_M[row])
    return Applied(
        tuple(kept[row] for row in order),
        tuple(float(chosen.scores_M[row]) for row in order),
        tuple(chosen.told),
    )


class _Choice:
    """Masks, their scores, which of them are left, and what was done."""

    def __init__(self, masks: list[Mask], scores_M: Array) -> None:
        self.masks, self.scores_M = masks, scores_M
        self.left = list(range(len(masks)))
        self.told: list[str] = []
        self.centres_M2 = np.array([_centre(mask) for mask in masks]).reshape(-1, 2)

    def weigh(self, factors_M: Array, name: str) -> None:
        """Multiply the scores; what has a factor of 0 goes."""
        before = len(self.left)
        self.scores_M = self.scores_M * factors_M
        self.left = [row for row in self.left if factors_M[row] > 0]
        self.told.append(f"{name}: {len(self.left)} of {before}")

    def pick(self, order: Order, count: int) -> None:
        """The nth along a side or a size, and those after it if several are asked for."""
        values_M = _along(self, order.by)
        ranked = sorted(self.left, key=lambda row: (values_M[row], -self.scores_M[row]))
        before, self.left = len(self.left), ranked[order.number - 1 : order.number - 1 + count]
        self.told.append(f"{order.told(count)}: {len(self.left)} of {before}")

    def limit(self, count: int) -> None:
        """The best so many."""
        before = len(self.left)
        self.left = sorted(self.left, key=lambda row: -self.scores_M[row])[:count]
        self.told.append(f"{count} asked for: {len(self.left)} of {before}")


def _colour_factors(masks: Sequence[Mask], colour: str, pixels_HW3: NDArray[np.uint8]) -> Array:
    """1 where half of the pixels have the colour, less below, 0 where it is hardly there."""
    shares_M = np.array([_shares(mask, pixels_HW3)[colour] for mask in masks])
    return np.where(shares_M >= COLOURED, np.minimum(shares_M / FULLY_COLOURED, 1), 0.0)


def _shares(mask: Mask, pixels_HW3: NDArray[np.uint8]) -> dict[str, float]:
    x0, y0, x1, y1 = mask.box_xyxy
    shares = colour_shares(pixels_HW3[y0:y1, x0:x1][mask.array_of_box()])
    return {str(name): share for name, share in shares.items()}


def _place_factors(chosen: _Choice, place: Place) -> Array:
    """1 for a centre well on that side of the image, 0 well off it; if all are off, 1 for the outermost."""
    distance_M = _distance(chosen.centres_M2, place)
    factors_M = np.clip((FAR - distance_M) / (FAR - NEAR), 0, 1)
    if len(chosen.left) > 1 and not factors_M[chosen.left].any():
        nearest = min(chosen.left, key=lambda row: distance_M[row])
        factors_M[nearest] = 1.0
        chosen.told.append(f"none is on the {place} of the image: the nearest to it is meant")
    return factors_M


def _distance(centres_M2: Array, place: Place) -> Array:
    """How far from a side of the image, or from its middle, in halves: 0 at it, 1 at the other end."""
    x_M, y_M = centres_M2[:, 0], centres_M2[:, 1]
    if place == "middle":
        return 2 * np.maximum(np.abs(x_M - 0.5), np.abs(y_M - 0.5))
    return {"left": x_M, "right": 1 - x_M, "top": y_M, "bottom": 1 - y_M}[place]


MEASURES: dict[Size, tuple[Callable[[Mask], float], int]] = {
    "large": (lambda mask: mask.area, -1),
    "small": (lambda mask: mask.area, 1),
    "tall": (lambda mask: mask.bbox_xywh[3], -1),
    "short": (lambda mask: mask.bbox_xywh[3], 1),
    "wide": (lambda mask: mask.bbox_xywh[2], -1),
    "narrow": (lambda mask: mask.bbox_xywh[2], 1),
}


def _size_factors(masks: Sequence[Mask], size: Size) -> Array:
    """Among several: 1 for the largest down to 0.5 for the middle one, 0 beyond it."""
    measure, direction = MEASURES[size]
    values_M = direction * np.array([measure(mask) for mask in masks], float)
    if len(values_M) < 2 or values_M.min() == values_M.max():
        return np.ones(len(values_M))
    ranks_M = (values_M[:, None] > values_M).sum(1) / (len(values_M) - 1)
    return np.where(values_M <= np.median(values_M), 1 - ranks_M, 0.0)


def _along(chosen: _Choice, by: Place | Size) -> Array:
    """Values of which the smallest comes first."""
    if by in SIZES:
        measure, direction = MEASURES[by]
        return direction * np.array([measure(mask) for mask in chosen.masks], float)
    return _distance(chosen.centres_M2, by)  # type: ignore[arg-type]


def _centre(mask: Mask) -> tuple[float, float]:
    """The mean of a mask's pixels, in parts of the image: x, y from 0 to 1."""
    x0, y0, _, _ = mask.box_xyxy
    ys, xs = np.nonzero(mask.array_of_box())
    height, width = mask.size_hw
    return (x0 + float(xs.mean()) + 0.5) / width, (y0 + float(ys.mean()) + 0.5) / height
