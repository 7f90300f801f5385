"""What a network learns, and the views of photos it learns from. View number i of a run is a pure function of
(seed, i), so a run resumes from a count alone.

A task says which photos teach it, what is drawn from one and what the loss of a batch is; the loop knows
nothing else about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from anymask.data.record import Record
from anymask.data.sources import RecordSource
from anymask.errors import BadInput
from anymask.training.augment import ViewConfig


class Pictured(Protocol):
    """A view: an augmented part of a photo, uint8, and what is known about it."""

    @property
    def pixels_SS3(self) -> np.ndarray: ...


V = TypeVar("V", bound=Pictured)
Numbers = dict[str, Tensor | float]
"""Worth logging; on the device until a step is over."""


@dataclass(frozen=True, slots=True)
class Batch:
    """On the device: `pixels_BSS3`, uint8, and `truth`, what the task knows about them."""

    pixels_BSS3: Tensor
    truth: Any


class Views(Protocol):
    """Where batches come from, in two steps: what any thread can do ahead, and what happens on the device."""

    def prepare(self, numbers: Sequence[int], config: ViewConfig) -> Any: ...

    def batch(self, prepared: Any, device: torch.device) -> Batch: ...


@dataclass(frozen=True, slots=True)
class Task(Generic[V]):
    """`needs`: what a photo must have to be of use, in words. `draw` gives None when a view shows nothing.
    `truth`: what is known about a batch of views, on the device.

    `loss(model, teacher, pixels_B3SS, truth, objective, rng)`: of a batch, and the numbers worth logging; the
    teacher is the model with the average of its weights.
    `resident`: the same views drawn from photos that all lie on the device, where a task has that.
    """

    needs: str
    is_usable: Callable[[Record], bool]
    draw: Callable[[Record, ViewConfig, Generator], V | None]
    truth: Callable[[list[V], torch.device], Any]
    loss: Callable[[Any, Any, Tensor, Any, Any, Generator], tuple[Tensor, Numbers]]
    resident: Callable[[RecordSource, Choice, torch.device], Views] | None = None


class Choice:
    """Which photo view number i shows. `weights`: how often a source is drawn relative to its number of
    photos (default 1; 0: never). Raises BadInput when no photo is of use.
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
        self._up_to = odds.cumsum() / odds.sum()

    def rng(self, number: int) -> Generator:
        """All chance of one view."""
        return np.random.default_rng([self.seed, number])

    def photo(self, rng: Generator) -> int:
        return int(self.indices[np.searchsorted(self._up_to, rng.random(), side="right")])


class TrainingViews(Generic[V]):
    """All views of a data set, drawn photo by photo on the processor."""

    def __init__(self, records: RecordSource, choice: Choice, task: Task[V]) -> None:
        self.records, self.choice, self.task = records, choice, task

    def prepare(self, numbers: Sequence[int], config: ViewConfig) -> list[V]:
        return [self.view(number, config) for number in numbers]

    def batch(self, prepared: list[V], device: torch.device) -> Batch:
        pixels = torch.from_numpy(np.stack([view.pixels_SS3 for view in prepared]))
        return Batch(pixels.to(device), self.task.truth(prepared, device))

    def view(self, number: int, config: ViewConfig) -> V:
        """View `number` of the run; photos whose drawn view shows no object are drawn again."""
        rng = self.choice.rng(number)
        for _ in range(100):
            view = self.task.draw(self.records[self.choice.photo(rng)], config, rng)
            if view is not None:
                return view
        raise BadInput(f"100 views of {self.records.name} in a row show no object: are the masks empty?")
