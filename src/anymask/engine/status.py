"""Where a project stands: photos, masks, tasks, people, rounds. As values, text and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from anymask.engine.agreement import agreements, mean_agreement
from anymask.engine.project import Project
from anymask.store import images, jobs, registry, tasks
from anymask.store.database import AnyRow


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
        rounds=rounds_of(project),
        agreement=mean_agreement(agreements(project)),
    )


def rounds_of(project: Project) -> tuple[Round, ...]:
    """In their order."""
    return tuple(_round(row) for row in registry.list_rounds(project.database))


def _round(row: AnyRow) -> Round:
    seconds = None if row.finished is None else row.finished - row.started
    return Round(row.number, row.stage, row.state, row.why or "", json.loads(row.metrics), seconds)
