"""The model under test as protocols: encode an image, then answer prompts with candidate masks.

`anymask.load()` returns a `Predictor`; the baselines are others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np


class CandidateMask(Protocol):
    @property
    def array(self) -> np.ndarray:
        """bool H x W, in image pixels."""
        ...


class Answer(Protocol):
    """Candidate masks, best first."""

    @property
    def best(self) -> CandidateMask: ...

    def __iter__(self) -> Iterator[CandidateMask]: ...


class EncodedImage(Protocol):
    def segment(
        self,
        *,
        points: Sequence[tuple[float, float]] | None = None,
        labels: Sequence[int] | None = None,
        box: Sequence[float] | None = None,
        mask: Any = None,
    ) -> Answer:
        """Coordinates in image pixels, the first centre at (0.5, 0.5); `mask` is an earlier answer."""
        ...


class Predictor(Protocol):
    @property
    def name(self) -> str: ...

    def encode(self, source: Any, /) -> EncodedImage: ...
