"""Sampling photos and drawing views on the CPU. View i of a run is a pure function of (seed, i)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic

import numpy as np
import torch
from numpy.random import Generator

from anymask.data.sources import RecordSource
from anymask.errors import BadInput
from anymask.training.task import Batch, Task, V, ViewConfig

MAX_TRIES = 100  # views in a row that show nothing


class Sampler:
    """Weighted sampling: which photo view number i shows.

    `weights`: how often a source is drawn relative to its number of photos (default 1; 0: never). Raises
    BadInput when no photo is usable.
    """

    def __init__(
        self, records: RecordSource, weights: Mapping[str, float], seed: int, task: Task[Any]
    ) -> None:
        self.seed = seed
        usable = [(i, weights.get(r.source, 1.0)) for i, r in enumerate(records) if task.is_usable(r)]
        if not any(odds for _, odds in usable):
            raise BadInput(f"no {task.needs} to train on in {records.name}")
        self.indices = np.array([i for i, _ in usable])
        odds = np.array([odds for _, odds in usable], dtype=np.float64)
        self._cumulative = odds.cumsum() / odds.sum()

    def rng(self, number: int) -> Generator:
        """The random stream of one view."""
        return np.random.default_rng([self.seed, number])

    def photo(self, rng: Generator) -> int:
        return int(self.indices[np.searchsorted(self._cumulative, rng.random(), side="right")])


class CpuDataset(Generic[V]):
    """All views of a data set, drawn photo by photo on the CPU."""

    def __init__(self, records: RecordSource, sampler: Sampler, task: Task[V]) -> None:
        self.records, self.sampler, self.task = records, sampler, task

    def prepare(self, numbers: Sequence[int], config: ViewConfig) -> list[V]:
        return [self.view(number, config) for number in numbers]

    def batch(self, prepared: list[V], device: torch.device) -> Batch:
        pixels = torch.from_numpy(np.stack([view.pixels_SS3 for view in prepared]))
        return Batch(pixels.to(device), self.task.truth(prepared, device))

    def view(self, number: int, config: ViewConfig) -> V:
        """View `number` of the run; photos whose drawn view shows no object are drawn again."""
        rng = self.sampler.rng(number)
        for _ in range(MAX_TRIES):
            view = self.task.draw(self.records[self.sampler.photo(rng)], config, rng)
            if view is not None:
                return view
        raise BadInput(
            f"{MAX_TRIES} views of {self.records.name} in a row show no object: are the masks empty?"
        )
