"""Samples: one annotated mask of one image each, and the pixels on which it is scored (H W of the image)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from anymask.data.record import Record
from anymask.data.sources import RecordSource
from anymask.errors import BadInput
from anymask.evaluation.ground_truth import ground_truth_mask

DataPath = str | os.PathLike[str]
Photos = DataPath | RecordSource
BoxXyxy = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The ground-truth mask of an object in image number `image`; the maps are bool H x W. It holds scored
    pixels only, at least one. `box_xyxy`: its tight box, edges in image coordinates.
    """

    key: str
    image: int
    annotation: int
    ground_truth_HW: np.ndarray
    scored_HW: np.ndarray
    box_xyxy: BoxXyxy

    @property
    def area(self) -> int:
        return int(np.count_nonzero(self.ground_truth_HW))

    def row(self) -> dict[str, Any]:
        """What a line of a table says of the sample."""
        return {"key": self.key, "annotation": self.annotation, "area": self.area}

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
    record_ignore = record.ignore
    for number, annotation in enumerate(record.annotations):
        if found := ground_truth_mask(annotation, record_ignore):
            mask, ignore = found.mask, found.ignore
            scored = np.ones(record.size_hw, bool) if ignore is None else ~ignore.to_array()
            yield Sample(record.key, image, number, mask.to_array(), scored, mask.box_xyxy)


def checked_pixels(record: Record) -> np.ndarray:
    """uint8 H x W x 3 of the size the record names. Raises BadImage, BadInput."""
    pixels = record.read_pixels()
    if pixels.shape[:2] != record.size_hw:
        raise BadInput(f"{record.key}: expected an image of {record.size_hw} (h, w), got {pixels.shape[:2]}")
    return pixels
