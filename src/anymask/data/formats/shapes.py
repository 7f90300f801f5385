"""Shapes of annotation programs: which belong to one thing, and what they become together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anymask.core.mask import Mask
from anymask.data.formats.contents import SCORES, Fields
from anymask.data.record import Annotation, annotation_of, box_annotation
from anymask.errors import BadInput, mapped
from anymask.settings import get_settings

ROTATED = "rotated boxes became the upright boxes around them"
NO_AREA = "shapes without an area (points, lines, tags) passed over"
CORNERS_OF_AN_ELLIPSE = 256
BoxXywh = tuple[float, float, float, float]


@dataclass(slots=True)
class Thing:
    """What is one object: masks that are its pieces and, only where there is none, a box."""

    category: str | None
    more: Fields
    masks: list[Mask] = field(default_factory=list)
    boxes: list[BoxXywh] = field(default_factory=list)

    def add(self, shape: Mask | BoxXywh) -> None:
        if isinstance(shape, Mask):
            self.masks.append(shape)
        else:
            self.boxes.append(shape)

    def annotations(self, number: int) -> list[Fields]:
        """Numbered from `number`. Boxes of one thing are only one when it has a mask."""
        if self.masks:
            return [annotation_of(number, reduce(Mask.__or__, self.masks), self.category, **self.more)]
        return [
            box_annotation(number + place, box, self.category, **self.more)
            for place, box in enumerate(self.boxes)
        ]


class Things:
    """Shapes of one photo, joined where they have the same label and the same group."""

    def __init__(self) -> None:
        self._things: dict[Any, Thing] = {}

    def add(self, shape: Mask | BoxXywh, category: str | None, group: Any, more: Fields) -> None:
        key = (category, str(group)) if group else len(self._things)
        self._things.setdefault(key, Thing(category, more)).add(shape)

    def annotations(self) -> list[Fields]:
        found: list[Fields] = []
        for thing in self._things.values():
            found += thing.annotations(len(found) + 1)
        return found


def rotated_corners(box: BoxXywh, degrees: float, pivot_xy: tuple[float, float]) -> NDArray[np.float64]:
    """The corners of a box turned clockwise as seen, 4 x 2."""
    x, y, w, h = box
    corners = np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], np.float64)
    turn = math.radians(degrees)
    cos, sin = math.cos(turn), math.sin(turn)
    return np.asarray((corners - pivot_xy) @ np.array([[cos, sin], [-sin, cos]]) + pivot_xy)


def around(points: NDArray[np.float64]) -> BoxXywh:
    (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return x0, y0, x1 - x0, y1 - y0


def ellipse(centre_xy: Sequence[float], radii: Sequence[float], degrees: float = 0) -> NDArray[np.float64]:
    """Its outline as corners, turned clockwise as seen."""
    turns = np.linspace(0, 2 * math.pi, CORNERS_OF_AN_ELLIPSE, endpoint=False)
    upright = np.stack([np.cos(turns) * radii[0], np.sin(turns) * radii[1]], axis=1)
    turn = math.radians(degrees)
    cos, sin = math.cos(turn), math.sin(turn)
    return np.asarray(upright @ np.array([[cos, sin], [-sin, cos]]) + np.asarray(centre_xy))


def numbers(values: Sequence[Any], what: str) -> list[float]:
    """Finite numbers, also of text. Raises BadInput."""
    with mapped((TypeError, ValueError, OverflowError), BadInput, f"expected {what} to be numbers"):
        found = [float(value) for value in values]
    if not all(map(math.isfinite, found)):
        raise BadInput(f"expected {what} to be finite numbers")
    return found


def whole_numbers(values: Sequence[Any], what: str) -> list[int]:
    """Raises BadInput."""
    found = numbers(values, what)
    if any(value != value // 1 for value in found):
        raise BadInput(f"expected {what} to be whole numbers")
    return [int(value) for value in found]


def check_pixels(size_hw: tuple[int, int]) -> None:
    """Before pixels are drawn whose number a file says. Raises BadInput."""
    limit = get_settings().max_pixels
    if size_hw[0] * size_hw[1] > limit:
        raise BadInput(f"expected a mask of at most {limit:,} pixels, got {size_hw} (h, w)")


def confidence_of(annotation: Annotation) -> float | None:
    """The one score for programs that know one: the probability, if there is one."""
    found = scores_of(annotation)
    names = ("probability", "predicted_iou", "score", "stability_score")
    return next((float(found[name]) for name in names if name in found), None)


def scores_of(annotation: Annotation) -> dict[str, float]:
    own = annotation.fields
    found = {name: own[name] for name in SCORES if isinstance(own.get(name), int | float)}
    return {name: value for name, value in found.items() if not isinstance(value, bool)}
