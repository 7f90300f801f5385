"""Doing jobs: takes what is queued, keeps its lease while it is worked on, tells progress, stops when told.

Several processes may do this beside each other (PostgreSQL); what one that died had begun goes on elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from anymask.core.progress import Progress
from anymask.engine.project import Project
from anymask.errors import AnymaskError, Failure
from anymask.store import jobs
from anymask.store.database import Database
from anymask.store.jobs import Job
from anymask.store.values import LostLease, StaleWrite

HEARTBEAT_S = 10.0
POLL_S = 1.0  # between looks for new jobs

Doer = Callable[[Project, Job, Progress], dict[str, Any]]
"""Does a job and returns its result."""


class Cancelled(Failure):
    """Somebody does not want this job done any more."""


def worker_name() -> str:
    return f"{socket.gethostname()[:48]}:{os.getpid()}"


def do_jobs(
    project: Project,
    doers: Mapping[str, Doer],
    *,
    for_ever: bool = False,
    stop: threading.Event | None = None,
) -> Iterator[tuple[Job, dict[str, Any] | AnymaskError]]:
    """Each job that was done, with its result or why it failed; ends when no job of these kinds is left,
    those that other processes are at included. `for_ever`: waits for more until `stop` is set.
    """
    stop = stop or threading.Event()
    while not stop.is_set():
        job = jobs.take(project.database, worker_name(), kinds=list(doers))
        if job is not None:
            outcome = _done(project, job, doers[job.kind])
            if outcome is not None:
                yield job, outcome
        elif for_ever or jobs.is_any_left(project.database, list(doers)):
            stop.wait(POLL_S)
        else:
            return


def _done(project: Project, job: Job, doer: Doer) -> dict[str, Any] | AnymaskError | None:
    """None where it is not over: another process has the job, or it is queued again."""
    with contextlib.suppress(LostLease):
        try:
            with holding(project.database, job) as progress:
                result = doer(project, job, progress)
            jobs.finish(project.database, job, result)
            return result
        except LostLease:
            raise
        except StaleWrite as error:  # somebody drew meanwhile: once more, on what is there now
            jobs.fail(project.database, job, str(error))
        except AnymaskError as error:
            jobs.fail(project.database, job, str(error), again=False)
            return error
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            jobs.fail(project.database, job, why)
            return Failure(why)
    return None


@contextlib.contextmanager
def holding(database: Database, job: Job) -> Iterator[Progress]:
    """Keeps the lease while the block runs. The value takes progress; it raises Cancelled when the job is
    not wanted any more, LostLease when another process has it.
    """
    over, wrong = threading.Event(), list[AnymaskError]()
    told: list[int | None] = [None, None]

    def beat() -> None:
        while not over.wait(HEARTBEAT_S):
            try:
                if jobs.heartbeat(database, job, done=told[0], total=told[1]):
                    wrong.append(Cancelled("cancelled"))
            except LostLease as error:
                wrong.append(error)
            except AnymaskError:
                continue  # the database may be back at the next beat

    def progress(done: int, total: int) -> None:
        told[:] = done, total
        if wrong:
            raise wrong[0]

    thread = threading.Thread(target=beat, name="anymask-heartbeat", daemon=True)
    thread.start()
    try:
        yield progress
    finally:
        over.set()
        thread.join()


def wait_for(database: Database, kind: str, seconds: float) -> Job | None:
    """The next job of a kind; None when others still have all of them after so long."""
    until = time.monotonic() + seconds
    while (job := jobs.take(database, worker_name(), kinds=[kind])) is None and time.monotonic() < until:
        time.sleep(POLL_S)
    return job
