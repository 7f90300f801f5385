"""Small photos of disks with their masks, and a recipe without training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from anymask.core.mask import Mask
from anymask.data.record import annotation_of
from anymask.data.sources import RecordSource
from anymask.engine.promotion import Decision
from anymask.engine.rounds import Recipe, Trained

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


class FakeRecipe:
    """A recipe whose models are files that hold their score."""

    def __init__(self, *scores: float) -> None:
        self.scores = list(scores)
        self.seen: list[list[str]] = []

    @property
    def recipe(self) -> Recipe:
        return Recipe(self._train, self._evaluate, self._decide)

    def _train(self, records: RecordSource, base: str, out: Path, *, seed: int) -> Trained:
        self.seen.append(records.keys)
        if not self.scores:
            raise KeyboardInterrupt
        out.mkdir(parents=True, exist_ok=True)
        (out / "model.onnx").write_text(str(self.scores.pop(0)))
        return Trained(out / "model.onnx")

    def _evaluate(self, model: str, records: RecordSource) -> dict[str, float]:
        assert len(records)
        return {"iou_click_1": float(Path(model).read_text()) if "round" in model else 0.5}

    def _decide(self, before: dict[str, float], after: dict[str, float], forgotten: float | None) -> Decision:
        better = after["iou_click_1"] > before["iou_click_1"]
        return Decision(better, "better" if better else "worse")
