"""Masks to hand to other programs: blobs of noise, thin lines, single pixels; and a data set of them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from anymask.core.mask import Mask
from anymask.data import formats
from anymask.data.record import Blob, Record, annotation_of

SIZE = (97, 131)


def blob(rng: np.random.Generator, size_hw: tuple[int, int] = SIZE) -> np.ndarray:
    """Smooth noise over a threshold: pieces, holes and corners that touch."""
    noise = ndimage.gaussian_filter(rng.normal(size=size_hw), rng.uniform(0.7, 6))
    inside = noise > np.quantile(noise, rng.uniform(0.5, 0.97))
    y, x = np.argwhere(inside)[rng.integers(inside.sum())]
    window = np.zeros_like(inside)
    window[max(0, y - 30) : y + 30, max(0, x - 30) : x + 30] = True
    return inside & window


def without_holes(rng: np.random.Generator, size_hw: tuple[int, int] = SIZE) -> np.ndarray:
    """One piece. Every tenth a line, every tenth a pixel."""
    inside = np.zeros(size_hw, bool)
    kind = rng.integers(10)
    y, x = rng.integers(size_hw[0]), rng.integers(size_hw[1])
    if kind == 0:
        inside[y, x] = True
    elif kind == 1:
        end = np.array([rng.integers(size_hw[0]), rng.integers(size_hw[1])])
        for share in np.linspace(0, 1, 400):
            inside[tuple(np.round((1 - share) * np.array([y, x]) + share * end).astype(int))] = True
    else:
        drawn = blob(rng, size_hw)
        pieces, count = ndimage.label(drawn, np.ones((3, 3)))
        largest = 1 + np.argmax(ndimage.sum(drawn, pieces, range(1, count + 1)))
        inside = ndimage.binary_fill_holes(pieces == largest)
    return inside


def written(folder: Path, masks: list[np.ndarray], name: str, per_photo: int = 20) -> formats.Notes:
    """A data set of a format, whose photos are called 000, 001 and so on; its masks in their order."""
    notes = formats.Notes()
    records = list(_records(folder, masks, per_photo))
    formats.write(
        formats.Contents(records, len(records), {"thing": 1}),
        folder / "dst",
        notes,
        format_name=name,
        photos="copy",
    )
    assert not notes.failures
    return notes


def _records(folder: Path, masks: list[np.ndarray], per_photo: int) -> Iterator[Record]:
    buffer = io.BytesIO()
    Image.new("RGB", SIZE[::-1], (30, 60, 90)).save(buffer, "PNG")
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, len(masks), per_photo):
        photo = folder / f"{first // per_photo:03d}.png"
        photo.write_bytes(buffer.getvalue())
        annotations = [
            annotation_of(number, Mask.from_array(one), "thing")
            for number, one in enumerate(masks[first : first + per_photo], 1)
        ]
        image = {"height": SIZE[0], "width": SIZE[1], "file_name": photo.name}
        yield Record(photo.stem, {"image": image, "annotations": annotations}, Blob(photo))


def ious(masks: list[np.ndarray], others: list[np.ndarray]) -> np.ndarray:
    assert len(masks) == len(others)
    return np.array([(a & b).sum() / (a | b).sum() for a, b in zip(masks, others, strict=True)])
