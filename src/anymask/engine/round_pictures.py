"""What a round brought, to look at: one click on a few fixed photos, answered by the model before and after.

Written beside the model of the round when it is measured, so that nobody waits for two models later.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anymask.api import Model
from anymask.core.mask import Mask
from anymask.data.sources import RecordSource
from anymask.engine.round_evaluation import RoundProtocol, chosen_photos, place
from anymask.errors import BadInput, mapped
from anymask.evaluation.clicker import next_click
from anymask.evaluation.samples import Sample, checked_pixels, samples_of
from anymask.files import write_atomically

PICTURES = "pictures.json"
MOST = 6  # photos
Answer = dict[str, Any]


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


def write_pictures(folder: Path, before: Sequence[Answer], after: Sequence[Answer]) -> None:
    """Those that both answered. Raises StorageError."""
    old = {(one["image"], *one["point"]): one for one in before}
    shared = [(old[key], one) for one in after if (key := (one["image"], *one["point"])) in old]
    told = [
        {
            **{name: new[name] for name in ("image", "point", "truth")},
            "before": {name: past[name] for name in ("mask", "iou")},
            "after": {name: new[name] for name in ("mask", "iou")},
        }
        for past, new in shared
    ]
    if told:
        write_atomically(folder / PICTURES, json.dumps(told).encode())


def read_pictures(folder: Path) -> list[Answer]:
    """None of a round that kept none. Raises BadInput for a damaged file."""
    path = folder / PICTURES
    if not path.is_file():
        return []
    with mapped((OSError, ValueError), BadInput, f"{path} is damaged"):
        found: list[Answer] = json.loads(path.read_text("utf-8"))
        return found
