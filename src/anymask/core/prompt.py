"""Prompt: what is asked of an image. Any mix of points, one box, one mask and one phrase.

In image coordinates: the centre of pixel (0, 0) is (0.5, 0.5). Knows shapes and ranges, no network.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anymask.core.candidates import Candidate, Candidates
from anymask.core.frames import Frame
from anymask.core.mask import Mask
from anymask.core.values import ArrayValue
from anymask.errors import BadPrompt


@dataclass(frozen=True, slots=True, eq=False)
class ImageMask(ArrayValue):
    """A mask prompt in pixels of the image: (H, W) bool."""

    inside_HW: NDArray[np.bool_]

    def check(self, size_hw: tuple[int, int], low_res_size: int | None) -> None:
        """Raises BadPrompt for a mask of another size than the image."""
        if self.inside_HW.shape != tuple(size_hw):
            got, expected = (f"{width} x {height}" for height, width in (self.inside_HW.shape, size_hw))
            raise BadPrompt(f"mask: expected the size of the image, {expected}, got {got}")


@dataclass(frozen=True, slots=True, eq=False)
class LowResLogits(ArrayValue):
    """A mask prompt as low-resolution logits of an earlier answer: (h, w) float32 (paper, section 3).

    `frame`: what they were predicted in; None means the whole image.
    """

    logits_hw: NDArray[np.float32]
    frame: Frame | None = None

    def check(self, size_hw: tuple[int, int], low_res_size: int | None) -> None:
        """Raises BadPrompt for an answer about another image and for logits of another model."""
        if self.frame is not None and self.frame.size_hw_image != tuple(size_hw):
            got, expected = (f"{width} x {height}" for height, width in (self.frame.size_hw_image, size_hw))
            raise BadPrompt(
                f"mask: expected an answer about this image, {expected}, got one about an image of {got}"
            )
        if low_res_size is not None and self.logits_hw.shape != (low_res_size, low_res_size):
            expected = f"float logits of {low_res_size} x {low_res_size} or a bool mask of the image"
            height, width = self.logits_hw.shape
            raise BadPrompt(f"mask: expected {expected}, got floats of {width} x {height}")


MaskPrompt = ImageMask | LowResLogits


@dataclass(frozen=True, slots=True, eq=False)
class Prompt(ArrayValue):
    """Built with `Prompt.of`, which checks everything that can be checked without the image.

    `points_xy`: (N, 2) float32. `labels`: (N,) int8, 1 inside what is meant, 0 outside.
    `box_xyxy`: (4,) float32 edges. `mask`: pixels of the image, or logits of an earlier answer.
    """

    points_xy: NDArray[np.float32]
    labels: NDArray[np.int8]
    box_xyxy: NDArray[np.float32] | None = None
    mask: MaskPrompt | None = None
    text: str | None = None

    @classmethod
    def of(
        cls,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: Any = None,
        text: str | None = None,
    ) -> Prompt:
        """From anything array-like; labels are all 1 unless given. Raises BadPrompt.

        `mask`: a Mask, a bool (or integer 0 / not 0) array of the size of the image, float low-resolution
        logits, or an earlier answer (Candidates or one Candidate).
        """
        points_xy = _points(points)
        prompt = cls(points_xy, _labels(labels, len(points_xy)), _box(box), _mask(mask), _text(text))
        if not len(points_xy) and box is None and mask is None and text is None:
            raise BadPrompt("empty prompt: expected at least one of points, box, mask or text")
        return prompt

    @property
    def is_ambiguous(self) -> bool:
        """True for a single point and nothing else: whole, part and sub-part are all right answers."""
        alone = self.box_xyxy is None and self.mask is None and self.text is None
        return alone and len(self.points_xy) == 1

    @property
    def is_mask_alone(self) -> bool:
        """True for a mask without points and box."""
        return self.mask is not None and not len(self.points_xy) and self.box_xyxy is None

    def check(self, size_hw: tuple[int, int], low_res_size: int | None = None) -> Prompt:
        """This prompt with its box clipped to an image of `size_hw`.

        `low_res_size`: side of the logits the model takes as a mask. Raises BadPrompt for points outside,
        a box that does not overlap the image and a mask of another size.
        """
        self._check_points(size_hw)
        if self.mask is not None:
            self.mask.check(size_hw, low_res_size)
        return self if self.box_xyxy is None else replace(self, box_xyxy=_clipped(self.box_xyxy, size_hw))

    def _check_points(self, size_hw: tuple[int, int]) -> None:
        height, width = size_hw
        for number, (x, y) in enumerate(self.points_xy.tolist(), 1):
            if not (0 <= x <= width and 0 <= y <= height):
                raise BadPrompt(
                    f"point {number} is outside the image: expected x in 0..{width} and y in 0..{height}, "
                    f"got {x:g}, {y:g}"
                )


def _points(points: ArrayLike | None) -> NDArray[np.float32]:
    if points is None:
        return np.zeros((0, 2), np.float32)
    array = _floats(points, "points", "N x 2 numbers")
    if array.size == 0:
        array = array.reshape(0, 2)
    if array.ndim == 1 and array.size == 2:
        array = array[None]
    if array.ndim != 2 or array.shape[1] != 2:
        raise BadPrompt(f"points: expected x, y pairs (N x 2), got shape {array.shape}")
    return array


def _labels(labels: ArrayLike | None, count: int) -> NDArray[np.int8]:
    if labels is None:
        return np.ones(count, np.int8)
    array = np.atleast_1d(_floats(labels, "labels", "a 1 or 0 for each point"))
    if array.shape != (count,):
        raise BadPrompt(f"labels: expected one for each of {count} points, got shape {array.shape}")
    if not np.isin(array, (0, 1)).all():
        wrong = array[~np.isin(array, (0, 1))][0]
        raise BadPrompt(f"labels: expected 1 (inside what is meant) or 0 (outside), got {wrong:g}")
    return array.astype(np.int8)


def _box(box: ArrayLike | None) -> NDArray[np.float32] | None:
    if box is None:
        return None
    array = _floats(box, "box", "x0, y0, x1, y1")
    if array.shape == (1, 4):
        array = array[0]
    if array.shape != (4,):
        raise BadPrompt(f"box: expected x0, y0, x1, y1, got shape {array.shape}")
    x0, y0, x1, y1 = array.tolist()
    if not (x0 < x1 and y0 < y1):
        raise BadPrompt(f"box: expected x0 < x1 and y0 < y1, got {x0:g}, {y0:g}, {x1:g}, {y1:g}")
    return array


def _clipped(box_xyxy: NDArray[np.float32], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    height, width = size_hw
    clipped: NDArray[np.float32] = box_xyxy.clip(0, np.array([width, height] * 2, np.float32))
    if not (clipped[0] < clipped[2] and clipped[1] < clipped[3]):
        x0, y0, x1, y1 = box_xyxy.tolist()
        raise BadPrompt(
            f"box is outside the image: expected it to overlap 0, 0, {width}, {height}, "
            f"got {x0:g}, {y0:g}, {x1:g}, {y1:g}"
        )
    return clipped


def _mask(mask: Any) -> MaskPrompt | None:
    if isinstance(mask, Candidates) and len(mask):
        mask = mask.best
    if isinstance(mask, Candidate):
        return LowResLogits(_floats(mask.low_res_logits, "mask", "finite logits"), mask.frame)
    array = mask.to_array() if isinstance(mask, Mask) else mask
    return None if array is None else _mask_of_array(array)


def _mask_of_array(mask: Any) -> MaskPrompt:
    try:
        array = np.asarray(mask)
    except (TypeError, ValueError):
        raise BadPrompt(f"mask: expected one H x W mask, got {_short(mask)}") from None
    if array.ndim != 2 or 0 in array.shape:
        raise BadPrompt(f"mask: expected one H x W mask, got shape {array.shape}")
    if array.dtype.kind == "f":
        return LowResLogits(_floats(array, "mask", "finite logits"))
    if array.dtype.kind not in "biu":
        raise BadPrompt(f"mask: expected a bool array or float logits, got {array.dtype}")
    return ImageMask(array.astype(np.bool_))


def _text(text: str | None) -> str | None:
    if text is None:
        return None
    if not isinstance(text, str) or not text.strip():
        raise BadPrompt(f"text: expected a phrase, got {text!r}")
    return text.strip()


def _floats(values: ArrayLike, name: str, expected: str) -> NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):
            array = np.asarray(values, np.float64).astype(np.float32)
    except (TypeError, ValueError, OverflowError):
        raise BadPrompt(f"{name}: expected {expected}, got {_short(values)}") from None
    if not np.isfinite(array).all():
        raise BadPrompt(f"{name}: expected finite numbers, got {array[~np.isfinite(array)][0]}")
    return array


def _short(values: Any) -> str:
    return " ".join(repr(values).split())[:60]
