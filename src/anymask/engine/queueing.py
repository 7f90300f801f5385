"""Queueing: photos without masks wait for somebody, some of them for two people who do not see each other's
masks; of those that are done some wait for a reviewer.
"""

from __future__ import annotations

from sqlalchemy import and_, func, select

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
PEOPLE = 2  # who annotate a photo blind
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


def queue_overlap(project: Project, share: float) -> int:
    """Of the photos that wait for masks, a share, chosen by their hash, goes to a second person, too: blind.
    Returns how many are new. What was queued so before stays.
    """
    waiting = and_(images.c.state.in_(WAITING), table.c.kind == "annotate", table.c.slot == 0)
    query = select(images.c.id, images.c.hash, table.c.round, table.c.priority).join(table).where(waiting)
    with project.database.read() as connection:
        rows = connection.execute(query.order_by(images.c.id)).all()
    groups: dict[tuple[int, float], list[int]] = {}
    for row in rows:
        if _share_of(row.hash[8:16]) < share:  # other digits than for reviews: not the same photos
            groups.setdefault((row.round, row.priority), []).append(row.id)
    return sum(
        tasks.add_tasks(project.database, ids, round_number=number, slots=PEOPLE, priority=priority)
        for (number, priority), ids in groups.items()
    )


def _share_of(hexadecimal: str) -> float:
    """0..1"""
    return int(hexadecimal, 16) / float(16 ** len(hexadecimal))


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


def finish(project: Project, lease: Lease, seconds: float | None, review_share: float) -> None:
    """Submit a task; a share of the annotated photos, chosen by their hash, goes to a reviewer, and what a
    reviewer returned goes there again.

    Raises LostLease.
    """
    tasks.submit(project.database, lease, seconds=seconds)
    if lease.kind != "annotate" or lease.layer != 0:  # what is reviewed is the first layer
        return
    tasks.review_again(project.database, lease.image_id)
    row = image(project.database, lease.image_id)
    if _share_of(row.hash[:8]) < review_share:
        tasks.add_tasks(project.database, [row.id], kind="review", round_number=lease.round, priority=REVIEW)


def stage_of(lease: Lease, row: AnyRow, masks: list[StoredMask]) -> str:
    """How a photo is worked on: manual, semi (masks are there already), automatic (to be judged), review."""
    if lease.kind == "review":
        return "review"
    if lease.kind == "audit" or row.state == "automatic":
        return "automatic"
    return "semi" if any(one.stage in ("prefilled", "semi") for one in masks) else "manual"
