"""The model under test as protocols: encode an image, then answer prompts with candidate masks.

`anymask.load()` returns a `Predictor`; the baselines are others.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from anymask.core.progress import Progress
from anymask.errors import BadInput
from anymask.evaluation.samples import Sample, ScoredImages


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


@dataclass(frozen=True, slots=True)
class Encoded:
    """An encoded image, what is scored on it, and how long encoding took."""

    image: EncodedImage
    samples: list[Sample]
    seconds: float


def encode_each(images: ScoredImages, model: Predictor, progress: Progress | None) -> Iterator[Encoded]:
    """Encode one image after the other; `progress(done, total)` is called after each.

    Raises BadInput at the end when there was nothing to score.
    """
    empty = True
    for done, scored in enumerate(images, 1):
        if scored is not None:
            empty = False
            started = time.perf_counter()
            image = model.encode(scored.pixels_HW3)
            yield Encoded(image, scored.samples, time.perf_counter() - started)
        if progress is not None:
            progress(done, len(images))
    if empty:
        raise BadInput(f"no masks to score in {images.name} ({len(images)} images)")
