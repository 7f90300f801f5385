"""A scene that answers points with masks as a trained network would: for generators, without weights.

Nested cells with soft edges: a point is answered with the three cells it lies in, as low-resolution logits,
and with predicted IoUs that differ from cell to cell. The published generator and ours ask the same scene.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from anymask.backends.base import DecodedArrays, DecodeInput, EmbeddingArrays, Floats
from anymask.core.frames import ResizeLongest
from anymask.core.spec import ModelSpec

SIDE, FRAME = 256, 1024
CELLS = (12, 45, 120)  # of the three levels
SPEC = ModelSpec("scene", "sam", FRAME, SIDE, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), -0.5)


@dataclass(frozen=True)
class Scene:
    """Centres of cells in the model frame, one level inside the other by nearness.

    `cells` of each level; `least_iou`: predicted IoUs lie between it and 1; `sharpness`: logits per pixel of
    the model frame at the edges of cells.
    """

    seed: int = 0
    cells: tuple[int, ...] = CELLS
    least_iou: float = 0.75
    sharpness: tuple[float, ...] = (0.2, 1.0, 3.0)

    @cache  # noqa: B019
    def levels(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """For each level: centres, predicted IoU, sharpness of the edge."""
        rng = np.random.default_rng(self.seed)
        return [
            (
                rng.uniform(0, FRAME, (count, 2)).astype(np.float32),
                rng.uniform(self.least_iou, 1.0, count).astype(np.float32),
                rng.choice(self.sharpness, count).astype(np.float32),
            )
            for count in self.cells
        ]

    def answer(self, point_xy: np.ndarray) -> tuple[Floats, Floats]:
        """Slots 0..3: low-resolution logits 4 x m x m and predicted IoUs."""
        answers = [self._cell(level, self._nearest(level, point_xy)) for level in range(3)]
        slots = (answers[0], *answers)
        logits = np.stack([cell for cell, _ in slots])
        return logits, np.array([iou for _, iou in slots], np.float32)

    def _nearest(self, level: int, point_xy: np.ndarray) -> int:
        centres, _, _ = self.levels()[level]
        return int(((centres - point_xy) ** 2).sum(axis=1).argmin())

    @cache  # noqa: B019
    def _cell(self, level: int, chosen: int) -> tuple[Floats, float]:
        """Positive where the chosen centre is the nearest, by how much nearer it is than the others."""
        centres, ious, sharpness = self.levels()[level]
        nearest, second = self._two_nearest(level)
        own = _distances(centres[chosen])
        others = np.where(own == nearest, second, nearest)
        logits = (others - own) * sharpness[chosen]
        return logits.clip(-20, 20).astype(np.float32), float(ious[chosen])

    @cache  # noqa: B019
    def _two_nearest(self, level: int) -> tuple[Floats, Floats]:
        nearest = second = np.full((SIDE, SIDE), np.inf, np.float32)
        for centre in self.levels()[level][0]:
            distance = _distances(centre)
            second = np.minimum(second, np.maximum(nearest, distance))
            nearest = np.minimum(nearest, distance)
        return nearest, second


def _distances(centre_xy: np.ndarray) -> Floats:
    axis = (np.arange(SIDE, dtype=np.float32) + 0.5) * (FRAME / SIDE)
    return np.hypot(axis - centre_xy[0], (axis - centre_xy[1])[:, None])


class SceneBackend:
    """The scene behind the backend seam."""

    spec = SPEC

    def __init__(self, scene: Scene, batch_size: int = 1) -> None:
        self.scene, self.batch_size, self.asked = scene, batch_size, 0

    def encode(self, pixels_13hw: Floats) -> EmbeddingArrays:
        return {"image_embeddings": np.zeros((1, 1, 1, 1), np.float32)}

    def decode(self, embedding: Mapping[str, Floats], prompts: DecodeInput) -> DecodedArrays:
        self.asked += len(prompts.points_PN2)
        answers = [self.scene.answer(point) for point in prompts.points_PN2[:, 0]]
        return DecodedArrays(np.stack([a[0] for a in answers]), np.stack([a[1] for a in answers]), None)


def published_predictor(scene: Scene, sam: Any, transform: Any) -> Any:
    """What the published generator needs of a predictor, answering from the scene."""
    import torch

    class Predictor:
        model = sam
        device = torch.device("cpu")

        def __init__(self) -> None:
            self.transform = transform

        def set_image(self, image: np.ndarray) -> None:
            height, width = image.shape[:2]
            self.original_size = (height, width)
            self.input_size = ResizeLongest((height, width), FRAME).size_hw_model

        def reset_image(self) -> None:
            pass

        def predict_torch(self, points: Any, labels: Any, **_: Any) -> Any:
            answers = [scene.answer(point[0].numpy().astype(np.float32)) for point in points]
            low_res = torch.from_numpy(np.stack([logits[1:] for logits, _ in answers]))
            ious = torch.from_numpy(np.stack([iou[1:] for _, iou in answers]))
            return sam.postprocess_masks(low_res, self.input_size, self.original_size), ious, low_res

    return Predictor()


def plain_nms(boxes: Any, scores: Any, categories: Any, iou_threshold: float) -> Any:
    """torchvision's `batched_nms` for one category, slowly: where torchvision is not installed."""
    import torch

    todo = torch.argsort(scores, descending=True, stable=True).tolist()
    kept = []
    while todo:
        best, *rest = todo
        kept.append(best)
        low, high = (
            torch.max(boxes[best, :2], boxes[rest][:, :2]),
            torch.min(boxes[best, 2:], boxes[rest][:, 2:]),
        )
        shared = (high - low).clamp(min=0).prod(dim=1)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
        iou = shared / (areas[best] + areas[rest] - shared)
        todo = [r for r, value in zip(rest, iou.tolist(), strict=True) if not value > iou_threshold]
    return torch.tensor(kept, dtype=torch.long)


def area_of_boxes(boxes: Any) -> Any:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
