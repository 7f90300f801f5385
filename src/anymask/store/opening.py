"""Opening an image that somebody chose, and the lease that a request names."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select

from anymask.errors import BadInput, Failure
from anymask.store.database import AnyRow, Database
from anymask.store.images import image
from anymask.store.leases import ran_out
from anymask.store.schema import images, layers, tasks
from anymask.store.tasks import LEASE_S, Lease, may_do, take_in

AHEAD = 3  # images that are made ready before they are asked for


class Held(Failure):
    """Somebody else works on it."""

    http_status = 409

    def __init__(self, by: str, until: float) -> None:
        super().__init__(f"{by} is working on this photo")
        self.by, self.until = by, until


class Forbidden(Failure):
    """Not for this person."""

    http_status = 403


def open_image(
    database: Database,
    image_id: int,
    user: str,
    *,
    finished_too: bool = True,
    take_over: bool = False,
    lease_s: float = LEASE_S,
) -> Lease:
    """Lease the task of annotating this image, whatever became of it; one is made where there is none.
    Who reviews it goes on with that.

    `finished_too`: also what somebody else has finished; without it, of an image that several annotate blind,
    a slot that is free. `take_over`: also what somebody else holds or is kept for them: what they save from
    then on is a branch. Raises BadInput for an unknown image, Held while somebody else has it or it is kept
    for them, Forbidden for what is theirs.
    """
    image(database, image_id)

    def work(connection: Connection) -> Lease:
        now = database.clock()
        reviewed = _review_of(connection, image_id, user)
        if reviewed is not None:
            return take_in(connection, reviewed, user, now + lease_s)
        row = _task(connection, image_id) or _made(connection, image_id, now)
        row = _own_slot(connection, row, user) or row
        if user in _blind_to(connection, row):
            raise Forbidden("you annotate this photo already, without seeing what others do")
        refused = None if take_over else _refused(row, user, now, finished_too)
        if refused is not None:
            second = None if finished_too else _free_slot(connection, row, user, now)
            if second is None:
                raise refused
            row = second
        return take_in(connection, row, user, now + lease_s)

    return database.write(work)


def _refused(row: AnyRow, user: str, now: float, finished_too: bool) -> Held | Forbidden | None:
    """Why a task is not theirs to take."""
    if row.state == "leased" and row.user == user:
        return None
    if row.state == "leased" and row.lease_until >= now:
        return Held(row.user, row.lease_until)
    if row.wanted not in (None, user):
        return Held(row.wanted, 0.0)
    if row.user not in (None, user) and row.state == "done" and not finished_too:
        return Forbidden(f"{row.user} has finished this photo")
    return None


def _free_slot(connection: Connection, row: AnyRow, user: str, now: float) -> AnyRow | None:
    """Of an image that several annotate blind: another slot, that this person may do."""
    free = or_(tasks.c.state == "open", and_(tasks.c.state == "leased", ran_out(tasks, now)))
    query = (
        select(tasks)
        .where(_slots_of(row), tasks.c.slot != row.slot, free, may_do(user))
        .order_by(tasks.c.slot)
    )
    return connection.execute(query.limit(1).with_for_update()).first()


def _slots_of(row: AnyRow) -> ColumnElement[bool]:
    """The task itself and those of the others who annotate the same image in its round."""
    return and_(tasks.c.image_id == row.image_id, tasks.c.kind == row.kind, tasks.c.round == row.round)


def _review_of(connection: Connection, image_id: int, user: str) -> AnyRow | None:
    """Of an image, in the hands of this person."""
    mine = and_(tasks.c.user == user, tasks.c.state == "leased")
    query = select(tasks).where(tasks.c.image_id == image_id, tasks.c.kind == "review", mine).limit(1)
    return connection.execute(query.with_for_update()).first()


def _task(connection: Connection, image_id: int) -> AnyRow | None:
    query = (
        select(tasks)
        .where(tasks.c.image_id == image_id, tasks.c.kind == "annotate", tasks.c.slot == 0)
        .order_by(tasks.c.round.desc())
        .limit(1)
    )
    return connection.execute(query.with_for_update()).first()


def _blind_to(connection: Connection, row: AnyRow) -> set[str]:
    """Who works on other slots of the same image."""
    query = select(tasks.c.user).where(
        tasks.c.image_id == row.image_id,
        tasks.c.kind == "annotate",
        tasks.c.slot != row.slot,
        tasks.c.state.in_(("leased", "done")),
    )
    return set(connection.execute(query).scalars())


def _own_slot(connection: Connection, row: AnyRow, user: str) -> AnyRow | None:
    """Of an image that several annotate blind: the task that is in the hands of this person or was."""
    mine = and_(_slots_of(row), tasks.c.user == user, tasks.c.state.in_(("leased", "done")))
    query = select(tasks).where(mine).order_by(tasks.c.slot).limit(1)
    return connection.execute(query.with_for_update()).first()


def _made(connection: Connection, image_id: int, now: float) -> AnyRow:
    newest = connection.execute(select(func.max(tasks.c.round))).scalar() or 0
    values = {"image_id": image_id, "kind": "annotate", "round": newest, "slot": 0, "priority": 0.0}
    connection.execute(insert(tasks).values(**values, state="open", opened=now))
    row = _task(connection, image_id)
    assert row is not None
    return row


def lease_of(database: Database, task_id: int, token: int, user: str) -> Lease:
    """The lease that somebody says they hold. One that was lost since is given too: what they saved with it
    is kept as a branch. Raises BadInput for no such task, Forbidden for a lease that was never theirs.
    """
    with database.read() as connection:
        row = connection.execute(select(tasks).where(tasks.c.id == task_id)).first()
        if row is None or not 0 < token <= row.token:
            raise BadInput(f"lease: expected one of task {task_id}, got {token}")
        if token == row.token and row.user not in (None, user):
            raise Forbidden("this lease is somebody else's")
        return _lease(connection, row, token, row.lease_until or 0.0)


def _lease(connection: Connection, row: AnyRow, token: int, until: float) -> Lease:
    own = select(layers.c.revision).where(layers.c.image_id == row.image_id, layers.c.layer == row.slot)
    revision = connection.execute(own).scalar() or 0
    return Lease(row.id, row.kind, row.image_id, row.slot, row.round, token, until, revision)


def note_of(database: Database, task_id: int) -> str | None:
    """Why a task is open again: what a reviewer wrote."""
    with database.read() as connection:
        return connection.execute(select(tasks.c.reason).where(tasks.c.id == task_id)).scalar()


def upcoming(
    database: Database, user: str, kinds: Sequence[str], after_image: int, count: int = AHEAD
) -> list[AnyRow]:
    """Images that this person will see next: of the queue, or without one those that follow."""
    free = tasks.c.wanted.is_(None) | (tasks.c.wanted == user)
    queue = (
        select(images)
        .join(tasks, tasks.c.image_id == images.c.id)
        .where(tasks.c.state == "open", tasks.c.kind.in_(kinds), free)
        .order_by(tasks.c.priority.desc(), tasks.c.id)
        .limit(count)
    )
    following = select(images).where(images.c.id > after_image).order_by(images.c.id).limit(count)
    with database.read() as connection:
        return list(connection.execute(queue)) or list(connection.execute(following))


def left(database: Database, user: str) -> dict[str, int]:
    """Tasks that are open or whose lease ran out, by kind; those that are kept for others are not counted."""
    now = database.clock()
    waiting = (tasks.c.state == "open") | ((tasks.c.state == "leased") & (tasks.c.lease_until < now))
    free = tasks.c.wanted.is_(None) | (tasks.c.wanted == user)
    query = select(tasks.c.kind, func.count()).where(waiting, free).group_by(tasks.c.kind)
    with database.read() as connection:
        return {kind: int(number) for kind, number in connection.execute(query)}
