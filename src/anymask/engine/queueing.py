"""Queueing: photos without masks wait for somebody, some of them for two people who do not see each other's
masks; of those that are done some wait for a reviewer.
"""

from __future__ import annotations

from sqlalchemy import func, select

from anymask.engine.project import Project
from anymask.store import tasks
from anymask.store.database import AnyRow
from anymask.store.images import image
from anymask.store.schema import images
from anymask.store.schema import tasks as table
from anymask.store.tasks import Lease
from anymask.store.values import StoredMask

WAITING = ("new", "prefilled")
FIRST = 1.0  # priority of one photo for evaluation: without any, no round can be measured
REVIEW = 2.0  # priority of a review: what was handed in is looked at while its annotator is still there
SECOND = 0.5  # priority of annotating once more: how well people agree is to be known early
AUDITED = 0.05  # of the photos that the model did alone, at least one


def queue_photos(project: Project) -> int:
    """A task for each photo that has none and waits for masks; returns how many are new."""
    database = project.database
    has_task = select(table.c.id).where(table.c.image_id == images.c.id, table.c.kind == "annotate").exists()
    waiting = select(images.c.id).where(images.c.state.in_(WAITING), ~has_task).order_by(images.c.id)
    fixed = select(func.min(images.c.id)).where(images.c.fixed.is_(True))
    with database.read() as connection:
        ids = list(connection.execute(waiting).scalars())
        first = connection.execute(fixed).scalar()
    early = [one for one in ids if one == first]
    added = tasks.add_tasks(database, early, priority=FIRST) if early else 0
    rest = [one for one in ids if one != first]
    return added + (tasks.add_tasks(database, rest) if rest else 0)


def queue_audit(project: Project) -> int:
    """Of photos that the model did alone, a share for people to judge, evenly over all."""
    automatic = select(images.c.id).where(images.c.state == "automatic").order_by(images.c.id)
    newest = select(func.max(table.c.round)).where(table.c.kind == "audit")
    with project.database.read() as connection:
        ids = list(connection.execute(automatic).scalars())
        before = connection.execute(newest).scalar()
    count = max(1, round(AUDITED * len(ids))) if ids else 0
    chosen = [ids[number * len(ids) // count] for number in range(count)]
    return tasks.add_tasks(project.database, chosen, kind="audit", round_number=(before or 0) + 1)


def finish(
    project: Project,
    lease: Lease,
    seconds: float | None,
    review_share: float,
    overlap_share: float = 0.0,
) -> None:
    """Submit a task. A share of the annotated photos goes to a reviewer, and so does again what a reviewer
    returned; another share is annotated once more, by a second person who does not see the first one's masks.
    Photos are chosen by their hash.

    Raises LostLease.
    """
    database = project.database
    tasks.submit(database, lease, seconds=seconds)
    if lease.kind != "annotate" or lease.layer != 0:  # it is the first layer that is reviewed
        return
    tasks.review_again(database, lease.image_id)
    row = image(database, lease.image_id)
    if _share_of(row.hash[:8]) < review_share:
        tasks.add_tasks(database, [row.id], kind="review", round_number=lease.round, priority=REVIEW)
    if _share_of(row.hash[8:16]) < overlap_share:
        tasks.add_tasks(database, [row.id], round_number=lease.round, slots=2, priority=SECOND)


def _share_of(hexadecimal: str) -> float:
    """0..1"""
    return int(hexadecimal, 16) / float(16 ** len(hexadecimal))


def stage_of(lease: Lease, row: AnyRow, masks: list[StoredMask]) -> str:
    """How a photo is worked on: manual, semi (masks are there already), automatic (to be judged), review."""
    if lease.kind == "review":
        return "review"
    if lease.kind == "audit" or row.state == "automatic":
        return "automatic"
    return "semi" if any(one.stage in ("prefilled", "semi") for one in masks) else "manual"
