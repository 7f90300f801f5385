"""Fitting the temperature: one number that makes the probabilities of a model as bold as they may be.

Every probability is raised to the power of 1 / temperature, and what an answer forecasts is made to sum to
1 again (Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2); the order stays. The fit
minimises the mean log score, which has one minimum. Fit on photos that neither train nor measure: on those
that measure, the numbers would flatter.
Legend: N outcomes, A answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from anymask.core.candidates import apply_temperature
from anymask.evaluation.calibration import (
    Floats,
    Forecast,
    ece,
    equal_bins,
    even_bins,
    pooled,
    scores,
    summarise,
)
from anymask.evaluation.report import Report

COOLEST, HOTTEST = 0.1, 10.0
GOLDEN = (5**0.5 - 1) / 2
PRECISION = 1e-4  # of the logarithm of the temperature


def summarise_with_fit(found: Sequence[Forecast], earlier: float = 1.0) -> Report:
    """`summarise`, and what a temperature would change. `earlier`: the temperature that made these forecasts,
    so that `fit.temperature` is the one for the card. Needs a forecast.
    """
    factor = best_temperature([f.chance_N for f in found], [f.came_true for f in found])
    cooled = [replace(f, chance_N=apply_temperature(f.chance_N, factor)) for f in found]
    p_F, true_F = pooled(cooled)
    after = scores(cooled)
    fit = {
        "temperature": earlier * factor,
        "earlier": earlier,
        "ece": ece(p_F, true_F, equal_bins(p_F)),
        "ece_even": ece(p_F, true_F, even_bins(p_F)),
        **{name: float(after[name].mean()) for name in ("brier", "log_score", "none_forecast")},
    }
    return {**summarise(found), "fit": fit}


def best_temperature(chances: Sequence[Floats], came_true: Sequence[int]) -> float:
    """The temperature, 0.1 to 10, with the least mean log score; `chances`: A forecasts of N outcomes each,
    `came_true`: which of them did.
    """
    rows = list(zip(chances, came_true, strict=True))

    def loss(log_temperature: float) -> float:
        temperature = float(np.exp(log_temperature))
        told = np.array([apply_temperature(chance_N, temperature)[true] for chance_N, true in rows])
        return float(-np.log(told.clip(1e-12)).mean())

    return float(np.exp(golden_section(loss, np.log(COOLEST), np.log(HOTTEST))))


def golden_section(loss: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one minimum between `low` and `high` has it."""
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > PRECISION:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = loss(right)
    return (low + high) / 2
