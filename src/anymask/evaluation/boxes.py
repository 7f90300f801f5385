"""The box protocol: IoU of the mask that the box of the ground truth is answered with.

Once with the tight box, once jittered as a person would draw it: every coordinate moved by up to 10 % of the
side, uniformly, with a seed of its own per mask. One answer, no corrections.
Legend: S samples.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from anymask.core.progress import Progress
from anymask.evaluation.protocol import EncodedImage, Predictor
from anymask.evaluation.report import Report
from anymask.evaluation.samples import DataPath, Photos, Sample
from anymask.evaluation.scoring import score_each
from anymask.evaluation.statistics import intervals, means

JITTER = 0.1
JITTER_SEED = 2

BoxXyxy = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class BoxScore:
    """IoU of one sample from its exact and its jittered box, and the seconds both answers took.

    `iou_filled`: of the exact box taken as the mask, the baseline.
    """

    sample: Sample
    iou: float
    iou_jittered: float
    iou_filled: float
    jittered_xyxy: BoxXyxy
    seconds: float


def evaluate_boxes(
    data: Photos,
    model: Predictor,
    *,
    limit: int | None = None,
    csv_path: DataPath | None = None,
    progress: Progress | None = None,
) -> Report:
    """Score `model` with the boxes of every mask of a data set (`limit`: of its first so many images).

    `progress(done, total)` is called after every image; `csv_path` receives one line per sample. Raises as
    `score_each` does.
    """
    options: Any = {"limit": limit, "csv_path": csv_path, "progress": progress}
    found = score_each(data, model, score_boxes, _row, **options)
    timing = {"encode_seconds": found.encode_seconds}
    return {"dataset": found.dataset, "model": model.name, **summarise(found.scores), **timing}


def score_boxes(sample: Sample, image: EncodedImage) -> Iterator[BoxScore]:
    jittered = jitter(sample.box_xyxy, sample.ground_truth_HW.shape, sample.rng(JITTER_SEED))
    started = time.perf_counter()
    masks = [image.segment(box=box).best.array for box in (sample.box_xyxy, jittered)]
    seconds = time.perf_counter() - started
    exact, moved, filled = (sample.iou(mask) for mask in (*masks, _fill(sample)))
    yield BoxScore(sample, exact, moved, filled, jittered, seconds)


def _fill(sample: Sample) -> np.ndarray:
    x0, y0, x1, y1 = (int(edge) for edge in sample.box_xyxy)
    mask = np.zeros_like(sample.ground_truth_HW)
    mask[y0:y1, x0:x1] = True
    return mask


def jitter(box_xyxy: BoxXyxy, size_hw: tuple[int, ...], rng: np.random.Generator) -> BoxXyxy:
    """Every coordinate moved by up to 10 % of the side, inside the image."""
    x0, y0, x1, y1 = box_xyxy
    width, height = x1 - x0, y1 - y0
    reach = JITTER * np.array([width, height, width, height])
    moved = np.array(box_xyxy) + rng.uniform(-1, 1, 4) * reach
    x0, y0, x1, y1 = np.clip(moved, 0, np.array(size_hw)[[1, 0, 1, 0]]).tolist()
    return x0, y0, x1, y1


def summarise(scores: list[BoxScore]) -> Report:
    """Means over samples and 95 % intervals over images. Needs a score."""
    images_S = np.array([s.sample.image for s in scores])
    ious = {
        "miou": np.array([s.iou for s in scores]),
        "miou_jittered": np.array([s.iou_jittered for s in scores]),
        "miou_filled_box": np.array([s.iou_filled for s in scores]),
    }
    return {
        "samples": len(scores),
        "images": len(np.unique(images_S)),
        **means(ious),
        "ci": intervals(ious, images_S),
        "seconds_per_box": sum(s.seconds for s in scores) / (2 * len(scores)),
    }


def _row(score: BoxScore) -> dict[str, Any]:
    sample = score.sample
    return {
        "key": sample.key,
        "annotation": sample.annotation,
        "area": sample.area,
        "iou": round(score.iou, 5),
        "iou_jittered": round(score.iou_jittered, 5),
        "iou_filled": round(score.iou_filled, 5),
        "seconds": round(score.seconds, 5),
        "box_xyxy": " ".join(f"{v:g}" for v in sample.box_xyxy),
        "jittered_xyxy": " ".join(f"{v:.2f}" for v in score.jittered_xyxy),
    }
