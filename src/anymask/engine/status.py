"""Where a project stands: photos, masks, tasks, people, rounds. As values, text and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from anymask.core.mask import Mask, iou_matrix
from anymask.engine.project import Project
from anymask.store import images, jobs, registry, tasks
from anymask.store.annotations import masks_of
from anymask.store.database import AnyRow

COMPARED = 10  # photos whose masks are matched for the agreement: a page waits for it


@dataclass(frozen=True, slots=True)
class Person:
    """What someone did. `seconds`: active, of all their tasks."""

    name: str
    kind: str
    tasks: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Round:
    """`metrics`: of the model before and after, on the fixed part."""

    number: int
    stage: str
    state: str
    why: str
    metrics: dict[str, Any]
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Status:
    """All of it, at one moment."""

    model: str
    images: dict[str, int]
    tasks: dict[str, dict[str, int]]
    jobs: dict[str, int]
    people: tuple[Person, ...]
    rounds: tuple[Round, ...]
    agreement: float | None

    @property
    def masks_per_image(self) -> float | None:
        worked = self.images["annotated"] + self.images["prefilled"] + self.images["automatic"]
        return self.images["masks"] / worked if worked else None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "masks_per_image": self.masks_per_image}


def status_of(project: Project) -> Status:
    """Raises StorageError."""
    database = project.database
    people = [
        Person(row.user or "", row.kind, int(row.tasks), float(row.seconds or 0))
        for row in tasks.people(database)
    ]
    current = registry.current_model(database)
    return Status(
        model=project.config.model if current is None else current.name,
        images=images.counts(database),
        tasks=tasks.counts(database),
        jobs=jobs.counts(database),
        people=tuple(people),
        rounds=tuple(_round(row) for row in registry.list_rounds(database)),
        agreement=agreement(project),
    )


def _round(row: AnyRow) -> Round:
    seconds = None if row.finished is None else row.finished - row.started
    return Round(row.number, row.stage, row.state, row.why or "", json.loads(row.metrics), seconds)


def agreement(project: Project) -> float | None:
    """Mean IoU of matched masks of people who annotated the same photo, blind; an unmatched mask counts 0.

    Of the last COMPARED photos that were annotated twice or more; None where there is none.
    """
    scores: list[float] = []
    for image_id, count in tasks.overlapping(project.database, limit=COMPARED):
        layers = [[one.mask for one in masks_of(project.database, image_id, n)] for n in range(count)]
        scores += [_matched(layers[0], other) for other in layers[1:] if layers[0] or other]
    return sum(scores) / len(scores) if scores else None


def _matched(ours: list[Mask], theirs: list[Mask]) -> float:
    """Greedy matching, the best pairs first; 2 x their IoU over the number of masks of both."""
    if not ours or not theirs:
        return 0.0
    ious = iou_matrix(ours, theirs)
    total = 0.0
    for _ in range(min(len(ours), len(theirs))):
        i, j = divmod(int(ious.argmax()), ious.shape[1])
        total += float(ious[i, j])
        ious[i, :] = -1
        ious[:, j] = -1
    return 2 * total / (len(ours) + len(theirs))
