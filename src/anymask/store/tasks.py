"""Tasks for people: a queue with priorities and leases that run out.

A lease has a fencing token: who comes back late cannot overwrite who took over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, update

from anymask.errors import BadInput
from anymask.store.annotations import save_in
from anymask.store.database import AnyRow, Database
from anymask.store.images import set_state
from anymask.store.leases import MAX_LEASE_S, ran_out
from anymask.store.schema import events, images, layers, tasks
from anymask.store.values import Action, LostLease, Saved, StaleWrite

KINDS = ("annotate", "review", "audit")
PAGE = 10_000
LEASE_S = 600.0


@dataclass(frozen=True, slots=True)
class Lease:
    """A task in someone's hands until `until`. `layer`: of the image, to save to; `revision`: it has now."""

    task: int
    kind: str
    image_id: int
    layer: int
    round: int
    token: int
    until: float
    revision: int


@dataclass(frozen=True, slots=True)
class HandedIn:
    """What somebody submitted: a layer as it was at a revision, before anybody else corrected it or sent it
    back.
    """

    layer: int
    user: str
    revision: int


@dataclass(frozen=True, slots=True)
class Overlap:
    """An image that several people annotated blind."""

    image_id: int
    people: tuple[HandedIn, ...]


def add_tasks(
    database: Database,
    image_ids: Iterable[int],
    *,
    kind: str = "annotate",
    round_number: int = 0,
    slots: int = 1,
    priority: float = 0.0,
) -> int:
    """A task for each image and slot, unless there is one in this round; returns how many were added.

    `slots`: of more than one, different people annotate the same image without seeing each other (blind
    overlap).
    """
    if kind not in KINDS:
        raise BadInput(f"kind of task: expected one of {', '.join(KINDS)}, got {kind!r}")
    image_ids = list(image_ids)
    wanted = [(image_id, slot) for image_id in image_ids for slot in range(slots)]

    def work(connection: Connection) -> int:
        there = select(tasks.c.image_id, tasks.c.slot).where(
            tasks.c.kind == kind, tasks.c.round == round_number
        )
        known = {(row.image_id, row.slot) for row in connection.execute(there)}
        _check_images(connection, image_ids)
        rows = [
            {
                "image_id": image_id,
                "kind": kind,
                "round": round_number,
                "slot": slot,
                "priority": priority,
                "state": "open",
                "opened": database.clock(),
            }
            for image_id, slot in wanted
            if (image_id, slot) not in known
        ]
        if rows:
            connection.execute(insert(tasks), rows)
        return len(rows)

    return database.write(work)


def _check_images(connection: Connection, image_ids: list[int]) -> None:
    for first in range(0, len(image_ids), PAGE):
        page = set(image_ids[first : first + PAGE])
        missing = page - set(connection.execute(select(images.c.id).where(images.c.id.in_(page))).scalars())
        if missing:
            raise BadInput(f"expected images of the project, got number {min(missing)}")


def next_task(
    database: Database, user: str, *, kinds: Sequence[str] = KINDS, lease_s: float = LEASE_S
) -> Lease | None:
    """Lease the most urgent task that this person may do; None when there is none.

    What they hold already comes first, with the token that it has: no reload and no second tab loses it.
    """
    if not 0 < lease_s <= MAX_LEASE_S:
        raise BadInput(f"lease: expected 0 to {MAX_LEASE_S:.0f} seconds, got {lease_s}")

    def work(connection: Connection) -> Lease | None:
        now = database.clock()
        if not database.is_sqlite:  # two tabs of one person at once would get two slots of an image
            connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(user))))
        row = _held(connection, user, kinds, now) or _open(connection, user, kinds, now)
        if row is None:
            return None
        return take_in(connection, row, user, now + lease_s)

    return database.write(work)


def take_in(connection: Connection, row: AnyRow, user: str, until: float) -> Lease:
    """Lease a task to somebody; to who holds it already under the same token."""
    holds = row.state == "leased" and row.user == user
    token = row.token if holds else row.token + 1
    values = {"state": "leased", "user": user, "token": token, "lease_until": until, "closed": None}
    connection.execute(update(tasks).where(tasks.c.id == row.id).values(**values))
    return _lease(connection, row, token, until)


def _held(connection: Connection, user: str, kinds: Sequence[str], now: float) -> AnyRow | None:
    mine = and_(tasks.c.user == user, tasks.c.state == "leased", tasks.c.lease_until >= now)
    query = select(tasks).where(mine, tasks.c.kind.in_(kinds)).limit(1).with_for_update(skip_locked=True)
    return connection.execute(query).first()


def _open(connection: Connection, user: str, kinds: Sequence[str], now: float) -> AnyRow | None:
    """Of tasks whose lease ran out and of open ones."""
    expired = and_(tasks.c.state == "leased", ran_out(tasks, now))
    for state in (expired, tasks.c.state == "open"):
        found = [_first(connection, state, tasks.c.kind == kind, may_do(user)) for kind in kinds]
        waiting = [row for row in found if row is not None]
        if waiting:
            waiting.sort(key=lambda row: (-row.priority, row.id))
            return waiting[0]
    return None


def may_do(user: str) -> ColumnElement[bool]:
    """Of tasks: not kept for others. Nobody reviews their own work or does two slots."""
    other = tasks.alias("other")
    theirs = (
        select(other.c.id)
        .where(other.c.user == user, other.c.image_id == tasks.c.image_id, other.c.id != tasks.c.id)
        .where(
            or_(
                tasks.c.kind == "review",
                and_(tasks.c.slot > 0, other.c.kind == "review"),  # who has seen the first one's masks
                and_(other.c.kind == tasks.c.kind, other.c.round == tasks.c.round),
            )
        )
        .where(other.c.state.in_(("leased", "done")))
        .exists()
    )
    began = (  # another slot, which somebody took over from them
        select(events.c.id)
        .where(events.c.image_id == tasks.c.image_id, events.c.author == user)
        .where(events.c.layer != tasks.c.slot)
        .exists()
    )
    return and_(
        or_(tasks.c.wanted.is_(None), tasks.c.wanted == user),
        or_(tasks.c.wanted == user, and_(~theirs, or_(tasks.c.slot == 0, ~began))),
    )


def _first(connection: Connection, *conditions: ColumnElement[bool]) -> AnyRow | None:
    """The most urgent, along the index: of one kind, so that nothing has to be sorted."""
    query = select(tasks).where(*conditions).order_by(tasks.c.priority.desc(), tasks.c.id).limit(1)
    return connection.execute(query.with_for_update(skip_locked=True, of=tasks)).first()


def _lease(connection: Connection, row: AnyRow, token: int, until: float) -> Lease:
    own = and_(layers.c.image_id == row.image_id, layers.c.layer == row.slot)
    revision = connection.execute(select(layers.c.revision).where(own)).scalar() or 0
    return Lease(row.id, row.kind, row.image_id, row.slot, row.round, token, until, revision)


def renew(database: Database, lease: Lease, lease_s: float = LEASE_S) -> Lease:
    """Raises LostLease when it went to someone else."""

    def work(connection: Connection) -> Lease:
        row = _own(connection, lease)
        until = database.clock() + lease_s
        connection.execute(update(tasks).where(tasks.c.id == row.id).values(lease_until=until))
        return replace(lease, until=until)

    return database.write(work)


def save_task(database: Database, lease: Lease, action: Action) -> Saved:
    """Save while working on a task; the task stays leased. What comes too late is kept as a branch.

    Raises LostLease, StaleWrite, BadInput.
    """

    if (action.image_id, action.layer) != (lease.image_id, lease.layer):
        raise BadInput(
            f"expected a save to image {lease.image_id}, layer {lease.layer} of the task, "
            f"got image {action.image_id}, layer {action.layer}"
        )

    def work(connection: Connection) -> Saved | StaleWrite | LostLease:
        row = connection.execute(select(tasks).where(tasks.c.id == lease.task).with_for_update()).first()
        late = row is None or row.token != lease.token or row.state != "leased"
        outcome = save_in(connection, action, database.clock(), late=late)
        if late and isinstance(outcome, StaleWrite):
            return LostLease("the task went to someone else; what you sent is kept", _holder(row))
        return outcome

    outcome = database.write(work)
    if isinstance(outcome, Saved):
        return outcome
    raise outcome


def submit(
    database: Database, lease: Lease, *, seconds: float | None = None, unfinished: str | None = None
) -> None:
    """The task is done. Sent again, nothing happens. Raises LostLease.

    `unfinished`: why not everything in the image has a mask; None: everything that was asked for has one.
    """

    def work(connection: Connection) -> None:
        row = connection.execute(select(tasks).where(tasks.c.id == lease.task).with_for_update()).one()
        if row.state == "done" and row.token == lease.token:
            return
        row = _own(connection, lease)
        own = and_(layers.c.image_id == row.image_id, layers.c.layer == row.slot)
        revision = connection.execute(select(layers.c.revision).where(own)).scalar() or 0
        _close(
            connection,
            row.id,
            database.clock(),
            state="done",
            revision=revision,
            seconds=seconds,
            reason=unfinished,
            **({"first_user": row.user, "first_revision": revision} if _still_theirs(row) else {}),
        )
        if row.kind == "annotate" and row.slot == 0:
            set_state(connection, row.image_id, "annotated")

    database.write(work)


def _still_theirs(row: AnyRow) -> bool:
    """Nobody but who submitted it has said or changed anything about it, see `HandedIn`."""
    again = row.first_user == row.user and row.first_revision == row.revision and row.wanted is None
    return row.first_revision is None or again


def unfinished_images(database: Database) -> set[int]:
    """Images that somebody left with things that have no mask, see `submit`."""
    left = and_(tasks.c.state == "done", tasks.c.kind == "annotate", tasks.c.reason.is_not(None))
    with database.read() as connection:
        return set(connection.execute(select(tasks.c.image_id).where(left)).scalars())


def skip(database: Database, lease: Lease, reason: str) -> None:
    """Not to be annotated, for a reason that others can read. Raises LostLease, BadInput without a reason."""
    if not reason.strip():
        raise BadInput("skip: expected a reason, got none")

    def work(connection: Connection) -> None:
        row = _own(connection, lease)
        _close(connection, row.id, database.clock(), state="skipped", reason=reason)
        if row.kind == "annotate" and row.slot == 0:
            set_state(connection, row.image_id, "skipped")

    database.write(work)


def give_back(database: Database, lease: Lease) -> None:
    """Open again for anyone. Raises LostLease."""

    def work(connection: Connection) -> None:
        row = _own(connection, lease)
        values = {"state": "open", "user": None, "lease_until": None}
        connection.execute(update(tasks).where(tasks.c.id == row.id).values(**values))

    database.write(work)


def review(database: Database, lease: Lease, verdict: str, reason: str = "") -> None:
    """`accepted`, or `returned`: its annotation task opens again for the same person, with the reason.

    Raises LostLease, BadInput.
    """
    if verdict not in ("accepted", "returned") or (verdict == "returned" and not reason.strip()):
        raise BadInput("review: expected 'accepted', or 'returned' with a reason")

    def work(connection: Connection) -> None:
        row = _own(connection, lease)
        if row.kind == "annotate":
            raise BadInput("expected a task of review, got one of annotation")
        _close(connection, row.id, database.clock(), state="done", verdict=verdict, reason=reason or None)
        if verdict == "returned":
            _reopen(connection, row, reason)

    database.write(work)


def review_again(database: Database, image_id: int) -> None:
    """What was returned to its annotator and is done now goes to a reviewer once more."""
    returned = and_(
        tasks.c.image_id == image_id, tasks.c.kind == "review", tasks.c.state == "done",
        tasks.c.verdict == "returned",
    )  # fmt: skip
    values = {"state": "open", "user": None, "verdict": None, "reason": None, "closed": None}
    database.write(lambda connection: connection.execute(update(tasks).where(returned).values(**values)))


def _reopen(connection: Connection, reviewed: AnyRow, reason: str) -> None:
    last = (
        select(tasks)
        .where(tasks.c.image_id == reviewed.image_id, tasks.c.kind == "annotate", tasks.c.state == "done")
        .order_by(tasks.c.round.desc(), tasks.c.slot)
        .limit(1)
    )
    done = connection.execute(last).first()
    if done is None:
        raise BadInput("nobody has annotated this image: there is no task to return")
    values = {"state": "open", "wanted": done.user, "reason": reason, "closed": None, "lease_until": None}
    connection.execute(update(tasks).where(tasks.c.id == done.id).values(**values))


def _own(connection: Connection, lease: Lease) -> AnyRow:
    row = connection.execute(select(tasks).where(tasks.c.id == lease.task).with_for_update()).first()
    if row is None or row.token != lease.token or row.state != "leased":
        raise LostLease("the task went to someone else or is closed", _holder(row))
    return row


def _holder(row: AnyRow | None) -> str | None:
    return row.user if row is not None and row.state == "leased" else None


def _close(connection: Connection, task: int, now: float, **values: Any) -> None:
    closed = {**values, "closed": now, "lease_until": None, "wanted": None}
    connection.execute(update(tasks).where(tasks.c.id == task).values(**closed))


def counts(database: Database) -> dict[str, dict[str, int]]:
    """How many tasks, by kind and state."""
    query = select(tasks.c.kind, tasks.c.state, func.count()).group_by(tasks.c.kind, tasks.c.state)
    found: dict[str, dict[str, int]] = {}
    with database.read() as connection:
        for kind, state, number in connection.execute(query):
            found.setdefault(kind, {})[state] = number
    return found


def people(database: Database) -> list[AnyRow]:
    """Who did how many tasks in how many seconds."""
    query = (
        select(
            tasks.c.user,
            tasks.c.kind,
            func.count().label("tasks"),
            func.sum(tasks.c.seconds).label("seconds"),
        )
        .where(tasks.c.state == "done")
        .group_by(tasks.c.user, tasks.c.kind)
        .order_by(tasks.c.user, tasks.c.kind)
    )
    with database.read() as connection:
        return list(connection.execute(query))


def overlapping(database: Database, *, limit: int, image_id: int | None = None) -> list[Overlap]:
    """Images that several people annotated without seeing each other, in one round, the last first.

    `image_id`: that one only.
    """
    done, other = tasks.c.first_revision.is_not(None), tasks.alias("other")
    same = and_(other.c.image_id == tasks.c.image_id, other.c.round == tasks.c.round, other.c.slot > 0)
    several = select(other.c.id).where(same, other.c.first_revision.is_not(None)).exists()
    query = select(tasks.c.image_id, tasks.c.round).where(done, tasks.c.slot == 0, several)
    if image_id is not None:
        query = query.where(tasks.c.image_id == image_id)
    with database.read() as connection:
        found = connection.execute(query.order_by(tasks.c.id.desc()).limit(limit)).all()
        newest = {row.image_id: row.round for row in sorted(found, key=lambda row: row.round)}
        rows = connection.execute(
            select(tasks).where(done, tasks.c.image_id.in_(newest)).order_by(tasks.c.slot)
        ).all()
    people: dict[int, list[HandedIn]] = {row.image_id: [] for row in found}
    for row in rows:
        if row.round == newest[row.image_id]:
            people[row.image_id].append(HandedIn(row.slot, row.first_user or "", row.first_revision))
    return [Overlap(one, tuple(handed_in)) for one, handed_in in people.items()]
