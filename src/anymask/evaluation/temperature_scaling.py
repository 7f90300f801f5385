"""Temperature scaling (Guo et al. 2017, section 4.2): one number that calibrates a model's probabilities.

The temperature minimises the mean log score; fit it on photos that are used neither in training nor in
evaluation. Legend: N outcomes, A answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar

from anymask.core.candidates import apply_temperature
from anymask.evaluation.calibration import Floats, Prediction, summarise
from anymask.evaluation.report import Report

BOUNDS = np.log((0.1, 10.0))
PRECISION = 1e-4  # of the logarithm of the temperature


def summarise_with_fit(found: Sequence[Prediction], earlier: float = 1.0) -> Report:
    """`summarise`, and what a temperature would change. `earlier`: that of these predictions, so that
    `fit.temperature` is the one for the card. Needs a prediction.
    """
    factor = best_temperature([f.probability_N for f in found], [f.outcome for f in found])
    scaled = [replace(f, probability_N=apply_temperature(f.probability_N, factor)) for f in found]
    after = summarise(scaled)
    changed = {name: after[name] for name in ("ece", "ece_even", "brier", "log_score", "none_predicted")}
    return {**summarise(found), "fit": {"temperature": earlier * factor, "earlier": earlier, **changed}}


def best_temperature(probabilities: Sequence[Floats], outcomes: Sequence[int]) -> float:
    """The temperature, 0.1 to 10, with the least mean log score of the outcomes of A answers."""
    rows = list(zip(probabilities, outcomes, strict=True))

    def log_score(log_temperature: float) -> float:
        p_A = np.array([apply_temperature(p_N, np.exp(log_temperature))[outcome] for p_N, outcome in rows])
        return float(-np.log(p_A.clip(1e-12)).mean())

    found = minimize_scalar(log_score, bounds=BOUNDS, method="bounded", options={"xatol": PRECISION})
    return float(np.exp(found.x))
