"""How likely is an automatic mask right? Fits the probability on photos of which all masks are drawn.

    python recipes/automatic.py DATA/train/train-000.tar --model lite --card recipes/lite.card.json

Right is an IoU of 0.5 or more with a mask that a person drew. Photos of sources that label everything count,
and of COCO those with panoptic labels. What is measured here is measured on the photos that it is fitted to;
`anymask evaluate proposals` does it on others.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

import anymask
from anymask.api import Model
from anymask.automatic.probability import FACT, FEATURES, INTERCEPT, features_of, fit
from anymask.cli.reporting import progress_line
from anymask.data.record import Record
from anymask.data.sources import open_records
from anymask.evaluation.proposals import NEAR_IOU, ious_with, mostly_on
from anymask.evaluation.targets import targets_of

PHOTOS = {"bsds-train": 30, "ccp": 25, "facade": 12, "food": 16, "coco": 20}  # of each source, at most


def chosen(path: Path) -> Iterator[Record]:
    """Photos on which whatever can be told apart is labelled."""
    left = Counter(PHOTOS)
    for record in open_records(path):
        source = str(record.fields.get("source"))
        panoptic = source != "coco" or any(a.semantic for a in record.annotations)
        if left[source] > 0 and panoptic:
            left[source] -= 1
            yield record


def examples_of(record: Record, model: Model) -> tuple[list[list[float]], list[bool]]:
    """Features of each mask that counts, and whether it is right."""
    targets = targets_of(record, semantic=True)
    found = model.everything(record.read_pixels(), min_probability=0.0)
    masks = [f.mask for f in found]
    right = [bool(row.max() >= NEAR_IOU) for row in ious_with(masks, targets.targets)]
    neutral = mostly_on(masks, targets.neutral).tolist()
    counted = [n for n, says_nothing in enumerate(neutral) if right[n] or not says_nothing]
    evidence = [found[n].evidence for n in counted]
    return [features_of(e) for e in evidence if e is not None], [right[n] for n in counted]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="lite")
    parser.add_argument("--card", type=Path, help="written into it; default: printed only")
    options = parser.parse_args()
    model = anymask.load(options.model)
    features: list[list[float]] = []
    right: list[bool] = []
    for number, record in enumerate(chosen(options.data), 1):
        of_photo = examples_of(record, model)
        features, right = features + of_photo[0], right + of_photo[1]
        progress_line(number, sum(PHOTOS.values()))
    fitted = asdict(fit(np.array(features), np.array(right)))
    names = (INTERCEPT, *FEATURES)
    values = (fitted["intercept"], *fitted["coefficients_F"])
    fact = {name: round(value, 4) for name, value in zip(names, values, strict=True)}
    print(f"\n{len(right)} masks, {np.mean(right):.3f} of them right: {json.dumps(fact, indent=1)}")
    if options.card:
        card = json.loads(options.card.read_text("utf-8"))
        card["automatic"][FACT] = fact
        options.card.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
