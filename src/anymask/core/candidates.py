"""Candidates: the answers to one prompt, best first, kept at low resolution and upscaled when asked for.

Legend: M candidates, h w low-resolution pixels of the model's square, H W pixels of the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from anymask.core.frames import Frame
from anymask.core.mask import Mask, Rle
from anymask.core.polygons import Ring
from anymask.core.values import ArrayValue

THRESHOLD = 0.0  # logits above it are inside


@dataclass(frozen=True, eq=False)
class Candidate(ArrayValue):
    """One answer. `iou`: predicted IoU. `probability`: calibrated chance that this mask was meant.

    `low_res_logits`: (h, w) float32. `frame`: what they were predicted in, the image or a window of it.
    """

    low_res_logits: NDArray[np.float32]
    iou: float
    probability: float
    frame: Frame

    @cached_property
    def mask(self) -> Mask:
        return mask_in(self.frame, self.low_res_logits)

    @property
    def array(self) -> NDArray[np.bool_]:
        """H x W bool, a new array each time."""
        return self.mask.to_array()

    @property
    def logits(self) -> NDArray[np.float32]:
        """H x W float32, a new array each time: four bytes for each pixel of the image."""
        logits_1HW = self.frame.to_image_logits(self.low_res_logits[None])
        return logits_1HW.reshape(self.frame.size_hw_image)

    @property
    def rle(self) -> Rle:
        return self.mask.rle

    def polygons(self) -> list[list[Ring]]:
        """See `Mask.polygons`."""
        return self.mask.polygons()

    def __repr__(self) -> str:
        return f"Candidate(probability={self.probability:.3f}, iou={self.iou:.3f})"


@dataclass(frozen=True, eq=False)
class Candidates(ArrayValue):
    """Answers to one prompt, best first; with `none_probability` the probabilities sum to 1.

    `low_res_logits`: (M, h, w) float32. `iou`, `probability`: (M,) float32. `frames`: what each was
    predicted in. Slicing keeps `none_probability`.
    """

    low_res_logits: NDArray[np.float32]
    iou: NDArray[np.float32]
    probability: NDArray[np.float32]
    none_probability: float
    frames: tuple[Frame, ...]

    def __post_init__(self) -> None:
        count = len(self.low_res_logits)
        assert self.low_res_logits.ndim == 3 and self.iou.shape == self.probability.shape == (count,)
        assert len(self.frames) == count

    def by_probability(self) -> Candidates:
        """The most probable one first; equal ones keep their order."""
        order = np.argsort(-self.probability, kind="stable")
        arrays = (self.low_res_logits[order], self.iou[order], self.probability[order])
        return Candidates(*arrays, self.none_probability, tuple(self.frames[i] for i in order))

    @cached_property
    def _items(self) -> tuple[Candidate, ...]:
        scores = self.iou.tolist(), self.probability.tolist()
        return tuple(Candidate(*row) for row in zip(self.low_res_logits, *scores, self.frames, strict=True))

    @classmethod
    def of(cls, candidates: Sequence[Candidate], none_probability: float) -> Candidates:
        """At least one, in their order."""
        return cls(
            np.stack([c.low_res_logits for c in candidates]),
            np.array([c.iou for c in candidates], np.float32),
            np.array([c.probability for c in candidates], np.float32),
            none_probability,
            tuple(c.frame for c in candidates),
        )

    @property
    def best(self) -> Candidate:
        """The first."""
        return self._items[0]

    def __len__(self) -> int:
        return len(self.low_res_logits)

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._items)

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> Candidates: ...
    def __getitem__(self, index: int | slice) -> Candidate | Candidates:
        if isinstance(index, slice):
            parts = (self.low_res_logits[index], self.iou[index], self.probability[index])
            return Candidates(*parts, self.none_probability, self.frames[index])
        return self._items[index]

    def __repr__(self) -> str:
        each = ", ".join(f"{probability:.3f}" for probability in self.probability)
        return f"Candidates(probability=[{each}], none_probability={self.none_probability:.3f})"


@dataclass(frozen=True, slots=True, eq=False)
class AnswerStep:
    """One step on the way to the answer to a prompt. `is_final`: its masks do not change any more.

    `look`: all candidates of one pass. `best`: the best of them, refined. `alternatives`: the whole answer.
    """

    name: Literal["look", "best", "alternatives"]
    candidates: Candidates
    is_final: bool


def mask_in(frame: Frame, low_res_hw: NDArray[np.float32]) -> Mask:
    """Where logits that were predicted in a frame say yes; of a window nothing else is looked at."""
    inside = Mask.from_array(frame.inside.to_image_mask(low_res_hw, THRESHOLD))
    return inside.placed(frame.size_hw_image, frame.origin_xy)


def apply_temperature(chance_N: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Temperature scaling of probabilities that sum to 1; their order stays.

    Above 1 they become more alike, below 1 less; of a softmax these are exactly the values of its logits
    divided by the temperature (Guo et al. 2017, section 4.2).
    """
    powers = (chance_N / chance_N.max()) ** (1 / temperature)
    return np.asarray(powers / powers.sum())
