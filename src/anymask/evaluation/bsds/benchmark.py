"""The boundary benchmark of BSDS500: precision and recall of edges against those that people drew.

At each of 99 thresholds the edges are thinned and matched one to one with the edges of every person, not
farther than 0.75 % of the photo's diagonal (`matching.py`). A predicted pixel is right when it has a partner
in the drawing of anybody; every drawing asks for all its own pixels. `scores.py` makes ODS, OIS, AP and R50
of the counts.

The drawings lie beside each photo in `<key>.boundaries.npz`, as `boundaries`: people x H x W, bool, lines of
one pixel. Legend: H W image pixels, K people.
"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anymask.core.progress import Progress
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
from anymask.evaluation.report import Report, csv_table
from anymask.evaluation.samples import DataPath, Photos, checked_pixels, count_of

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
        values = {"threshold": THRESHOLDS[best], "precision": precision[best], "recall": recall[best]}
        numbers = {name: round(float(value), 5) for name, value in {**values, "f": f[best]}.items()}
        return {"key": self.key, "people": self.people, **numbers, "seconds": round(self.seconds, 4)}


def evaluate_edges(
    data: Photos,
    source: EdgeSource,
    *,
    limit: int | None = None,
    csv_path: DataPath | None = None,
    progress: Progress | None = None,
) -> Report:
    """Score the edges of `source` on the photos of a data set (`limit`: of its first so many).

    `progress(done, total)` is called after every photo; `csv_path` receives one line per photo. Raises
    BadInput for data that cannot be read or lack the drawings, StorageError for the CSV.
    """
    records = open_records(data)
    count = count_of(records, limit)
    scores: list[EdgeScore] = []
    with csv_table(csv_path) as write_row:
        for number in range(count):
            scores.append(_score(records[number], source))
            write_row(scores[-1].row())
            if progress is not None:
                progress(number + 1, count)
    counts_IT4 = np.stack([score.counts_T4 for score in scores])
    return {
        "dataset": records.name,
        "model": source.name,
        "images": count,
        **edge_scores(counts_IT4),
        "ci": edge_intervals(counts_IT4),
        "seconds_per_image": float(np.mean([score.seconds for score in scores])),
    }


def _score(record: Record, source: EdgeSource) -> EdgeScore:
    humans_KHW = read_boundaries(record)
    pixels = checked_pixels(record)
    started = time.perf_counter()
    strength_HW = source.edges(pixels)
    seconds = time.perf_counter() - started
    return EdgeScore(record.key, len(humans_KHW), count_matches(strength_HW, humans_KHW), seconds)


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
    humans = list(humans_KHW)
    tolerance = TOLERANCE * float(np.hypot(*strength_HW.shape))
    counts_T4 = np.zeros((len(THRESHOLDS), 4))
    known: dict[bytes, NDArray[np.float64]] = {}
    for row, threshold in enumerate(THRESHOLDS):
        edges_HW = thin(strength_HW >= threshold)
        name = np.packbits(edges_HW).tobytes()
        if name not in known:
            known = {name: _count(edges_HW, humans, tolerance)}
        counts_T4[row] = known[name]
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
