"""The box protocol: IoU of the mask that the box of the ground truth is answered with.

Once with the tight box, once jittered: every coordinate moved by up to 10 % of the side, uniformly, with a
seed of its own per mask. One answer, no corrections. Legend: S samples.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np

from anymask.evaluation.protocol import EncodedImage, Predictor
from anymask.evaluation.report import Report
from anymask.evaluation.samples import BoxXyxy, Photos, Sample
from anymask.evaluation.scoring import RunOptions, score_samples
from anymask.evaluation.statistics import intervals, means

JITTER = 0.1
JITTER_SEED = 2


@dataclass(frozen=True, slots=True)
class BoxScore:
    """IoU from the exact box, the jittered box, and of the filled box (baseline); seconds of both answers."""

    sample: Sample
    iou: float
    iou_jittered: float
    iou_filled: float
    jittered_xyxy: BoxXyxy
    seconds: float


def evaluate_boxes(data: Photos, model: Predictor, **run: Unpack[RunOptions]) -> Report:
    """Score `model` with the boxes of every mask of a data set; `run`: see `RunOptions`. Raises BadInput for
    data that cannot be read or hold no mask, StorageError for the CSV.
    """
    facts, scores, seconds = score_samples(data, model, score_boxes, _row, **run)
    return {**facts, **summarise(scores), "encode_seconds": seconds}


def score_boxes(sample: Sample, image: EncodedImage) -> Iterator[BoxScore]:
    jittered = jitter(sample.box_xyxy, sample.ground_truth_HW.shape, sample.rng(JITTER_SEED))
    started = time.perf_counter()
    masks = [image.segment(box=box).best.array for box in (sample.box_xyxy, jittered)]
    seconds = time.perf_counter() - started
    x0, y0, x1, y1 = map(int, sample.box_xyxy)
    filled = np.zeros_like(sample.ground_truth_HW)
    filled[y0:y1, x0:x1] = True
    exact, moved, baseline = (sample.iou(mask) for mask in (*masks, filled))
    yield BoxScore(sample, exact, moved, baseline, jittered, seconds)


def jitter(box_xyxy: BoxXyxy, size_hw: tuple[int, ...], rng: np.random.Generator) -> BoxXyxy:
    """Every coordinate moved by up to 10 % of the side, inside the image."""
    x0, y0, x1, y1 = box_xyxy
    reach = JITTER * np.array([x1 - x0, y1 - y0] * 2)
    moved = np.array(box_xyxy) + rng.uniform(-1, 1, 4) * reach
    x0, y0, x1, y1 = np.clip(moved, 0, np.array(size_hw)[[1, 0, 1, 0]]).tolist()
    return x0, y0, x1, y1


def summarise(scores: list[BoxScore]) -> Report:
    """Means over samples and 95 % intervals over images. Needs a score."""
    images_S = np.array([s.sample.image for s in scores])
    columns = np.array([(s.iou, s.iou_jittered, s.iou_filled) for s in scores]).T
    ious = dict(zip(("miou", "miou_jittered", "miou_filled_box"), columns, strict=True))
    return {
        "samples": len(scores),
        "images": len(np.unique(images_S)),
        **means(ious),
        "ci": intervals(ious, images_S),
        "seconds_per_box": sum(s.seconds for s in scores) / (2 * len(scores)),
    }


def _row(score: BoxScore) -> dict[str, Any]:
    return {
        **score.sample.row(),
        **{k: round(getattr(score, k), 5) for k in ("iou", "iou_jittered", "iou_filled", "seconds")},
        "box_xyxy": " ".join(f"{v:g}" for v in score.sample.box_xyxy),
        "jittered_xyxy": " ".join(f"{v:.2f}" for v in score.jittered_xyxy),
    }
