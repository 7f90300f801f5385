"""What a network learns, and the views of photos it learns from. View number i of a run is a pure function of
(seed, i), so a run resumes from a count alone.

A task says which photos teach it, what is drawn from one and what the loss of a batch is; the loop knows
nothing else about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.random import Generator
from torch import Tensor

from anymask.errors import BadInput
from anymask.store.records import Record, RecordSource
from anymask.training.augment import ViewConfig


class Pictured(Protocol):
    """A view: an augmented part of a photo, uint8, and what is known about it."""

    @property
    def pixels_SS3(self) -> np.ndarray: ...


V = TypeVar("V", bound=Pictured)


@dataclass(frozen=True, slots=True)
class Task(Generic[V]):
    """`needs`: what a photo must have to be of use, in words. `draw` gives None when a view shows nothing.

    `loss(model, pixels_B3SS, views, objective, rng)`: of a batch, and the numbers worth logging.
    """

    needs: str
    is_usable: Callable[[Record], bool]
    draw: Callable[[Record, ViewConfig, Generator], V | None]
    loss: Callable[[Any, Tensor, list[V], Any, Generator], tuple[Tensor, dict[str, float]]]


class TrainingViews(Generic[V]):
    """All views of a data set. `weights`: how often a source is drawn relative to its number of photos
    (default 1; 0: never).
    """

    def __init__(self, records: RecordSource, weights: Mapping[str, float], seed: int, task: Task[V]) -> None:
        self.records, self.seed, self.task = records, seed, task
        usable = [(i, weights.get(r.source, 1.0)) for i, r in enumerate(records) if task.is_usable(r)]
        if not any(odds for _, odds in usable):
            raise BadInput(f"no {task.needs} to train on in {records.name}")
        self.indices = np.array([i for i, _ in usable])
        odds = np.array([odds for _, odds in usable], dtype=np.float64)
        self.odds = odds / odds.sum()

    def view(self, number: int, config: ViewConfig) -> V:
        """View `number` of the run; photos whose drawn view shows no object are drawn again."""
        rng = np.random.default_rng([self.seed, number])
        for _ in range(100):
            record = self.records[int(rng.choice(self.indices, p=self.odds))]
            view = self.task.draw(record, config, rng)
            if view is not None:
                return view
        raise BadInput(f"100 views of {self.records.name} in a row show no object: are the masks empty?")
