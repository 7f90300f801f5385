"""Temperature scaling (Guo et al. 2017, section 4.2): one number that calibrates the probabilities of a
model.

Every probability is raised to the power of 1 / temperature and those of an answer are made to sum to 1 again;
their order stays. The temperature minimises the mean log score. Fit it on photos that neither train nor
measure: on those that measure, the numbers would flatter.
Legend: N outcomes, A answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar

from anymask.core.candidates import apply_temperature
from anymask.evaluation.calibration import (
    Floats,
    Prediction,
    ece,
    equal_bins,
    even_bins,
    pooled,
    scores,
    summarise,
)
from anymask.evaluation.report import Report

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.1, 10.0
PRECISION = 1e-4  # of the logarithm of the temperature


def summarise_with_fit(found: Sequence[Prediction], earlier: float = 1.0) -> Report:
    """`summarise`, and what a temperature would change. `earlier`: the temperature that these predictions
    were made with, so that `fit.temperature` is the one for the card. Needs a prediction.
    """
    factor = best_temperature([f.probability_N for f in found], [f.outcome for f in found])
    scaled = [replace(f, probability_N=apply_temperature(f.probability_N, factor)) for f in found]
    p_C, true_C = pooled(scaled)
    after = scores(scaled)
    fit = {
        "temperature": earlier * factor,
        "earlier": earlier,
        "ece": ece(p_C, true_C, equal_bins(p_C)),
        "ece_even": ece(p_C, true_C, even_bins(p_C)),
        **{name: float(after[name].mean()) for name in ("brier", "log_score", "none_predicted")},
    }
    return {**summarise(found), "fit": fit}


def best_temperature(probabilities: Sequence[Floats], outcomes: Sequence[int]) -> float:
    """The temperature, 0.1 to 10, with the least mean log score. `probabilities`: of the N outcomes of each
    of A answers; `outcomes`: which of them it was.
    """
    rows = list(zip(probabilities, outcomes, strict=True))

    def log_score(log_temperature: float) -> float:
        temperature = float(np.exp(log_temperature))
        p_A = np.array([apply_temperature(p_N, temperature)[outcome] for p_N, outcome in rows])
        return float(-np.log(p_A.clip(1e-12)).mean())

    bounds = np.log((MIN_TEMPERATURE, MAX_TEMPERATURE))
    found = minimize_scalar(log_score, bounds=bounds, method="bounded", options={"xatol": PRECISION})
    return float(np.exp(found.x))
