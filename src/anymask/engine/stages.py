"""The three stages of the data engine behind one protocol (paper, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from anymask.api import Model
from anymask.core.mask import iou_matrix
from anymask.data.sources import RecordSource
from anymask.engine.prefill import prefill
from anymask.engine.project import Project
from anymask.store import tasks
from anymask.store.schema import images

PRECISION = 0.9  # that prefilled masks have to reach, at IoU 0.75
IOU = 0.75
MIN_MASKS = 20  # audited, before a threshold is believed
FALLBACK = 0.9  # probability, where the threshold cannot be fitted


class Stage(Protocol):
    """How a stage opens photos to people. `name`: as masks of it are stored."""

    @property
    def name(self) -> str: ...

    def open(self, project: Project, model: Model, image_ids: Sequence[int], round_number: int) -> int:
        """Make tasks for these photos; returns how many masks they begin with."""
        ...


@dataclass(frozen=True, slots=True)
class AssistedManual:
    """Stage 1: people prompt the model, in order of prominence; no class needed."""

    name: str = "manual"

    def open(self, project: Project, model: Model, image_ids: Sequence[int], round_number: int) -> int:
        tasks.add_tasks(project.database, image_ids, round_number=round_number)
        return 0


@dataclass(frozen=True, slots=True)
class SemiAutomatic:
    """Stage 2: confident masks are there already, people add what is missing."""

    min_probability: float
    name: str = "semi"

    def open(self, project: Project, model: Model, image_ids: Sequence[int], round_number: int) -> int:
        found = fill(project, model, image_ids, "prefilled", self.min_probability)
        tasks.add_tasks(project.database, image_ids, round_number=round_number)
        return found


@dataclass(frozen=True, slots=True)
class FullyAutomatic:
    """Stage 3: all masks are the model's; people audit a share of the photos."""

    min_probability: float
    audited: float = 0.05
    name: str = "automatic"

    def open(self, project: Project, model: Model, image_ids: Sequence[int], round_number: int) -> int:
        found = fill(project, model, image_ids, "automatic", self.min_probability)
        count = max(1, round(self.audited * len(image_ids))) if image_ids else 0
        tasks.add_tasks(project.database, spread(image_ids, count), kind="audit", round_number=round_number)
        return found


def fill(project: Project, model: Model, image_ids: Sequence[int], stage: str, min_probability: float) -> int:
    """Automatic masks for these photos."""
    return prefill(
        project, stage=stage, min_probability=min_probability, image_ids=image_ids, model=model
    ).masks


def spread(image_ids: Sequence[int], count: int) -> list[int]:
    """So many of them, evenly over all."""
    return [image_ids[int(i)] for i in np.linspace(0, len(image_ids) - 1, count)] if count else []


def untouched(project: Project) -> list[int]:
    """Photos outside of the fixed part that nobody has annotated, in their order."""
    free = select(images.c.id).where(
        images.c.fixed.is_(False), images.c.state.in_(("new", "prefilled", "automatic"))
    )
    with project.database.read() as connection:
        return [row.id for row in connection.execute(free.order_by(images.c.id))]


def fit_threshold(model: Model, audited: RecordSource) -> tuple[float, dict[str, float]]:
    """The lowest probability from which automatic masks reach the precision, on photos with ground truth.

    Returns it with what was measured there. Where no threshold reaches it, the highest that keeps some masks.
    """
    probability, right = _measured(model, audited)
    if len(probability) < MIN_MASKS:
        return FALLBACK, {"masks": float(len(probability))}
    order = np.argsort(-probability)
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(precision >= PRECISION)
    enough = enough[enough >= MIN_MASKS - 1]
    at = int(enough[-1]) if len(enough) else MIN_MASKS - 1
    told = {"masks": float(len(order)), "kept": float(at + 1), "precision": float(precision[at])}
    return float(probability[order[at]]), told


def _measured(model: Model, audited: RecordSource) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    probability: list[float] = []
    right: list[bool] = []
    for record in audited:
        truth = [mask for _, mask in record.drawn]
        found = model.everything(record.read_pixels())
        if not found or not truth:
            continue
        best = iou_matrix([one.mask for one in found], truth).max(axis=1)
        probability += [float(one.probability) for one in found]
        right += (best >= IOU).tolist()
    return np.array(probability), np.array(right, bool)
