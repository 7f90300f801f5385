"""Blind overlap: who annotates a photo that others annotate too sees their own layer alone.

A photo is blind once it has a second slot, and before that while somebody works on it whom a second
person will follow. Nothing here is for reviewers: they see the first layer of every photo.
"""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select, true

from anymask.store.database import AnyRow, Database
from anymask.store.opening import Forbidden
from anymask.store.schema import events, images, layers, tasks

HIDDEN = -1  # in place of a layer: nothing of the photo is theirs to see
HASHES = 16**8  # what the eight digits of a hash that choose a photo can be
UNFINISHED = ("open", "leased")


def list_seen(
    database: Database,
    user: str,
    overlap_share: float,
    *,
    state: str | None = None,
    fixed: bool | None = None,
    after: int = 0,
    limit: int = 100,
) -> list[AnyRow]:
    """As `images.list_images`, for an annotator: state, masks and revision are those of their own layer.

    What they have not begun reads as new while a slot of it may be theirs. `overlap_share`: see `chosen`.
    """
    seen = select(images, _layer(user, overlap_share).label("seen")).subquery()
    own = select(tasks.c.state).where(_of(seen.c.id), tasks.c.user == user, tasks.c.slot == seen.c.seen)
    done = own.order_by(tasks.c.round.desc()).limit(1).correlate(seen).scalar_subquery()
    waits = exists().where(_of(seen.c.id), tasks.c.state.in_(UNFINISHED)).correlate(seen)
    stands = case(
        (seen.c.seen == 0, seen.c.state),
        (seen.c.seen > 0, case((done == "done", "annotated"), (done == "skipped", "skipped"), else_="new")),
        (waits, "new"),
        else_=seen.c.state,
    ).label("state")
    columns = [column for column in seen.c if column.name not in ("state", "seen")]
    numbers = [func.coalesce(layers.c[name], 0).label(name) for name in ("masks", "revision")]
    joined = seen.outerjoin(layers, and_(layers.c.image_id == seen.c.id, layers.c.layer == seen.c.seen))
    query = select(*columns, stands, *numbers).select_from(joined).where(seen.c.id > after)
    if state is not None:
        query = query.where(stands == state)
    if fixed is not None:
        query = query.where(seen.c.fixed.is_(fixed))
    with database.read() as connection:
        return list(connection.execute(query.order_by(seen.c.id).limit(limit)))


def check_may_see(database: Database, image_id: int, layer: int, user: str, overlap_share: float) -> None:
    """Whether an annotator may see this layer. Raises Forbidden."""
    query = select(_blind(user, overlap_share).label("blind"), _layer(user, overlap_share).label("seen"))
    with database.read() as connection:
        row = connection.execute(query.where(images.c.id == image_id)).one()
    if row.blind and row.seen != layer:
        raise Forbidden("this photo is annotated by several people who do not see each other's masks")


def annotators_of(database: Database, image_id: int, layer: int, overlap_share: float) -> set[str] | None:
    """Who, of the annotators, may be told what happens to a layer; None: all."""
    blind = select(_blind(None, overlap_share)).where(images.c.id == image_id)
    holds = select(tasks.c.user).where(_of(image_id), tasks.c.slot == layer, tasks.c.user.is_not(None))
    saved = select(events.c.author).where(events.c.image_id == image_id, events.c.layer == layer)
    with database.read() as connection:
        if not connection.execute(blind).scalar():
            return None
        return set(connection.execute(holds.union(saved)).scalars())


def second_waiting(database: Database) -> int:
    """Annotations beyond the first of a photo that are not handed in yet."""
    beyond = and_(tasks.c.kind == "annotate", tasks.c.slot > 0, tasks.c.state.in_(UNFINISHED))
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(tasks).where(beyond)).scalar() or 0


def chosen(overlap_share: float) -> ColumnElement[bool]:
    """Of images: the share that a second person annotates once the first has handed them in.

    By their hash, as `engine.queueing.finish` chooses them.
    """
    below = math.ceil(overlap_share * HASHES)
    return true() if below >= HASHES else func.substr(images.c.hash, 9, 8) < f"{below:08x}"


def _of(image: Any) -> ColumnElement[bool]:
    return and_(tasks.c.image_id == image, tasks.c.kind == "annotate")


def _blind(user: str | None, overlap_share: float) -> ColumnElement[bool]:
    """Of images, for this person; None: for anybody."""
    several = exists().where(_of(images.c.id), tasks.c.slot > 0)
    others = tasks.c.user.is_not(None) if user is None else tasks.c.user != user
    begun = exists().where(_of(images.c.id), tasks.c.slot == 0, tasks.c.state.in_(UNFINISHED), others)
    return or_(several.correlate(images), and_(chosen(overlap_share), begun.correlate(images)))


def _layer(user: str, overlap_share: float) -> ColumnElement[int]:
    """Of images: the layer of the task that is in their name; else, where another took it over, the one that
    they saved to.
    """
    task = select(tasks.c.slot).where(_of(images.c.id), tasks.c.user == user)
    last = task.order_by(tasks.c.round.desc(), tasks.c.slot).limit(1).correlate(images).scalar_subquery()
    wrote = select(func.min(events.c.layer)).where(events.c.image_id == images.c.id, events.c.author == user)
    own = func.coalesce(last, wrote.correlate(images).scalar_subquery(), HIDDEN)
    return case((_blind(user, overlap_share), own), else_=0)
