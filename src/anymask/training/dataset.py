"""Training views: view number i of a run is a pure function of (seed, i), so a run resumes from a count
alone.

Draws a photo by the weight of its source, an augmented view of it, and a few of the objects visible
there. Knows nothing of prompts or networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from anymask.core.mask import Mask
from anymask.errors import BadInput
from anymask.store.records import Annotation, Record, RecordSource
from anymask.training.augment import Box, jitter_colour, random_frame

MIN_CELLS = 12  # a visible object covers at least so many mask cells
MAX_COVER = 0.95  # and at most this part of the view


@dataclass(frozen=True, slots=True)
class ViewConfig:
    """`size`: side of a view in pixels. `stride`: pixels per mask cell. `objects`: masks per view."""

    size: int
    stride: int
    objects: int
    scale: tuple[float, float] = (0.7, 2.5)
    colour: float = 0.3
    fill: tuple[int, int, int] = (127, 127, 127)


@dataclass(frozen=True, slots=True)
class View:
    """`pixels_SS3`: uint8. `masks_Kmm`: bool, one per object, at the mask stride."""

    pixels_SS3: np.ndarray
    masks_Kmm: np.ndarray


class TrainingViews:
    """All views of a data set. `weights`: how often a source is drawn relative to its number of photos
    (default 1).
    """

    def __init__(self, records: RecordSource, weights: Mapping[str, float], seed: int) -> None:
        self.records, self.seed = records, seed
        usable = [
            (i, r.source)
            for i, r in enumerate(records)
            if any("segmentation" in a.fields for a in r.annotations)
        ]
        if not usable:
            raise BadInput(f"no masks to train on in {records.name}")
        self.indices = np.array([i for i, _ in usable])
        odds = np.array([weights.get(source, 1.0) for _, source in usable], dtype=np.float64)
        self.odds = odds / odds.sum()

    def view(self, number: int, config: ViewConfig) -> View:
        """View `number` of the run; photos whose drawn view shows no object are drawn again."""
        rng = np.random.default_rng([self.seed, number])
        for _ in range(100):
            record = self.records[int(rng.choice(self.indices, p=self.odds))]
            view = draw_view(record, config, rng)
            if view is not None:
                return view
        raise BadInput(f"100 views of {self.records.name} in a row show no object: are the masks empty?")


def draw_view(record: Record, config: ViewConfig, rng: Generator) -> View | None:
    """One view around a random object of `record`; None when nothing is visible in it."""
    annotations = [a for a in record.annotations if a.fields.get("segmentation")]
    focus = annotations[int(rng.integers(len(annotations)))]
    frame = random_frame(record.size_hw, focus.box_xyxy, config.size, config.scale, rng)
    others = [a for a in annotations if a is not focus and _overlaps(a.box_xyxy, frame.crop_xyxy)]
    order = [focus, *(others[int(i)] for i in rng.permutation(len(others)))]
    masks: list[np.ndarray] = []
    for annotation in order[: 2 * config.objects]:
        drawn = frame.draw_mask(_mask_array(annotation), config.stride)
        if MIN_CELLS <= drawn.sum() <= MAX_COVER * drawn.size:
            masks.append(drawn)
        if len(masks) == config.objects:
            break
    if not masks:
        return None
    picture = jitter_colour(frame.draw_pixels(record.read_pixels(), config.fill), rng, config.colour)
    chosen = [masks[i % len(masks)] for i in range(config.objects)]
    return View(np.asarray(picture), np.stack(chosen))


def _mask_array(annotation: Annotation) -> np.ndarray:
    mask = annotation.mask
    assert isinstance(mask, Mask)  # annotations without a segmentation were left out
    return mask.to_array()


def _overlaps(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
