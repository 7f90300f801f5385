"""What is worked out once for each photo: the maps of the frozen trunk, and the masks of box proposals.

A folder of the run holds `<key>.npz` (maps at strides 8, 16 and 32 in half precision) and `<key>.json`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from anymask.api import Model
from anymask.core.mask import Mask
from anymask.core.progress import Progress
from anymask.core.prompt import Prompt
from anymask.data.record import Record
from anymask.networks.naming import NamingTrunk, at_stride_16
from anymask.training.weights import imagenet_weights
from anymask.words.naming import network_input

MAPS = ("f8", "f16", "f32")
BOXES, MIN_BOX_SCORE, DECODED = 60, 0.03, 24


def imagenet_trunk() -> NamingTrunk:
    """Raises MissingExtra."""
    trunk = NamingTrunk().eval()
    trunk.load_imagenet(imagenet_weights())
    return trunk


@torch.no_grad()
def cache_features(records: Sequence[Record], folder: Path, progress: Progress | None = None) -> None:
    """Write the maps of every photo that has none yet."""
    folder.mkdir(parents=True, exist_ok=True)
    trunk = imagenet_trunk()
    for number, record in enumerate(records, 1):
        path = folder / f"{record.key}.npz"
        if not path.is_file():
            maps = trunk(torch.from_numpy(network_input(record.read_pixels())[1]))
            halves = {name: one[0].half().numpy() for name, one in zip(MAPS, maps, strict=True)}
            np.savez(path, **halves)
        if progress is not None:
            progress(number, len(records))


def read_features(folder: Path, key: str) -> Tensor:
    """(F, h, w): the maps of a photo, all in cells of stride 16."""
    with np.load(folder / f"{key}.npz") as file:
        maps = [torch.from_numpy(file[name]).float()[None] for name in MAPS]
    return torch.cat(at_stride_16(*maps), 1)[0]


def cache_proposals(
    records: Sequence[Record], folder: Path, model: Model, progress: Progress | None = None
) -> None:
    """Write the boxes of every photo that has none yet, and the masks of the best of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, record in enumerate(records, 1):
        path = folder / f"{record.key}.json"
        if not path.is_file():
            image = model.encode(record.read_pixels(), refine=False)
            boxes = image.detect_boxes(BOXES, MIN_BOX_SCORE).boxes_xyxy_K4
            prompts = [Prompt.of(None, None, box, None, None) for box in boxes[:DECODED]]
            answers = image.segment_batch(prompts) if prompts else []
            found = {"boxes": boxes.tolist(), "rle": [answer.best.rle for answer in answers]}
            path.write_text(json.dumps(found), "utf-8")
        if progress is not None:
            progress(number, len(records))


def read_proposals(folder: Path, key: str) -> tuple[list[list[float]], list[Mask]]:
    """Boxes, and the masks of the first of them; empty where none were cached."""
    path = folder / f"{key}.json"
    if not path.is_file():
        return [], []
    found = json.loads(path.read_text("utf-8"))
    return found["boxes"], [Mask.from_rle(rle) for rle in found["rle"]]
