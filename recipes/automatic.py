"""Which thresholds make automatic masks precise? Asks for masks once, then tries thresholds on what came.

    python recipes/automatic.py DATA/val/coco.tar --model exported/lite.json

Prints the thresholds with most masks a photo at each precision, also for photos of even and of odd number
alone: what holds on one half only is chance. The chosen ones go onto the model's card (`automatic`).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import anymask
from anymask.api import EncodedImage, Model
from anymask.cli.reporting import progress_line
from anymask.core.boxes import matrix_nms
from anymask.core.mask import Mask, iou_matrix
from anymask.core.prompt import Prompt
from anymask.data.sources import open_records
from anymask.evaluation.ground_truth import ground_truth_of as targets_of
from anymask.evaluation.proposals import TIGHT_IOU, ious_with, mostly_on
from anymask.inference.generator import Search, settings_for
from anymask.inference.scoring import LowResScorer

ISLANDS, DUPLICATE, PRECISIONS = 100, 0.7, (0.5, 0.52, 0.55, 0.6, 0.7)
BOX_SCORES, BOX_IOUS, BOX_STABILITIES = (
    np.arange(0.2, 0.6, 0.02),
    (0.6, 0.7, 0.75, 0.8, 0.85),
    (0.5, 0.6, 0.7),
)
IOUS, STABILITIES = (0.88, 0.9, 0.92, 0.94, 2.0), (0.5, 0.7, 0.8)


@dataclass(frozen=True, slots=True)
class Answers:
    """Of one photo, best predicted IoU first. `scores_N4`: box score (0: of the grid), predicted IoU,
    stability, 1 for a box. `hits_N`, `neutral_N`: does it fit a target, does it count nowhere.
    """

    scores_N4: NDArray[np.float64]
    hits_N: NDArray[np.bool_]
    neutral_N: NDArray[np.bool_]
    overlap_NN: NDArray[np.float64]

    def kept(self, chosen_N: NDArray[np.bool_]) -> list[int]:
        """Those chosen that are no duplicates of a better one."""
        chosen = np.flatnonzero(chosen_N)
        overlap_CC, iou_C = self.overlap_NN[np.ix_(chosen, chosen)], self.scores_N4[chosen, 1]
        return chosen[matrix_nms(overlap_CC, iou_C, DUPLICATE)].tolist()


def collect(model: Model, path: Path) -> list[Answers]:
    found = []
    side = settings_for(model, "fast").points_per_side  # as it is asked in use, though here without boxes
    grid = {"boxes": 0, "points_per_side": side, "pred_iou_thresh": 0.85, "stability_score_thresh": 0.5}
    loose = settings_for(model, "fast", **grid)
    photos = open_records(path)
    for number, record in enumerate(photos, 1):
        targets = targets_of(record, semantic=True)
        if not targets.targets:
            continue
        pixels = record.read_pixels()
        masks, scores = in_boxes(model.encode(pixels))
        for m in Search(model, loose).of_pixels(pixels).masks:
            masks.append(m.mask)
            scores.append((0.0, m.predicted_iou, m.stability_score, 0.0))
        order = np.argsort([-s[1] for s in scores], kind="stable")
        masks = [masks[i] for i in order]
        hits = (ious_with(masks, targets.targets) >= TIGHT_IOU).any(1)
        overlap = iou_matrix(masks, masks)
        neutral = mostly_on(masks, targets.neutral) & ~hits
        found.append(Answers(np.array(scores)[order], hits, neutral, overlap))
        progress_line(number, len(photos))
    return found


def in_boxes(image: EncodedImage) -> tuple[list[Mask], list[tuple[float, ...]]]:
    boxes = image.detect_boxes(60, float(BOX_SCORES[0]))
    answers = image.segment_batch([Prompt.of(box=box) for box in boxes.boxes_xyxy_K4])
    scorer = LowResScorer(image.transform, image.model.spec.low_res_size, 1.0)
    masks, scores = [], []
    for score, answer in zip(boxes.scores_K, answers, strict=True):
        best = answer.best
        if not best.mask.is_empty:
            masks.append(best.mask.without_small_regions(ISLANDS))
            scores.append((float(score), best.iou, scorer.stability(best.low_res_logits, 0), 1.0))
    return masks, scores


def precision(photos: list[Answers], thresholds: tuple[float, ...]) -> tuple[float, float]:
    """Of all masks that are kept, and how many they are for a photo."""
    box_score, box_iou, box_stability, iou, stability = thresholds
    hits = counted = 0
    for photo in photos:
        score, predicted, stable, is_box = photo.scores_N4.T
        of_box = (is_box > 0) & (score >= box_score) & (predicted > box_iou) & (stable >= box_stability)
        kept = photo.kept(of_box | ((is_box == 0) & (predicted > iou) & (stable >= stability)))
        counts = [i for i in kept if not photo.neutral_N[i]]
        hits, counted = hits + int(photo.hits_N[counts].sum()), counted + len(counts)
    return hits / max(1, counted), counted / len(photos)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="lite")
    options = parser.parse_args()
    photos = collect(anymask.load(options.model), options.data)
    tried = {
        t: precision(photos, t) for t in product(BOX_SCORES, BOX_IOUS, BOX_STABILITIES, IOUS, STABILITIES)
    }
    print("\nbox score, IoU, stability; IoU, stability of the grid: precision (even, odd), masks a photo")
    for least in PRECISIONS:
        good = sorted((t for t in tried if tried[t][0] >= least), key=lambda t: -tried[t][1])
        for thresholds in good[:3]:
            halves = [precision(photos[half::2], thresholds)[0] for half in (0, 1)]
            names = ", ".join(f"{v:.2f}" for v in thresholds)
            reached, count = tried[thresholds]
            print(f"{names}: {reached:.3f} ({halves[0]:.2f}, {halves[1]:.2f}), {count:.2f}")


if __name__ == "__main__":
    main()
