"""The boundary benchmark of BSDS500: precision and recall of edges against those that people drew.

At each of 99 thresholds the edges are thinned and matched one to one with the edges of every person, not
farther than 0.75 % of the photo's diagonal. A predicted pixel is right when it has a partner in anybody's
drawing; every drawing asks for all its own pixels. The drawings lie beside each photo in
`<key>.boundaries.npz`, as `boundaries`: people x H x W, bool. Legend: H W image pixels, K people.
"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from anymask.data.record import Record
from anymask.data.sources import open_records
from anymask.errors import BadInput
from anymask.evaluation.bsds.matching import match_edges
from anymask.evaluation.bsds.scores import (
    THRESHOLDS,
    Counts,
    edge_intervals,
    edge_scores,
    f_measure,
    precision_recall,
)
from anymask.evaluation.bsds.sources import EdgeSource
from anymask.evaluation.bsds.thinning import Flags, Floats, thin
from anymask.evaluation.report import Report
from anymask.evaluation.samples import Photos, checked_pixels
from anymask.evaluation.scoring import RunOptions, score_records

MEMBER = "boundaries.npz"
TOLERANCE = 0.0075  # of the diagonal


@dataclass(frozen=True, slots=True, eq=False)
class EdgeScore:
    """One photo: `counts_T4` as in `scores.py`, and the seconds its edges took, matching left out."""

    key: str
    people: int
    counts_T4: Counts
    seconds: float

    def row(self) -> dict[str, Any]:
        """A line of the table: the photo at its own best threshold."""
        precision, recall = precision_recall(self.counts_T4)
        f = f_measure(precision, recall)
        best = int(f.argmax())
        values = THRESHOLDS[best], precision[best], recall[best], f[best]
        names = "threshold", "precision", "recall", "f"
        numbers = {name: round(float(value), 5) for name, value in zip(names, values, strict=True)}
        return {"key": self.key, "people": self.people, **numbers, "seconds": round(self.seconds, 4)}


def evaluate_edges(data: Photos, source: EdgeSource, **run: Unpack[RunOptions]) -> Report:
    """Score the edges of `source` on the photos of a data set; `run`: see `RunOptions`. Raises BadInput for
    data that cannot be read or lack the drawings, StorageError for the CSV.
    """

    def score(_: int, record: Record) -> Iterator[EdgeScore]:
        humans_KHW, pixels = read_boundaries(record), checked_pixels(record)
        started = time.perf_counter()
        strength_HW = source.edges(pixels)
        seconds = time.perf_counter() - started
        yield EdgeScore(record.key, len(humans_KHW), count_matches(strength_HW, humans_KHW), seconds)

    records = open_records(data)
    scores = score_records(records, score, EdgeScore.row, **run)
    counts_IT4 = np.stack([score.counts_T4 for score in scores])
    return {
        "dataset": records.name,
        "model": source.name,
        "images": len(scores),
        **edge_scores(counts_IT4),
        "ci": edge_intervals(counts_IT4),
        "seconds_per_image": float(np.mean([score.seconds for score in scores])),
    }


def read_boundaries(record: Record) -> Flags:
    """(K, H, W) bool: where each person drew an edge. Raises BadInput where the file is missing or wrong."""
    blob = record.member_bytes(MEMBER)
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as maps:
            drawn = maps["boundaries"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(f"cannot read {record.key}.{MEMBER}: {error}") from error
    if drawn.ndim != 3 or len(drawn) == 0 or drawn.shape[1:] != record.size_hw:
        height, width = record.size_hw
        raise BadInput(
            f"{record.key}.{MEMBER}: expected people x {height} x {width} maps, got shape {drawn.shape}"
        )
    return np.asarray(drawn, bool)


def count_matches(strength_HW: Floats, humans_KHW: Iterable[Flags]) -> Counts:
    """(T, 4) counts of one photo. Equal edges at two thresholds are matched once."""
    humans, tolerance = list(humans_KHW), TOLERANCE * float(np.hypot(*strength_HW.shape))
    counts_T4, before_HW = np.zeros((len(THRESHOLDS), 4)), np.zeros((0, 0), bool)
    for row, threshold in enumerate(THRESHOLDS):
        edges_HW = thin(strength_HW >= threshold)
        same = np.array_equal(edges_HW, before_HW)
        counts_T4[row] = counts_T4[row - 1] if same else _count(edges_HW, humans, tolerance)
        before_HW = edges_HW
    return counts_T4


def _count(edges_HW: Flags, humans: list[Flags], tolerance: float) -> NDArray[np.float64]:
    right = np.zeros(np.count_nonzero(edges_HW), bool)
    matched = 0
    for human_HW in humans:
        predicted, drawn = match_edges(edges_HW, human_HW, tolerance)
        right |= predicted
        matched += int(drawn.sum())
    total = sum(int(np.count_nonzero(human_HW)) for human_HW in humans)
    return np.array([matched, total, right.sum(), len(right)], np.float64)
