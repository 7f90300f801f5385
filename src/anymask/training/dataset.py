"""Training views for clicks: a part of a photo with the masks of a few of the objects visible there.

Knows nothing of prompts or networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from anymask.core.mask import Mask
from anymask.store.records import Annotation, Record
from anymask.training.augment import Box, ViewConfig, jitter_colour, random_frame

MIN_CELLS = 12  # a visible object covers at least so many mask cells
MAX_COVER = 0.95  # and at most this part of the view


@dataclass(frozen=True, slots=True)
class View:
    """`pixels_SS3`: uint8. `masks_Kmm`: bool, one per object, at the mask stride."""

    pixels_SS3: np.ndarray
    masks_Kmm: np.ndarray


def has_mask(record: Record) -> bool:
    return any("segmentation" in a.fields for a in record.annotations)


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
