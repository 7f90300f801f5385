"""The ground truth of a photo: its annotated masks, and the ignored pixels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from anymask.core.mask import Mask
from anymask.data.record import Annotation, Record


@dataclass(frozen=True, slots=True)
class GroundTruthMask:
    """An annotated mask, not empty, without its ignored pixels; `ignore` are those, None without any."""

    mask: Mask
    ignore: Mask | None


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """Of one photo. `neutral`: pixels on which a mask is neither right nor wrong, None without any."""

    targets: list[GroundTruthMask]
    neutral: Mask | None

    @property
    def covered(self) -> Mask:
        """Every pixel of a mask; there must be one."""
        return reduce(Mask.__or__, (t.mask for t in self.targets))


def ground_truth_of(record: Record, *, semantic: bool) -> GroundTruth:
    """The masks of a record. Without `semantic` those that join several things are neutral, as crowds are."""
    wanted = [a for a in record.annotations if semantic or not a.semantic]
    left_out = [a for a in record.annotations if a.semantic and not semantic]
    neutral = union((record.ignore, *map(region, [*record.crowd, *left_out])))
    found = (ground_truth_mask(annotation, record.ignore) for annotation in wanted)
    return GroundTruth([t for t in found if t is not None], neutral)


def ground_truth_mask(annotation: Annotation, record_ignore: Mask | None) -> GroundTruthMask | None:
    """None for an annotation without a mask, or with one of ignored pixels alone."""
    mask = annotation.mask
    if mask is None:
        return None
    ignore = union((annotation.ignore, record_ignore))
    mask = mask if ignore is None else mask - ignore
    return None if mask.is_empty else GroundTruthMask(mask, ignore)


def union(masks: Iterable[Mask | None]) -> Mask | None:
    """None of no masks."""
    several = [mask for mask in masks if mask is not None]
    return reduce(Mask.__or__, several) if several else None


def region(annotation: Annotation) -> Mask | None:
    """The mask, or the filled box where there is no mask; None where there is neither."""
    if annotation.mask is not None or "bbox" not in annotation.fields:
        return annotation.mask
    x0, y0, x1, y1 = (round(edge) for edge in annotation.box_xyxy)
    height, width = annotation.size_hw
    return rectangle((max(0, x0), max(0, y0), min(width, x1), min(height, y1)), annotation.size_hw)


def rectangle(box_xyxy: tuple[int, int, int, int], size_hw: tuple[int, int]) -> Mask:
    """A filled box of whole pixels inside an image."""
    x0, y0, x1, y1 = box_xyxy
    height, width = size_hw
    tops = np.arange(x0, max(x0, x1)) * height + y0
    edges = np.stack([tops, tops + max(0, y1 - y0)], axis=1).reshape(-1)
    return Mask.from_rle({"size": size_hw, "counts": np.diff(edges, prepend=0, append=height * width)})
