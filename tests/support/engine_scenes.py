"""Small photos of disks with their masks, and projects of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from anymask.core.mask import Mask
from anymask.data.record import annotation_of

SIZE_HW = (96, 128)


def disks(seed: int) -> tuple[np.ndarray, list[Mask]]:
    """uint8 H x W x 3 and the masks of its bright disks, which do not touch."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    photo = rng.integers(20, 40, (*SIZE_HW, 3)).astype(np.uint8)
    masks = []
    for column, row in ((24, 24), (64, 60), (104, 30)):
        radius = int(rng.integers(9, 15))
        inside = (x - column) ** 2 + (y - row) ** 2 <= radius**2
        photo[inside] = rng.integers(150, 250, 3)
        masks.append(Mask.from_array(inside))
    return photo, masks


def write_data_set(folder: Path, seeds: range) -> Path:
    """Photos with records beside them."""
    folder.mkdir(parents=True)
    for seed in seeds:
        photo, masks = disks(seed)
        Image.fromarray(photo).save(folder / f"disks-{seed}.png")
        record = {
            "image": {
                "image_id": seed,
                "height": SIZE_HW[0],
                "width": SIZE_HW[1],
                "file_name": f"disks-{seed}.png",
            },
            "annotations": [annotation_of(number, mask) for number, mask in enumerate(masks, 1)],
        }
        (folder / f"disks-{seed}.json").write_text(json.dumps(record))
    return folder
