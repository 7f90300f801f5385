"""From the IoUs of every photo to the numbers of the proposal protocol, with intervals over photos.

Legend: D masks in the order of their rank, G targets, T thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anymask.evaluation.recall import Ious, ranks_of_finds, recall_per_target
from anymask.evaluation.report import Report
from anymask.evaluation.statistics import intervals, means

LENGTHS = (10, 100, 1000)
SIZE_LENGTH = 100
BINS = 10  # of probability
SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 10**10)}
"""Areas in pixels; an area on the border belongs to both, as in COCO."""

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class PhotoScore:
    """One photo. `ious`, `baseline_ious` (D, G) of at most 1000 masks; the flags are of the masks that count:
    `hits` have an IoU of 0.75 with a target, `near` of 0.5, `annotated` lie on targets by more than half;
    `probability`, 0..1, is of the same masks.
    """

    key: str
    image: int
    target_areas: NDArray[np.int64]
    ious: Ious
    baseline_ious: Ious
    hits: Flags
    near: Flags
    annotated: Flags
    probability: Values
    masks: int
    seconds: float

    def recalls(self, baseline: bool = False) -> dict[str, Values]:
        """(G,) for each list length."""
        ranks = ranks_of_finds(self.baseline_ious if baseline else self.ious)
        return {str(length): recall_per_target(ranks, length) for length in LENGTHS}

    def recall_of_size(self, size: str) -> Values:
        """Of the targets of that size; only they can be taken."""
        low, high = SIZES[size]
        of_size = (self.target_areas >= low) & (self.target_areas <= high)
        return recall_per_target(ranks_of_finds(self.ious[:, of_size]), SIZE_LENGTH)

    def row(self) -> dict[str, Any]:
        """A line of the table."""
        recalls, baseline = self.recalls(), self.recalls(baseline=True)
        return {
            "key": self.key,
            "targets": len(self.target_areas),
            "masks": self.masks,
            **{f"ar_{k}": round(float(v.mean()), 5) for k, v in recalls.items()},
            **{f"baseline_ar_{k}": round(float(v.mean()), 5) for k, v in baseline.items()},
            "masks_counted": len(self.hits),
            "masks_annotated": int(self.annotated.sum()),
            "hits_75": int(self.hits.sum()),
            "seconds": round(self.seconds, 4),
        }


def summarise(scores: Sequence[PhotoScore]) -> Report:
    """Every number and its 95 % interval. A mean over nothing is None, and so is its interval."""
    recall = _recalls(scores, baseline=False), _recalls(scores, baseline=True)
    sizes = {size: _pooled(scores, [s.recall_of_size(size) for s in scores]) for size in SIZES}
    precision = _precisions(scores)
    per_photo = _pooled(scores, [np.array([s.masks]) for s in scores])
    seconds = _pooled(scores, [np.array([s.seconds]) for s in scores])
    tree = {
        "ar_at": recall[0],
        f"ar_at_{SIZE_LENGTH}_by_size": sizes,
        **precision,
        "masks_per_image": per_photo,
        "seconds_per_image": seconds,
        "baseline": {"ar_at": recall[1]},
    }
    counts = {
        "images": len(scores),
        "targets": sum(len(s.target_areas) for s in scores),
        "masks": sum(s.masks for s in scores),
    }
    return {**counts, **_pick(tree, 0), **_reliability(scores), "ci": _pick(tree, 1)}


def _reliability(scores: Sequence[PhotoScore]) -> Report:
    """The table, bins without a mask left out, and the expected calibration error; None of no masks."""
    probability, right = (
        np.concatenate(parts).astype(np.float64)
        for parts in ([s.probability for s in scores], [s.near for s in scores])
    )
    bins = (probability * BINS).astype(int).clip(0, BINS - 1)
    table = [_bin(number, probability[bins == number], right[bins == number]) for number in np.unique(bins)]
    gaps = [b["count"] * abs(b["mean_probability"] - b["fraction_right"]) for b in table]
    error = round(sum(gaps) / len(probability), 5) if len(probability) else None
    return {"reliability": table, "calibration_error": error}


def _bin(number: int, probability: Values, right: Values) -> dict[str, Any]:
    return {
        "from": round(number / BINS, 3),
        "to": round((number + 1) / BINS, 3),
        "count": len(right),
        "mean_probability": round(float(probability.mean()), 4),
        "fraction_right": round(float(right.mean()), 4),
    }


Estimate = tuple[float | None, list[float] | None]


def _recalls(scores: Sequence[PhotoScore], baseline: bool) -> dict[str, Estimate]:
    recalls = [score.recalls(baseline) for score in scores]
    return {length: _pooled(scores, [r[length] for r in recalls]) for length in recalls[0]}


def _precisions(scores: Sequence[PhotoScore]) -> dict[str, Estimate]:
    columns = {
        "precision_at_75": [s.hits for s in scores],
        "precision_at_75_annotated": [s.hits[s.annotated] for s in scores],
        "tight_at_75": [s.hits[s.near] for s in scores],
    }
    return {name: _pooled(scores, parts) for name, parts in columns.items()}


def _pooled(scores: Sequence[PhotoScore], parts: Sequence[NDArray[Any]]) -> Estimate:
    """Mean over the values of all photos, and its interval."""
    images = np.repeat([score.image for score in scores], [len(part) for part in parts])
    column = {"": np.concatenate(parts).astype(np.float64)}
    if not len(images):
        return None, None
    return means(column)[""], intervals(column, images)[""]


def _pick(tree: dict[str, Any], which: int) -> dict[str, Any]:
    return {k: _pick(v, which) if isinstance(v, dict) else v[which] for k, v in tree.items()}
