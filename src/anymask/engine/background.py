"""Background: the jobs that people start in the studio, one after the other, with progress and cancel.

In a thread of the process that has the project, as only one process writes to a SQLite store; training, which
takes minutes of all cores, is a child process of it that can be killed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from anymask.engine.project import Project
from anymask.errors import AnymaskError, BadInput
from anymask.store import jobs
from anymask.store.database import AnyRow
from anymask.store.jobs import Job
from anymask.store.values import LostLease

TOLD_S = 0.3  # between two reports of progress
BEAT_S = 5.0
KINDS = ("prefill", "train", "export", "import")
log = logging.getLogger("anymask.engine")


class Cancelled(Exception):
    """Somebody cancelled the job."""


class Report:
    """How a job tells its progress and hears that it is cancelled: call it with done and total."""

    def __init__(self, project: Project, job: Job, told: Callable[[int], None]) -> None:
        self._project, self._job, self._told = project, job, told
        self._at = 0.0
        self._cancelled = threading.Event()
        self._ended = threading.Event()
        self._beats = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Report:
        self._beats.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._beats.join()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            with contextlib.suppress(AnymaskError):
                if jobs.heartbeat(self._project.database, self._job):
                    self._cancelled.set()

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        self._cancelled.set()

    def __call__(self, done: int, total: int, message: str | None = None) -> None:
        """Raises Cancelled."""
        if self.is_cancelled:
            raise Cancelled
        now = time.monotonic()
        if now - self._at >= TOLD_S or done == total:
            self._at = now
            told = {"done": done, "total": max(1, total), "message": message}
            if jobs.heartbeat(self._project.database, self._job, **told):  # type: ignore[arg-type]
                raise Cancelled
            self._told(self._job.id)


Handler = Callable[[Project, dict[str, Any], Report], dict[str, Any]]


class Background:
    """Does jobs of the store until it is closed. `changed` is called with the row of a job that changed."""

    def __init__(
        self,
        project: Project,
        changed: Callable[[AnyRow], None],
        handlers: Mapping[str, Handler] | None = None,
    ) -> None:
        self._project, self._changed = project, changed
        self._handlers = dict(HANDLERS if handlers is None else handlers)
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._running: Report | None = None
        self._thread = threading.Thread(target=self._run, name="anymask-jobs", daemon=True)
        self._thread.start()

    def put(self, kind: str, body: dict[str, Any]) -> AnyRow:
        """Queue a job and return its row."""
        job_id = jobs.put(self._project.database, kind, f"{kind}:{uuid.uuid4().hex}", body)
        self._wake.set()
        row = job_row(self._project, job_id)
        self._changed(row)
        return row

    def cancel(self, job_id: int) -> AnyRow:
        """Raises BadInput for an unknown job."""
        job_row(self._project, job_id)
        jobs.cancel(self._project.database, job_id)
        row = job_row(self._project, job_id)
        self._changed(row)
        return row

    def close(self) -> None:
        """What runs is stopped, and queued again for the next start."""
        self._ended.set()
        self._wake.set()
        if self._running is not None:
            self._running.cancel()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        worker = f"{socket.gethostname()}:{os.getpid()}"[:64]
        while not self._ended.is_set():
            try:
                job = jobs.take(self._project.database, worker, kinds=KINDS)
            except AnymaskError as error:
                log.warning("jobs: %s", error)
                job = None
            if job is None:
                self._wake.wait(5.0)
                self._wake.clear()
            else:
                self._do(job)

    def _do(self, job: Job) -> None:
        database = self._project.database
        self._tell(job.id)
        try:
            with Report(self._project, job, self._tell) as report:
                self._running = report
                result = self._handlers[job.kind](self._project, job.body, report)
            jobs.finish(database, job, result)
        except LostLease as error:
            log.warning("job %d: %s", job.id, error)
        except Cancelled:
            with contextlib.suppress(AnymaskError):
                jobs.fail(database, job, "stopped", again=True)
        except Exception as error:
            if not isinstance(error, AnymaskError):
                log.error("job %d (%s)", job.id, job.kind, exc_info=error)
            said = str(error) if isinstance(error, AnymaskError) else f"{type(error).__name__}: {error}"
            with contextlib.suppress(AnymaskError):
                jobs.fail(database, job, said, again=False)
        finally:
            self._running = None
            self._tell(job.id)

    def _tell(self, job_id: int) -> None:
        with contextlib.suppress(AnymaskError):
            self._changed(job_row(self._project, job_id))


def job_row(project: Project, job_id: int) -> AnyRow:
    """Raises BadInput."""
    row = jobs.find(project.database, job_id)
    if row is None or row.kind not in KINDS:
        raise BadInput(f"expected a job of the project, got number {job_id}")
    return row


def list_jobs(project: Project, limit: int) -> list[AnyRow]:
    """The newest first."""
    return jobs.list_jobs(project.database, limit=limit, kinds=KINDS)


def _prefill(project: Project, body: dict[str, Any], report: Report) -> dict[str, Any]:
    from anymask.engine.prefill import prefill

    done = prefill(project, stage=body["stage"], min_probability=body["min_probability"], progress=report)
    return {"photos": done.photos, "masks": done.masks, "failures": [list(one) for one in done.failures[:50]]}


HANDLERS: dict[str, Handler] = {"prefill": _prefill}
