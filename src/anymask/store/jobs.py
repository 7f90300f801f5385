"""Jobs for machines: one row per unit of work with a lease, a heartbeat, progress, cancel and tries.

At least once: a job whose worker died goes on elsewhere, so work that is done twice must do no harm. No
library does SQLite in one process and PostgreSQL with leases, and tasks need the same; see the ADR.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, and_, func, insert, or_, select, update

from anymask.errors import BadInput
from anymask.store.database import AnyRow, Database
from anymask.store.leases import ran_out
from anymask.store.schema import jobs
from anymask.store.values import LostLease, canonical

LEASE_S = 30.0
MAX_TRIES = 3


@dataclass(frozen=True, slots=True)
class Job:
    """A job in a worker's hands."""

    id: int
    key: str
    kind: str
    body: dict[str, Any] = field(repr=False)
    token: int
    tries: int


def put(
    database: Database,
    kind: str,
    key: str,
    body: dict[str, Any],
    *,
    total: int = 1,
    priority: float = 0.0,
    again: bool = False,
) -> int:
    """Queue a unit of work and return its id. The same key is the same job, queued again, with the new body,
    if it failed.

    `again`: also if it is done.
    """
    over = ("failed", "cancelled", "done") if again else ("failed", "cancelled")

    def work(connection: Connection) -> int:
        row = connection.execute(select(jobs.c.id, jobs.c.state).where(jobs.c.key == key)).first()
        if row is None:
            values = {
                "key": key,
                "kind": kind,
                "body": canonical(body),
                "state": "queued",
                "total": total,
                "priority": priority,
                "created": database.clock(),
            }
            connection.execute(insert(jobs).values(**values))
            row = connection.execute(select(jobs.c.id, jobs.c.state).where(jobs.c.key == key)).one()
            return int(row.id)
        if row.state in over:
            anew = {"state": "queued", "tries": 0, "cancel": False, "message": None, "finished": None}
            asked = {"body": canonical(body), "done": 0, "total": total, "created": database.clock()}
            connection.execute(update(jobs).where(jobs.c.id == row.id).values(**anew, **asked))
        return int(row.id)

    return database.write(work)


def take(
    database: Database, worker: str, *, kinds: Sequence[str] | None = None, lease_s: float = LEASE_S
) -> Job | None:
    """Lease the next job, one whose worker died included; failed after `MAX_TRIES`. None: none left."""

    def work(connection: Connection) -> Job | None:
        while (row := _next(connection, kinds, database.clock())) is not None:
            own = update(jobs).where(jobs.c.id == row.id)
            now = database.clock()
            if row.tries >= MAX_TRIES or row.cancel:
                state = "cancelled" if row.cancel else "failed"
                why = row.message or f"its worker stopped {row.tries} times"
                connection.execute(own.values(state=state, message=why, finished=now, lease_until=None))
                continue
            values = {"state": "running", "worker": worker, "tries": row.tries + 1, "token": row.token + 1}
            connection.execute(own.values(**values, lease_until=now + lease_s))
            return Job(row.id, row.key, row.kind, json.loads(row.body), row.token + 1, row.tries + 1)
        return None

    return database.write(work)


def _next(connection: Connection, kinds: Sequence[str] | None, now: float) -> AnyRow | None:
    lost = and_(jobs.c.state == "running", ran_out(jobs, now))
    query = select(jobs).where(or_(jobs.c.state == "queued", lost))
    if kinds is not None:
        query = query.where(jobs.c.kind.in_(kinds))
    ordered = query.order_by(jobs.c.priority.desc(), jobs.c.id).limit(1)
    return connection.execute(ordered.with_for_update(skip_locked=True)).first()


def heartbeat(
    database: Database,
    job: Job,
    *,
    done: int | None = None,
    total: int | None = None,
    message: str | None = None,
    lease_s: float = LEASE_S,
) -> bool:
    """Keep the lease and report progress; True when the job is to stop. Raises LostLease."""
    told = {"done": done, "total": total, "message": message}

    def work(connection: Connection) -> bool:
        row = _own(connection, job)
        values = {name: value for name, value in told.items() if value is not None}
        own = update(jobs).where(jobs.c.id == row.id)
        connection.execute(own.values(**values, lease_until=database.clock() + lease_s))
        return bool(row.cancel)

    return database.write(work)


def finish(database: Database, job: Job, result: dict[str, Any]) -> None:
    """Done, with its result. Said again, nothing happens. Raises LostLease."""
    database.write(lambda connection: finish_in(connection, job, result, database.clock()))


def finish_in(connection: Connection, job: Job, result: dict[str, Any], now: float) -> None:
    """The same in the transaction that saves what the job made."""
    if _is_done(connection, job):
        return
    row = _own(connection, job)
    values = {"state": "done", "done": row.total, "result": canonical(result)}
    over = {"finished": now, "message": None, "lease_until": None}
    connection.execute(update(jobs).where(jobs.c.id == row.id).values(**values, **over))


def fail(database: Database, job: Job, why: str, *, again: bool = True) -> None:
    """Queued again while it has tries left, else failed with the reason; `cancelled` if that was asked."""

    def work(connection: Connection) -> None:
        row = _own(connection, job)
        if row.cancel:
            values: dict[str, Any] = {"state": "cancelled", "finished": database.clock()}
        elif again and row.tries < MAX_TRIES:
            values = {"state": "queued"}
        else:
            values = {"state": "failed", "finished": database.clock()}
        connection.execute(
            update(jobs).where(jobs.c.id == row.id).values(**values, message=why, lease_until=None)
        )

    database.write(work)


def give_back(database: Database, job: Job) -> None:
    """Queued again, as if it had not been tried: its worker ends in good order. Raises LostLease."""

    def work(connection: Connection) -> None:
        row = _own(connection, job)
        values: dict[str, Any] = {"state": "queued", "tries": row.tries - 1}
        if row.cancel:
            values = {"state": "cancelled", "finished": database.clock()}
        connection.execute(update(jobs).where(jobs.c.id == row.id).values(**values, lease_until=None))

    database.write(work)


def cancel(database: Database, job_id: int) -> None:
    """A queued job is cancelled at once, a running one at its next heartbeat. Raises BadInput."""

    def work(connection: Connection) -> None:
        own = update(jobs).where(jobs.c.id == job_id)
        if not connection.execute(own.values(cancel=True)).rowcount:
            raise BadInput(f"expected a job of the project, got number {job_id}")
        waiting = own.where(jobs.c.state == "queued")
        connection.execute(waiting.values(state="cancelled", finished=database.clock()))

    database.write(work)


def _is_done(connection: Connection, job: Job) -> bool:
    own = select(jobs.c.id).where(jobs.c.id == job.id, jobs.c.token == job.token, jobs.c.state == "done")
    return connection.execute(own).first() is not None


def _own(connection: Connection, job: Job) -> AnyRow:
    row = connection.execute(select(jobs).where(jobs.c.id == job.id).with_for_update()).first()
    if row is None or row.token != job.token or row.state != "running":
        raise LostLease(f"job {job.id} went to another worker or is over")
    return row


def is_any_left(database: Database, kinds: Sequence[str]) -> bool:
    """Queued, or in some worker's hands."""
    left = select(jobs.c.id).where(jobs.c.kind.in_(kinds), jobs.c.state.in_(("queued", "running")))
    with database.read() as connection:
        return connection.execute(left.limit(1)).first() is not None


def release(database: Database) -> int:
    """Queue what is running again: for who knows that no other process is at work."""
    running = update(jobs).where(jobs.c.state == "running")
    values = {"state": "queued", "lease_until": None}
    return database.write(lambda connection: connection.execute(running.values(**values)).rowcount)


def drop_queued(database: Database, kind: str) -> int:
    """Cancel what waits; returns how many."""
    waiting = update(jobs).where(jobs.c.kind == kind, jobs.c.state == "queued")
    values = {"state": "cancelled", "finished": database.clock()}
    return database.write(lambda connection: connection.execute(waiting.values(**values)).rowcount)


def find(database: Database, job_id: int) -> AnyRow | None:
    with database.read() as connection:
        return connection.execute(select(jobs).where(jobs.c.id == job_id)).first()


def list_jobs(database: Database, *, limit: int = 100, kinds: Sequence[str] | None = None) -> list[AnyRow]:
    """The newest first."""
    query = select(jobs).order_by(jobs.c.id.desc()).limit(limit)
    with database.read() as connection:
        return list(connection.execute(query if kinds is None else query.where(jobs.c.kind.in_(kinds))))


def counts(database: Database) -> dict[str, int]:
    query = select(jobs.c.state, func.count()).group_by(jobs.c.state)
    with database.read() as connection:
        return {state: number for state, number in connection.execute(query)}
