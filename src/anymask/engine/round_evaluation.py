"""How good is the model of a round? Clicks, boxes and automatic masks on the fixed photos, in less than a
minute.

A sample of the masks, the same for every round: each photo and mask draws from its own key, so that photos
that are added or left out change nothing else. Measures: `iou_click_1`, `iou_box`: IoU of the first answer to
one click at the deepest point, and to the tight box; `ar_at_100`, `precision_at_75`: as in
`evaluation/proposals.py`; `share_right_90`, `share_right_75`: of automatic masks as probable as 0.5 or more
those with an IoU of 0.9, 0.75 with an annotated one; `masks_per_photo`: automatic masks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anymask.api import Model
from anymask.core.progress import Progress
from anymask.data.record import Record
from anymask.data.sources import RecordSource
from anymask.engine.round_scores import RoundScores
from anymask.errors import BadInput
from anymask.evaluation.clicks import run_clicks
from anymask.evaluation.ground_truth import ground_truth_of
from anymask.evaluation.proposals import TIGHT_IOU, ious_with, mostly_on, ranked
from anymask.evaluation.recall import ranks_of_finds, recall_per_target
from anymask.evaluation.samples import Sample, checked_pixels, samples_of

LENGTH = 100  # of a list of automatic masks
RIGHT_IOU = 0.9
SURE = 0.5  # probability of a mask that counts as given out


@dataclass(frozen=True, slots=True)
class RoundProtocol:
    """How much is measured. `photos`: at most so many; `masks`: of each photo, for clicks and boxes;
    `automatic`: photos that are searched for automatic masks, the first of them. `seed`: of the choice.
    """

    photos: int = 50
    masks: int = 2
    automatic: int = 8
    seed: int = 0


FULL = RoundProtocol()
QUICK = RoundProtocol(photos=16, masks=2, automatic=4)


def evaluate_round(
    model: Model, records: RecordSource, protocol: RoundProtocol = FULL, progress: Progress | None = None
) -> RoundScores:
    """Scores of `model` on annotated photos. Raises BadInput where none has a mask."""
    scores, chosen = RoundScores(), chosen_photos(records, protocol)
    for number, index in enumerate(chosen):
        record = records[index]
        scores.add(record.key, score_photo(model, record, protocol, number < protocol.automatic))
        if progress is not None:
            progress(number + 1, len(chosen))
    if not scores.measures:
        raise BadInput(f"no masks to score in {records.name}")
    return scores


def chosen_photos(records: RecordSource, protocol: RoundProtocol) -> list[int]:
    """Those whose keys come first in an order of their own, by the seed."""
    return sorted(range(len(records)), key=lambda i: place(protocol.seed, records.keys[i]))[: protocol.photos]


def place(seed: int, *names: object) -> int:
    """A number that is drawn from the seed and the names alone."""
    text = "\0".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def score_photo(
    model: Model, record: Record, protocol: RoundProtocol, automatic: bool
) -> dict[str, Sequence[float]]:
    """The values of every measure; none of a photo without masks."""
    samples = list(samples_of(record, 0))
    if not samples:
        return {}
    pixels = checked_pixels(record)
    image = model.encode(pixels)
    chosen = sorted(samples, key=lambda s: place(protocol.seed, s.key, s.annotation))[: protocol.masks]
    clicks = [run_clicks(sample, image, 1).ious[0] for sample in chosen]
    boxes = [box_iou(sample, image) for sample in chosen]
    found = automatic_values(model, pixels, record) if automatic else {}
    return {"iou_click_1": clicks, "iou_box": boxes, **found}


def box_iou(sample: Sample, image: Any) -> float:
    return sample.iou(image.segment(box=sample.box_xyxy).best.array)


def automatic_values(model: Model, pixels_HW3: np.ndarray, record: Record) -> dict[str, Sequence[float]]:
    targets = ground_truth_of(record, semantic=True)
    found = ranked(model.everything(pixels_HW3))
    masks = [f.mask for f in found]
    ious = ious_with(masks, targets.targets)
    best = ious.max(axis=1) if len(masks) else np.zeros(0)
    counts = ~mostly_on(masks, targets.neutral) | (best >= TIGHT_IOU)
    sure = counts & (np.array([f.probability for f in found]) >= SURE)
    recall = recall_per_target(ranks_of_finds(ious[:LENGTH]), LENGTH)
    return {
        "ar_at_100": recall.tolist(),
        "precision_at_75": (best >= TIGHT_IOU)[counts].tolist(),
        "share_right_90": (best >= RIGHT_IOU)[sure].tolist(),
        "share_right_75": (best >= TIGHT_IOU)[sure].tolist(),
        "masks_per_photo": [float(len(masks))],
    }
