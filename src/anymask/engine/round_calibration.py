"""Automatic masks of a round's model, fitted again: how many boxes, the probability, and which masks are
given out.

On photos of the project that the round did not train on. Of one that is annotated in part (stage 1) a mask
beside all annotated ones says nothing: it may be right. As in `recipes/automatic.py`, right is an IoU of 0.5
or more with an annotated mask. The default preset gives out what scores best between recall and precision at
an IoU of 0.75 (F1); `precise` what is more likely right than wrong besides. Legend: M masks, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anymask.api import Model
from anymask.automatic.probability import FACT, FEATURES, INTERCEPT, MaskProbability, features_of, fit
from anymask.core.mask import Mask
from anymask.data.record import PARTIAL, Record
from anymask.evaluation.calibration import predictions
from anymask.evaluation.ground_truth import ground_truth_of
from anymask.evaluation.proposals import NEAR_IOU, TIGHT_IOU, ious_with, mostly_on
from anymask.evaluation.samples import samples_of
from anymask.evaluation.temperature_scaling import best_temperature

FEWEST_BOXES, MOST_BOXES = 48, 200
FEWEST_OF_PARTIAL = 100  # where photos have more to find than is annotated
BOXES_PER_MASK = 1.5  # boxes that are asked, for each mask of a crowded photo
CROWDED = 90  # percentile of photos by their number of masks
SMALL, SMALL_SHARE = 2, 0.4  # percentile of masks by area; islands and holes of this share of it go
LARGEST_SPECK = 100  # ... at most, in pixels
LEAST_SCORE = 0.05  # of boxes, while fitting
USELESS, SCORE_MARGIN = 1, 0.8  # percentile of scores of useful boxes, and how far below it boxes are asked
FEWEST_MASKS = 40  # to fit a probability to, of which
FEWEST_OF_A_KIND = 8  # ... are right, and wrong
RIDGE = 4.0
SURE = 0.5
TEMPERATURES = (0.5, 2.0)
FEWEST_ANSWERS = 30  # to fit a temperature to
TOUCHES = (
    0.2  # share of a mask on annotated ones, from which it is right or wrong on a photo annotated in part
)
GRID = np.linspace(0.02, 0.9, 45)  # probabilities that are tried as the least one


@dataclass(frozen=True, slots=True)
class Proposals:
    """Of all photos: features, IoU with the best target, and which target that is."""

    features_MF: NDArray[np.float64]
    best_M: NDArray[np.float64]
    target_M: NDArray[np.int64]
    targets: int


def automatic_facts(
    model: Model, base: Mapping[str, Any], photos: Sequence[Record], all_photos: Sequence[Record]
) -> dict[str, Any]:
    """What the card says under `automatic`. `all_photos`: of the project; `photos`: those to fit on, which
    need have masks. Where they show too little the probability stays as it was.
    """
    how = {**base.get("default", {}), **settings_from(all_photos)}
    found = proposals_of(model, photos, how)
    fitted = fitted_probability(found) or MaskProbability.of_card(base)
    chance_M = probabilities(fitted, found.features_MF)
    least = best_threshold(chance_M, found)
    how["box_score_thresh"] = least_box_score(found, chance_M >= least)
    facts: dict[str, Any] = {k: v for k, v in base.items() if k not in ("reliability", FACT)}
    facts["default"] = {**how, "min_probability": least}
    facts["precise"] = {**base.get("precise", {}), **how, "min_probability": max(SURE, least)}
    if fitted.is_calibrated:
        names, values = (INTERCEPT, *FEATURES), (fitted.intercept, *fitted.coefficients_F)
        facts[FACT] = {name: round(float(value), 4) for name, value in zip(names, values, strict=True)}
    return facts


def settings_from(photos: Sequence[Record]) -> dict[str, Any]:
    """How many boxes to ask for, and what is too small to be anything, from the masks that people drew."""
    counts = [len(record.annotations) for record in photos]
    areas = [one.area for record in photos for one in record.annotations if one.area > 0]
    boxes = ceil(BOXES_PER_MASK * float(np.percentile(counts, CROWDED)))
    fewest = FEWEST_OF_PARTIAL if any(one.fields.get(PARTIAL) for one in photos) else FEWEST_BOXES
    speck = SMALL_SHARE * float(np.percentile(areas, SMALL)) if areas else LARGEST_SPECK
    return {
        "boxes": min(max(boxes, fewest), MOST_BOXES),
        "min_mask_region_area": int(min(speck, LARGEST_SPECK)),
        "box_score_thresh": LEAST_SCORE,
    }


def least_box_score(found: Proposals, given_out_M: NDArray[np.bool_]) -> float:
    """Boxes below it gave no mask that is right and given out, but for one in a hundred: asking them costs
    time."""
    of_box_M = found.features_MF[:, FEATURES.index("of_point")] == 0
    useful = found.features_MF[
        given_out_M & of_box_M & (found.best_M >= TIGHT_IOU), FEATURES.index("box_score")
    ]
    if len(useful) < FEWEST_MASKS:
        return LEAST_SCORE
    score = 1 / (1 + np.exp(-np.percentile(useful, USELESS)))
    return round(max(LEAST_SCORE, SCORE_MARGIN * float(score)), 3)


def proposals_of(model: Model, photos: Sequence[Record], how: Mapping[str, Any]) -> Proposals:
    """Everything the model proposes there, however improbable."""
    features, best, target, before = list[list[float]](), list[float](), list[int](), 0
    for record in photos:
        truth = ground_truth_of(record, semantic=True)
        found = model.everything(record.read_pixels(), **{**how, "min_probability": 0.0})
        ious = ious_with([f.mask for f in found], truth.targets)
        neutral = mostly_on([f.mask for f in found], truth.neutral) | beside([f.mask for f in found], record)
        for row, says_nothing, one in zip(ious, neutral, found, strict=True):
            highest = float(row.max(initial=0.0))
            if one.evidence is not None and (highest >= NEAR_IOU or not says_nothing):
                features.append(features_of(one.evidence))
                best.append(highest)
                target.append(before + int(row.argmax()) if len(row) else -1)
        before += len(truth.targets)
    return Proposals(
        np.array(features, np.float64).reshape(-1, len(FEATURES)),
        np.array(best),
        np.array(target, np.int64),
        before,
    )


def beside(masks: Sequence[Mask], record: Record) -> NDArray[np.bool_]:
    """Masks that touch nothing annotated on a photo that is annotated in part."""
    drawn = [mask for _, mask in record.drawn] if record.fields.get(PARTIAL) else []
    if not drawn:
        return np.zeros(len(masks), bool)
    whole = reduce(Mask.__or__, drawn)
    return np.array([(one & whole).area < TOUCHES * one.area for one in masks], bool)


def fitted_probability(found: Proposals) -> MaskProbability | None:
    """None where the photos show too little to fit anything."""
    right_M = found.best_M >= NEAR_IOU
    few = min(int(right_M.sum()), int((~right_M).sum()))
    if len(right_M) < FEWEST_MASKS or few < FEWEST_OF_A_KIND:
        return None
    return fit(found.features_MF, right_M, RIDGE)


def probabilities(probability: MaskProbability, features_MF: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of uncalibrated models those of predicted IoU and stability are not known from features: all 1."""
    if not probability.is_calibrated:
        return np.ones(len(features_MF))
    return np.asarray(
        1 / (1 + np.exp(-probability.intercept - features_MF @ np.array(probability.coefficients_F)))
    )


def best_threshold(chance_M: NDArray[np.float64], found: Proposals) -> float:
    """The least probability with the best F1 at an IoU of 0.75: twice the right over masks and targets."""

    def f1(least: float) -> float:
        kept = chance_M >= least
        tight = kept & (found.best_M >= TIGHT_IOU)
        right = len(np.unique(found.target_M[tight]))
        return 2 * right / max(1, int(kept.sum()) + found.targets)

    return round(float(max(GRID.tolist(), key=f1)), 3)


def fitted_temperature(model: Model, photos: Sequence[Record], masks: int, earlier: float) -> float:
    """Temperature scaling of candidates, from clicks and boxes on at most `masks` masks of each photo; within
    bounds, and as it was where there is too little to fit to.
    """
    found = []
    for number, record in enumerate(photos):
        image = model.encode(record.read_pixels(), refine=False)
        for sample in list(samples_of(record, number))[:masks]:
            found += list(predictions(sample, image))
    if len(found) < FEWEST_ANSWERS:
        return earlier
    factor = best_temperature([f.probability_N for f in found], [f.outcome for f in found])
    return round(float(np.clip(earlier * factor, *TEMPERATURES)), 3)
