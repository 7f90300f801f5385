"""The model under test as protocols; `anymask.load()` returns a `Predictor`, the baselines are others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

Points = Sequence[tuple[float, float]] | None
Labels = Sequence[int] | None
Box = Sequence[float] | None


class CandidateMask(Protocol):
    @property
    def array(self) -> np.ndarray:
        """bool H x W, in image pixels."""


class Answer(Protocol):
    """Candidate masks, best first."""

    @property
    def best(self) -> CandidateMask: ...

    def __iter__(self) -> Iterator[CandidateMask]: ...


class EncodedImage(Protocol):
    def segment(
        self, *, points: Points = None, labels: Labels = None, box: Box = None, mask: Any = None
    ) -> Answer:
        """Coordinates in image pixels, the first centre at (0.5, 0.5); `mask` is an earlier answer."""


class Predictor(Protocol):
    @property
    def name(self) -> str: ...

    def encode(self, source: Any, /) -> EncodedImage: ...
