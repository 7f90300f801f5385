"""The interface between the training loop and what a network learns: which photos are of use, the views drawn
from one, and the loss of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from anymask.data.record import Record


@dataclass(frozen=True, slots=True)
class ViewConfig:
    """How views are augmented.

    `size`: side in pixels. `stride`: pixels per mask cell. `objects`: masks per view. `scale`: scale jitter.
    `colour`: strength of the colour jitter. `fill`: colour of the padding. `closer`: fraction of views that
    are windows around one object, as refinement sees it. `stretch`: aspect jitter of the others.
    """

    size: int
    stride: int
    objects: int
    scale: tuple[float, float] = (0.7, 2.5)
    colour: float = 0.3
    fill: tuple[int, int, int] = (127, 127, 127)
    closer: float = 0.0
    stretch: float = 0.0


class View(Protocol):
    """An augmented crop of a photo, uint8, and its ground truth."""

    @property
    def pixels_SS3(self) -> np.ndarray: ...


V = TypeVar("V", bound=View)
Numbers = dict[str, Tensor | float]
"""Worth logging; on the device until a step is over."""


@dataclass(frozen=True, slots=True)
class Batch:
    """On the device: `pixels_BSS3`, uint8, and `truth`, the targets of the task."""

    pixels_BSS3: Tensor
    truth: Any


class BatchSource(Protocol):
    """Where batches come from, in two steps: what any thread can do ahead, and what happens on the device."""

    def prepare(self, numbers: Sequence[int], config: ViewConfig) -> Any: ...

    def batch(self, prepared: Any, device: torch.device) -> Batch: ...


@dataclass(frozen=True, slots=True)
class Task(Generic[V]):
    """What is learned; the loop knows nothing else about it.

    `needs`: what a photo must have to be usable, in words. `draw`: one view, None when it shows nothing.
    `truth`: targets of a batch of views, on the device. `loss(model, pixels_B3SS, truth, objective, rng)`: of
    a batch, and the numbers worth logging. `gpu_dataset(records, sampler, device)`: the same views drawn from
    photos that all lie on the device, for tasks that have that.
    """

    needs: str
    is_usable: Callable[[Record], bool]
    draw: Callable[[Record, ViewConfig, Generator], V | None]
    truth: Callable[[list[V], torch.device], Any]
    loss: Callable[[Any, Tensor, Any, Any, Generator], tuple[Tensor, Numbers]]
    gpu_dataset: Callable[..., BatchSource] | None = None
