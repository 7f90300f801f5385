"""Time trial: the same simulated person draws the same masks with two models; what does one cost with each?

Rounds of an engine are of different photos, some of them harder: their seconds a mask say little about the
model. These do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from anymask.api import Model
from anymask.data.sources import RecordSource
from anymask.engine.crew import Annotator, DrawnMask, draw
from anymask.engine.round_evaluation import RoundProtocol, chosen_photos, place
from anymask.images.reader import read_image

PHOTOS, MASKS = 16, 6  # of each at most so many


def time_trial(
    model: Model, records: RecordSource, *, photos: int = PHOTOS, masks: int = MASKS
) -> dict[str, Any]:
    """`seconds_per_mask`, `clicks_per_mask`: means. `masks`: how many, chosen by their keys alone."""
    drawn: list[DrawnMask] = []
    for index in chosen_photos(records, RoundProtocol(photos=photos)):
        record = records[index]
        image = model.encode(read_image(record.blob.read()))
        wanted = sorted(record.drawn, key=lambda one: place(0, record.key, one[1].rle["counts"]))[:masks]
        for number, (_, mask) in enumerate(wanted):
            person = Annotator("trial", np.random.default_rng([place(1, record.key), number]))
            drawn.append(draw(image, mask, person)[2])
    if not drawn:
        return {"seconds_per_mask": None, "clicks_per_mask": None, "masks": 0}
    return {
        "seconds_per_mask": round(float(np.mean([one.seconds for one in drawn])), 3),
        "clicks_per_mask": round(float(np.mean([one.clicks for one in drawn])), 3),
        "masks": len(drawn),
    }
