"""Numbers of a project for its dashboard: what `status` has, and how long people take for a mask."""

from __future__ import annotations

import time
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

from sqlalchemy import func, select

from anymask.engine.project import Project
from anymask.engine.status import rounds_of, status_of
from anymask.store.blind import second_waiting
from anymask.store.schema import events, mask_rows

DAYS = 60  # of work that are shown
ROUND_NEEDS = ("torch", "onnx_ir", "onnxscript", "cv2", "scipy")
DAY_S = 86_400


def dashboard(project: Project) -> dict[str, Any]:
    """As JSON. Raises StorageError."""
    status = status_of(project)
    people = [{**asdict(one), "seconds_each": one.seconds / one.tasks} for one in status.people]
    return {
        **status.to_json(),
        "people": people,
        "second_waiting": second_waiting(project.database),
        "seconds_per_mask": seconds_per_mask(project),
        "masks_by_stage": masks_by_stage(project),
        "saves_by_day": saves_by_day(project),
    }


def rounds_told(project: Project) -> list[dict[str, Any]]:
    """In their order."""
    return [asdict(one) for one in rounds_of(project)]


def seconds_per_mask(project: Project) -> dict[str, float]:
    """Active time of people, mean of the masks of each stage that tell it."""
    timed = mask_rows.c.seconds.is_not(None)
    query = select(mask_rows.c.stage, func.avg(mask_rows.c.seconds)).where(timed).group_by(mask_rows.c.stage)
    with project.database.read() as connection:
        return {stage: round(float(mean), 2) for stage, mean in connection.execute(query)}


def masks_by_stage(project: Project) -> dict[str, int]:
    """Masks of now."""
    current = mask_rows.c.removed.is_(None) & (mask_rows.c.layer == 0)
    query = select(mask_rows.c.stage, func.count()).where(current).group_by(mask_rows.c.stage)
    with project.database.read() as connection:
        return {stage: int(number) for stage, number in connection.execute(query)}


def saves_by_day(project: Project) -> list[dict[str, Any]]:
    """The last days on which somebody saved something, by UTC."""
    day = func.floor(events.c.at / DAY_S)
    query = select(day, func.count()).where(events.c.sequence > 0).group_by(day).order_by(day.desc())
    with project.database.read() as connection:
        rows = connection.execute(query.limit(DAYS)).all()
    return [
        {"day": time.strftime("%Y-%m-%d", time.gmtime(float(number) * DAY_S)), "saves": int(saves)}
        for number, saves in reversed(rows)
    ]


def can_train() -> bool:
    """Whether what a round of training needs is installed: the extra `train`."""
    return all(find_spec(library) is not None for library in ROUND_NEEDS)
