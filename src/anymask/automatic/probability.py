"""MaskProbability: how likely a proposal is right, from what is known of it before anybody looks.

"Right" means an IoU of 0.5 or more with a mask that a person drew. Logistic regression on a few features; its
coefficients were fitted on photos whose masks are all annotated (`recipes/automatic.py`) and come with the
model's card, under `automatic`, `probability`.

Legend: M masks, F features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anymask.core.automatic_mask import Evidence
from anymask.errors import WeightsError

FACT = "probability"  # on a card, under "automatic"
INTERCEPT = "intercept"
FEATURES = (
    "of_point", "box_score", "predicted_iou", "stability", "log_area", "votes_of_boxes", "votes_of_points",
    "edges",
)  # fmt: skip
CLIP = 1e-3  # scores are taken as logits of CLIP..1 - CLIP


def features_of(evidence: Evidence) -> list[float]:
    """Values of FEATURES."""
    score = evidence.box_score
    return [
        float(score is None),
        0.0 if score is None else logit(score),
        logit(evidence.predicted_iou),
        logit(evidence.stability),
        math.log(max(evidence.area_fraction, 1e-6)),
        math.log1p(evidence.votes_of_boxes),
        math.log1p(evidence.votes_of_points),
        float(evidence.edges),
    ]


@dataclass(frozen=True, slots=True)
class MaskProbability:
    """`coefficients_F`, in the order of FEATURES, and `intercept`. Without coefficients nothing was fitted:
    then it is predicted IoU times stability score, which ranks masks but is not calibrated.
    """

    intercept: float = 0.0
    coefficients_F: tuple[float, ...] = ()

    @classmethod
    def of_card(cls, automatic: Mapping[str, Any]) -> MaskProbability:
        """From what a card says under `automatic`. Raises WeightsError for anything but finite numbers."""
        fact = automatic.get(FACT)
        if fact is None:
            return cls()
        names = (INTERCEPT, *FEATURES)
        if not isinstance(fact, Mapping) or set(fact) != set(names):
            raise WeightsError(f"automatic.{FACT} on the card: expected {', '.join(names)}, got {fact!r}")
        intercept, *coefficients = (_number(name, fact[name]) for name in names)
        return cls(intercept, tuple(coefficients))

    @property
    def is_calibrated(self) -> bool:
        return bool(self.coefficients_F)

    def __call__(self, evidence: Evidence) -> float:
        """0..1."""
        if not self.is_calibrated:
            return float(np.clip(evidence.predicted_iou, 0, 1) * np.clip(evidence.stability, 0, 1))
        return 1 / (1 + math.exp(-self.intercept - float(np.dot(features_of(evidence), self.coefficients_F))))


def logit(score: float) -> float:
    clipped = min(max(score, CLIP), 1 - CLIP)
    return math.log(clipped / (1 - clipped))


def fit(features_MF: NDArray[np.float64], right_M: NDArray[np.bool_], ridge: float = 1.0) -> MaskProbability:
    """Logistic regression with a small penalty on standardised coefficients, by Newton's method."""
    mean, scale = features_MF.mean(axis=0), features_MF.std(axis=0) + 1e-9
    design = np.column_stack([np.ones(len(features_MF)), (features_MF - mean) / scale])
    penalty = np.diag([0.0, *[ridge] * features_MF.shape[1]])
    weights = np.zeros(design.shape[1])
    for _ in range(30):
        chance_M = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (chance_M - right_M) + penalty @ weights
        hessian = (design.T * (chance_M * (1 - chance_M))) @ design + penalty
        weights -= np.linalg.solve(hessian, gradient)
    coefficients = weights[1:] / scale
    return MaskProbability(float(weights[0] - coefficients @ mean), tuple(coefficients.tolist()))


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WeightsError(f"automatic.{FACT}.{name} on the card: expected a finite number, got {value!r}")
    return float(value)
