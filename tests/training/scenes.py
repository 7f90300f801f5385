"""Tiny photos with exact masks, made on the spot: bright shapes on dark noise, as SA-1B-shaped folders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from anymask.core.mask import Mask


def write_scenes(folder: Path, count: int = 4, size_hw: tuple[int, int] = (96, 128)) -> Path:
    """`count` PNG photos, each with one rectangle and one disk, and their records."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 60, (*size_hw, 3)).astype(np.uint8)
        masks = [rectangle(size_hw, rng), disk(size_hw, rng)]
        for mask, colour in zip(masks, ((230, 80, 60), (60, 200, 240)), strict=True):
            pixels[mask] = colour
        masks[0] &= ~masks[1]
        Image.fromarray(pixels).save(folder / f"scene{number}.png")
        (folder / f"scene{number}.json").write_text(json.dumps(record(f"scene{number}", masks)))
    return folder


def record(key: str, masks: list[np.ndarray]) -> dict[str, object]:
    height, width = masks[0].shape
    annotations = []
    for number, array in enumerate(masks, 1):
        mask = Mask.from_array(array)
        annotations.append(
            {"id": number, "segmentation": mask.rle, "area": mask.area, "bbox": list(mask.bbox_xywh)}
        )
    image = {"image_id": key, "width": width, "height": height, "file_name": f"{key}.png"}
    return {"image": image, "annotations": annotations, "source": "scenes"}


def rectangle(size_hw: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros(size_hw, bool)
    y, x = rng.integers(4, 30, 2)
    mask[y : y + 40, x : x + 50] = True
    return mask


def disk(size_hw: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    ys, xs = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    cy, cx = rng.uniform(50, 70), rng.uniform(70, 100)
    return (ys - cy) ** 2 + (xs - cx) ** 2 < 20**2
