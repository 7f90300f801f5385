"""One click on a few fixed photos, answered by a model: what the pictures of a round are made of."""

from __future__ import annotations

import numpy as np

from anymask.api import Model
from anymask.core.mask import Mask
from anymask.data.sources import RecordSource
from anymask.engine.round_evaluation import RoundProtocol, chosen_photos, place
from anymask.engine.round_pictures import Answer
from anymask.evaluation.clicker import next_click
from anymask.evaluation.samples import Sample, checked_pixels, samples_of

MOST = 6  # photos


def answers_of(model: Model, records: RecordSource, protocol: RoundProtocol) -> list[Answer]:
    """For the first photos of the protocol one mask each, the same for every model: `image` (its id in the
    store), `point` (x, y in pixels), `truth` and `mask` (run lengths), `iou`.
    """
    return [
        answer
        for index in chosen_photos(records, protocol)[:MOST]
        if (answer := _answer(model, records, index, protocol.seed)) is not None
    ]


def _answer(model: Model, records: RecordSource, index: int, seed: int) -> Answer | None:
    record = records[index]
    samples = list(samples_of(record, 0))
    image_id = record.fields.get("image", {}).get("image_id")
    if not samples or image_id is None:
        return None
    sample: Sample = min(samples, key=lambda one: place(seed, one.key, one.annotation))
    click = next_click(sample.ground_truth_HW, np.zeros_like(sample.ground_truth_HW), sample.scored_HW, [])
    if click is None:
        return None
    found = model.encode(checked_pixels(record)).segment(points=[click.point_xy], labels=[1]).best
    return {
        "image": image_id,
        "point": [float(value) for value in click.point_xy],
        "truth": Mask.from_array(sample.ground_truth_HW).rle,
        "mask": Mask.from_array(found.array).rle,
        "iou": round(sample.iou(found.array), 4),
    }
