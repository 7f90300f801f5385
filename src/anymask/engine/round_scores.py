"""RoundScores: what a model scores on the fixed photos, photo by photo, so that two models can be compared.

Of each measure the sum and the number of its values are kept for every photo: enough for the mean, for its 95
% bootstrap interval over photos, and for that of the difference of two models on the same photos (paired).
Legend: I photos, D draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anymask.errors import BadInput
from anymask.evaluation.statistics import draws, interval_of

Values = NDArray[np.float64]
PLACES = 5  # of numbers in reports


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def rounded(self) -> list[float]:
        return [round(number, PLACES) for number in (self.low, self.high)]


@dataclass(slots=True)
class RoundScores:
    """`sums`, `counts`: of each measure, one number for each of `keys`, the photos."""

    keys: list[str] = field(default_factory=list)
    sums: dict[str, list[float]] = field(default_factory=dict)
    counts: dict[str, list[int]] = field(default_factory=dict)

    def add(self, key: str, values: Mapping[str, Sequence[float]]) -> None:
        """The values of one photo."""
        for name, column in values.items():
            self.sums.setdefault(name, [0.0] * len(self.keys)).append(float(np.sum(column)))
            self.counts.setdefault(name, [0] * len(self.keys)).append(len(column))
        for name in self.sums.keys() - values.keys():
            self.sums[name].append(0.0)
            self.counts[name].append(0)
        self.keys.append(key)

    @property
    def measures(self) -> list[str]:
        """Those with a value."""
        return [name for name, counts in self.counts.items() if any(counts)]

    def mean(self, name: str) -> float:
        return sum(self.sums[name]) / sum(self.counts[name])

    def estimate(self, name: str) -> Estimate:
        """The mean over all values, with an interval over photos."""
        return Estimate(self.mean(name), *interval_of(self._drawn(name)))

    def gain_over(self, other: RoundScores, name: str) -> Estimate:
        """How much more this model scores, paired. Raises BadInput for scores of other photos."""
        if self.keys != other.keys:
            raise BadInput("scores of two models can be compared on the same photos only")
        apart_D = self._drawn(name) - other._drawn(name)
        return Estimate(self.mean(name) - other.mean(name), *interval_of(apart_D))

    def _drawn(self, name: str) -> Values:
        """(D,): the mean of each draw of photos; of a draw without a value the mean of all."""
        draws_DI = draws(len(self.keys))
        sums_D, counts_D = (draws_DI @ np.array(c[name], np.float64) for c in (self.sums, self.counts))
        return np.where(counts_D > 0, sums_D / np.maximum(counts_D, 1), self.mean(name))

    def report(self) -> dict[str, Any]:
        """`{measure: mean, ..., "ci": {measure: [low, high]}, "photos": I}`."""
        estimates = {name: self.estimate(name) for name in self.measures}
        means = {name: round(e.value, PLACES) for name, e in estimates.items()}
        return {**means, "ci": {name: e.rounded for name, e in estimates.items()}, "photos": len(self.keys)}

    def to_dict(self) -> dict[str, Any]:
        """JSON, exactly."""
        return {"keys": self.keys, "sums": self.sums, "counts": self.counts}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> RoundScores:
        return cls(*(stored[name] for name in ("keys", "sums", "counts")))
