"""Doing jobs: takes what is queued, keeps its lease while it is worked on, tells progress, stops when told.

Several processes may do this beside each other (PostgreSQL); what one that died had begun goes on elsewhere.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from anymask.engine.project import Project
from anymask.errors import AnymaskError, Failure
from anymask.store import jobs
from anymask.store.database import Database
from anymask.store.jobs import Job
from anymask.store.values import LostLease, StaleWrite

HEARTBEAT_S = 10.0
TOLD_S = 0.3  # between two reports of progress
POLL_S = 1.0  # between looks for new jobs
log = logging.getLogger("anymask.engine")

Tell = Callable[[int], None]
"""Is called with the id of a job that has changed."""


class Cancelled(Failure):
    """Somebody does not want this job done any more."""


class Stopped(Failure):
    """The process that does the job ends; the job goes on at its next start."""


class Hold:
    """A job in this process's hands: keeps its lease while the block runs.

    Called with what is done and how much there is, it tells that, and raises Cancelled or Stopped when the job
    is to end, LostLease when another process has it. Any `Progress` may be one.
    """

    def __init__(self, database: Database, job: Job, stop: threading.Event, tell: Tell) -> None:
        self.job = job
        self._database, self._stop, self._tell = database, stop, tell
        self._over = threading.Event()
        self._wrong: AnymaskError | None = None
        self._told_at = 0.0
        self._thread = threading.Thread(target=self._beat, name="anymask-heartbeat", daemon=True)

    def __enter__(self) -> Hold:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def __call__(self, done: int, total: int, message: str | None = None) -> None:
        now = time.monotonic()
        if self._wrong is None and (now - self._told_at >= TOLD_S or done == total):
            self._told_at = now
            self._report(done, max(1, total), message)
            self._tell(self.job.id)
        if self._wrong is not None:
            raise self._wrong
        if self._stop.is_set():
            raise Stopped("stopped")

    def _beat(self) -> None:
        while not self._over.wait(HEARTBEAT_S):
            self._report(None, None, None)

    def _report(self, done: int | None, total: int | None, message: str | None) -> None:
        try:
            if jobs.heartbeat(self._database, self.job, done=done, total=total, message=message):
                self._wrong = Cancelled("cancelled")
        except LostLease as error:
            self._wrong = error
        except AnymaskError as error:  # the database may be back at the next beat
            log.debug("job %d: %s", self.job.id, error)


Doer = Callable[[Project, Job, Hold], dict[str, Any]]
"""Does a job and returns its result."""


def worker_name() -> str:
    return f"{socket.gethostname()[:48]}:{os.getpid()}"


def do_jobs(
    project: Project,
    doers: Mapping[str, Doer],
    *,
    for_ever: bool = False,
    stop: threading.Event | None = None,
    pause: Callable[[float], object] | None = None,
    tell: Tell = lambda _: None,
) -> Iterator[tuple[Job, dict[str, Any] | AnymaskError]]:
    """Each job that was done, with its result or why it failed; ends when no job of these kinds is left,
    those that other processes are at included. `for_ever`: waits for more until `stop` is set, by `pause`.
    """
    stop = stop or threading.Event()
    while not stop.is_set():
        job = jobs.take(project.database, worker_name(), kinds=list(doers))
        if job is not None:
            outcome = _outcome(project, job, doers[job.kind], stop, tell)
            if outcome is not None:
                yield job, outcome
        elif for_ever or jobs.is_any_left(project.database, list(doers)):
            (pause or stop.wait)(POLL_S)
        else:
            return


def _outcome(
    project: Project, job: Job, doer: Doer, stop: threading.Event, tell: Tell
) -> dict[str, Any] | AnymaskError | None:
    """None where it is not over: another process has the job, or it is queued again."""
    tell(job.id)
    try:
        return attempt(project, job, doer, stop, tell)
    except (LostLease, StaleWrite, Stopped) as error:
        log.info("job %d: %s", job.id, error)
        return None
    except AnymaskError as error:
        return error
    except Exception as error:
        log.error("job %d (%s)", job.id, job.kind, exc_info=error)
        return None if _is_queued(project, job) else Failure(_said(error))
    finally:
        tell(job.id)


def attempt(
    project: Project,
    job: Job,
    doer: Doer,
    stop: threading.Event | None = None,
    tell: Tell = lambda _: None,
) -> dict[str, Any]:
    """Do a job that was taken and write down what became of it. Raises what the doer raises, and LostLease."""
    database = project.database
    try:
        with Hold(database, job, stop or threading.Event(), tell) as hold:
            result = doer(project, job, hold)
        jobs.finish(database, job, result)
        return result
    except LostLease:
        raise
    except Stopped:
        jobs.give_back(database, job)
        raise
    except StaleWrite as error:  # somebody drew meanwhile: once more, on what is there now
        jobs.fail(database, job, str(error))
        raise
    except AnymaskError as error:
        jobs.fail(database, job, str(error), again=False)
        raise
    except Exception as error:
        jobs.fail(database, job, _said(error))
        raise


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _is_queued(project: Project, job: Job) -> bool:
    row = jobs.find(project.database, job.id)
    return row is not None and row.state == "queued"


def wait_for(database: Database, kind: str, seconds: float) -> Job | None:
    """The next job of a kind; None when others still have all of them after so long."""
    until = time.monotonic() + seconds
    while (job := jobs.take(database, worker_name(), kinds=[kind])) is None and time.monotonic() < until:
        time.sleep(POLL_S)
    return job
