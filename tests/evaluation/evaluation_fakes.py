"""Models whose answers are known beforehand, and a data set on disk small enough to score by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from anymask.core.mask import Mask
from anymask.evaluation.samples import Sample

Prompted = dict[str, Any]


@dataclass(frozen=True)
class FakeMask:
    array: np.ndarray


@dataclass(frozen=True)
class FakeAnswer:
    masks: Sequence[np.ndarray]

    @property
    def best(self) -> FakeMask:
        return FakeMask(self.masks[0])

    def __iter__(self) -> Iterator[FakeMask]:
        return (FakeMask(m) for m in self.masks)


@dataclass
class ScriptedModel:
    """Answers its n-th prompt with `script(n, prompt)`: masks, best first. Remembers the prompts."""

    script: Callable[[int, Prompted], Sequence[np.ndarray]]
    name: str = "scripted"
    prompts: list[Prompted] = field(default_factory=list)
    answers: list[FakeAnswer] = field(default_factory=list)

    def encode(self, source: Any, /) -> ScriptedModel:
        assert source.dtype == np.uint8 and source.ndim == 3
        return self

    def segment(self, **prompt: Any) -> FakeAnswer:
        self.prompts.append(prompt)
        self.answers.append(FakeAnswer(self.script(len(self.prompts), prompt)))
        return self.answers[-1]


def sample(truth: np.ndarray, ignore: np.ndarray | None = None, image: int = 0) -> Sample:
    scored = np.ones_like(truth) if ignore is None else ~ignore
    return Sample("key", image, 0, truth & scored, scored, Mask.from_array(truth).box_xyxy)


def rectangle(size_hw: tuple[int, int], x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros(size_hw, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def write_record(folder: Path, key: str, annotations: list[dict[str, Any]], **fields: Any) -> None:
    """A grey photo with its record; masks and ignored pixels are given as arrays."""
    size_hw = annotations[0]["mask"].shape
    height, width = size_hw
    Image.new("RGB", (width, height), (90, 90, 90)).save(folder / f"{key}.png")
    record = {
        "image": {"image_id": key, "height": height, "width": width, "file_name": f"{key}.png"},
        "annotations": [_annotation(number, **a) for number, a in enumerate(annotations, 1)],
        **{name: Mask.from_array(array).rle for name, array in fields.items()},
    }
    (folder / f"{key}.json").write_text(json.dumps(record), encoding="utf-8")


def _annotation(number: int, mask: np.ndarray, ignore: np.ndarray | None = None) -> dict[str, Any]:
    x0, y0, x1, y1 = Mask.from_array(mask).box_xyxy
    return {
        "id": number,
        "segmentation": Mask.from_array(mask).rle,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        **({} if ignore is None else {"ignore": Mask.from_array(ignore).rle}),
    }
