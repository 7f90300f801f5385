"""The click protocol of interactive segmentation: IoU after k simulated clicks, and number of clicks (NoC).

The first click is answered with the candidate that the model ranks first (oracle: the one that fits best);
each further prompt holds all simulated clicks (`clicker.py`) and the previous answer, without test-time
augmentation. NoC@t is the number of the first click that reaches an IoU of t %, or the maximum, which counts
as a failure, as in the published protocol. Once nothing is left to correct the IoU stays.
Legend: S samples, K clicks, H W image pixels.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Unpack

import numpy as np

from anymask.errors import BadOption
from anymask.evaluation.clicker import Click, next_click, random_click
from anymask.evaluation.protocol import Answer, EncodedImage, Predictor
from anymask.evaluation.report import Report
from anymask.evaluation.samples import Photos, Sample
from anymask.evaluation.scoring import RunOptions, score_samples
from anymask.evaluation.statistics import intervals, means

GOALS = (85, 90)
FIRST_CLICK_SEED = 1
FirstClick = Literal["centre", "random"]


@dataclass(frozen=True, slots=True)
class Trace:
    """One sample: IoU after click 1, 2, ..., the clicks and the seconds they took."""

    sample: Sample
    ious: tuple[float, ...]
    oracle_iou: float
    clicks: tuple[Click, ...]
    seconds: float

    def clicks_to(self, goal_percent: int) -> int:
        """NoC: the first click at which the IoU reaches the goal; the maximum when none does."""
        reached = (n for n, iou in enumerate(self.ious, 1) if iou >= goal_percent / 100)
        return next(reached, len(self.ious))


def evaluate_clicks(
    data: Photos,
    model: Predictor,
    *,
    max_clicks: int = 20,
    first: FirstClick = "centre",
    **run: Unpack[RunOptions],
) -> Report:
    """Score `model` with simulated clicks on every mask of a data set; `run`: see `RunOptions`. Raises
    BadInput for data that cannot be read or hold no mask, BadOption for a value that is not allowed,
    StorageError for the CSV.
    """
    if max_clicks < 1:
        raise BadOption(f"max_clicks: expected at least 1, got {max_clicks}")
    if first not in ("centre", "random"):
        raise BadOption(f"first: expected 'centre' or 'random', got {first!r}")

    def score(sample: Sample, image: EncodedImage) -> Iterator[Trace]:
        yield run_clicks(sample, image, max_clicks, first)

    facts, traces, seconds = score_samples(data, model, score, _row, **run)
    return {**facts, **summarise(traces), "first_click": first, "encode_seconds": seconds}


def run_clicks(sample: Sample, image: EncodedImage, max_clicks: int, first: FirstClick = "centre") -> Trace:
    """Click until the budget is spent or nothing is left to correct."""
    predicted = np.zeros_like(sample.ground_truth_HW)
    clicks: list[Click] = []
    ious: list[float] = []
    answer: Answer | None = None
    oracle_iou = seconds = 0.0
    for number in range(max_clicks):
        if first == "random" and not number:
            click: Click | None = random_click(sample.ground_truth_HW, sample.rng(FIRST_CLICK_SEED))
        else:
            click = next_click(sample.ground_truth_HW, predicted, sample.scored_HW, clicks)
        if click is None:
            break
        clicks.append(click)
        points, labels = [c.point_xy for c in clicks], [c.label for c in clicks]
        started = time.perf_counter()
        answer = image.segment(points=points, labels=labels, mask=answer)
        predicted = answer.best.array
        seconds += time.perf_counter() - started
        ious.append(sample.iou(predicted))
        if not number:
            oracle_iou = max(sample.iou(candidate.array) for candidate in answer)
    ious += ious[-1:] * (max_clicks - len(ious))
    return Trace(sample, tuple(ious), oracle_iou, tuple(clicks), seconds)


def summarise(traces: list[Trace]) -> Report:
    """Means over samples, 95 % intervals over images, failures as counts. Needs a trace."""
    images_S = np.array([t.sample.image for t in traces])
    ious_SK = np.array([t.ious for t in traces])
    oracle = {"oracle_iou_at_1": np.array([t.oracle_iou for t in traces])}
    iou_at = {str(k + 1): ious_SK[:, k] for k in range(ious_SK.shape[1])}
    over_images = partial(intervals, images_S=images_S)
    noc = {str(goal): np.array([t.clicks_to(goal) for t in traces]) for goal in GOALS}
    return {
        "samples": len(traces),
        "images": len(np.unique(images_S)),
        "iou_at": means(iou_at),
        **means(oracle),
        "noc": means(noc),
        "failures": {goal: int((clicks_S == ious_SK.shape[1]).sum()) for goal, clicks_S in noc.items()},
        "ci": {"iou_at": over_images(iou_at), **over_images(oracle), "noc": over_images(noc)},
        "seconds_per_click": sum(t.seconds for t in traces) / sum(len(t.clicks) for t in traces),
    }


def _row(trace: Trace) -> dict[str, Any]:
    return {
        **trace.sample.row(),
        **{f"noc_{goal}": trace.clicks_to(goal) for goal in GOALS},
        "oracle_iou_1": round(trace.oracle_iou, 5),
        "seconds": round(trace.seconds, 5),
        **{f"iou_{k}": round(iou, 5) for k, iou in enumerate(trace.ious, 1)},
        "clicks": " ".join(f"{c.x},{c.y},{'+' if c.positive else '-'}" for c in trace.clicks),
    }
