"""Samples: one annotated mask of one image each, and the pixels on which it is scored.

Knows records and IoU; knows no model and no protocol. Legend: H W image pixels.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from anymask.data.record import Annotation, Record
from anymask.data.sources import RecordSource
from anymask.errors import BadInput

DataPath = str | os.PathLike[str]
Photos = DataPath | RecordSource


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The ground-truth mask of an object in image number `image`; the maps are bool H x W.

    It holds scored pixels only, at least one. `box_xyxy`: its tight box, edges in image coordinates.
    """

    key: str
    image: int
    annotation: int
    ground_truth_HW: np.ndarray
    scored_HW: np.ndarray
    box_xyxy: tuple[float, float, float, float]

    @property
    def area(self) -> int:
        return int(np.count_nonzero(self.ground_truth_HW))

    def iou(self, predicted_HW: np.ndarray) -> float:
        """Intersection over union on the scored pixels."""
        predicted = predicted_HW & self.scored_HW
        union = np.count_nonzero(predicted | self.ground_truth_HW)
        return int(np.count_nonzero(predicted & self.ground_truth_HW)) / int(union)

    def rng(self, seed: int) -> np.random.Generator:
        """Random numbers that are this sample's own, whatever else is scored in the same run."""
        return np.random.default_rng([seed, self.image, self.annotation])


def count_of(records: RecordSource, limit: int | None) -> int:
    """How many of the records are measured: the first `limit`. Raises BadInput for less than one."""
    if limit is not None and limit < 1:
        raise BadInput(f"limit: expected at least 1 image, got {limit}")
    return len(records) if limit is None else min(limit, len(records))


def samples_of(record: Record, image: int) -> Iterator[Sample]:
    """The annotations of a record that have a mask with at least one scored pixel."""
    ignored = np.zeros(record.size_hw, bool) if record.ignore is None else record.ignore.to_array()
    for number, annotation in enumerate(record.annotations):
        ground_truth, scored = _maps(annotation, ~ignored)
        if ground_truth.any():
            yield Sample(record.key, image, number, ground_truth, scored, tight_box(ground_truth))


def _maps(annotation: Annotation, scored_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ground truth and scored pixels of one annotation; without a mask the ground truth is empty."""
    mask, ignore = annotation.mask, annotation.ignore
    scored = scored_HW if ignore is None else scored_HW & ~ignore.to_array()
    return (np.zeros_like(scored) if mask is None else mask.to_array() & scored), scored


def tight_box(ground_truth_HW: np.ndarray) -> tuple[float, float, float, float]:
    """Edges x0, y0, x1, y1 around the True pixels of a map that has some."""
    ys, xs = np.flatnonzero(ground_truth_HW.any(1)), np.flatnonzero(ground_truth_HW.any(0))
    return float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1)


def checked_pixels(record: Record) -> np.ndarray:
    """uint8 H x W x 3 of the size the record names. Raises BadImage, BadInput."""
    pixels = record.read_pixels()
    if pixels.shape[:2] != record.size_hw:
        raise BadInput(f"{record.key}: expected an image of {record.size_hw} (h, w), got {pixels.shape[:2]}")
    return pixels
