"""ODS, OIS, AP and R50 from matched edge pixels, as the BSDS500 benchmark defines them.

Precision and recall belong to sums over photos: matched predicted pixels by predicted pixels, and matched
human pixels by human pixels, all people together. ODS is the best F of one threshold for all photos (between
two thresholds precision and recall run straight); OIS that of the sums when every photo has its own best; AP
the mean precision at recall 0, 0.01, ... 1, none where the curve does not reach; R50 the largest recall at a
precision of one half or more, 0 where that is never reached. (The usual R50 interpolates over sorted
precisions: the same where precision falls as recall rises, noise where it does not.)
Legend: I photos, T thresholds, D draws; the last axis of counts is matched ground truth, ground truth,
matched predicted, predicted.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from anymask.evaluation.statistics import draws, interval_of

THRESHOLDS = np.arange(1, 100) / 100
STEPS = np.linspace(0, 1, 100)  # between two thresholds

Counts = NDArray[np.float64]
Values = NDArray[np.float64]


def edge_scores(counts_IT4: Counts) -> dict[str, float]:
    """ "ods", "ois", "ap", "r50" of at least one photo."""
    totals_T4, best_4 = counts_IT4.sum(axis=0), best_counts(counts_IT4).sum(axis=0)
    return {name: score(totals_T4, best_4) for name, score in SCORES.items()}


def edge_intervals(counts_IT4: Counts) -> dict[str, list[float]]:
    """95 % bootstrap interval of each score over photos."""
    draws_DI = draws(len(counts_IT4))
    totals_DT4 = np.tensordot(draws_DI.astype(np.float64), counts_IT4, axes=1)
    best_D4 = draws_DI @ best_counts(counts_IT4)
    return {
        name: interval_of(np.array(list(map(score, totals_DT4, best_D4)))) for name, score in SCORES.items()
    }


def best_counts(counts_IT4: Counts) -> Counts:
    """(I, 4): of each photo those at the threshold of its best F, the lowest of equals."""
    best_I = f_measure(*precision_recall(counts_IT4)).argmax(axis=1)
    chosen: Counts = counts_IT4[np.arange(len(counts_IT4)), best_I]
    return chosen


def precision_recall(counts: Counts) -> tuple[Values, Values]:
    """(..., 4) -> precision and recall (...); 0 where nothing could be counted."""
    precision = counts[..., 2] / np.maximum(counts[..., 3], 1)
    recall = counts[..., 0] / np.maximum(counts[..., 1], 1)
    return precision, recall


def f_measure(precision: Values, recall: Values) -> Values:
    """Harmonic mean; 0 where both are."""
    total = precision + recall
    f: Values = 2 * precision * recall / np.where(total > 0, total, 1)
    return f


def _ods(totals_T4: Counts, best_4: Counts) -> float:
    precision, recall = (_between(values) for values in precision_recall(totals_T4))
    return float(f_measure(precision, recall).max())


def _between(values_T: Values) -> Values:
    """The straight lines from each threshold to the next."""
    return values_T[:-1, None] * (1 - STEPS) + values_T[1:, None] * STEPS


def _ois(totals_T4: Counts, best_4: Counts) -> float:
    return float(f_measure(*precision_recall(best_4)))


def _ap(totals_T4: Counts, best_4: Counts) -> float:
    precision, recall = precision_recall(totals_T4[totals_T4[:, 3] > 0])
    if not len(recall):
        return 0.0
    recalls, first = np.unique(recall, return_index=True)
    at = np.linspace(0, 1, 101)
    inside = (at >= recalls[0]) & (at <= recalls[-1])
    return float(np.interp(at[inside], recalls, precision[first]).sum() / 100)


def _r50(totals_T4: Counts, best_4: Counts) -> float:
    precision, recall = (_between(values) for values in precision_recall(totals_T4))
    return float(recall[precision >= 0.5].max(initial=0))


SCORES: dict[str, Callable[[Counts, Counts], float]] = {"ods": _ods, "ois": _ois, "ap": _ap, "r50": _r50}
