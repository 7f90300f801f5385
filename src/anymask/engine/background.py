"""Background: the jobs that people start in the studio, one after the other, with progress and cancel.

In a thread of the process that has the project, as only one process writes to a SQLite store; training, which
takes minutes of all cores, is a child process of it that can be killed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from anymask.api import load
from anymask.data import formats
from anymask.engine.exchange import export_annotations, import_annotations
from anymask.engine.prefill import KIND as MASKS
from anymask.engine.prefill import prefill
from anymask.engine.project import Project
from anymask.engine.queueing import queue_audit
from anymask.engine.unpack import pack, unpack
from anymask.errors import AnymaskError, BadInput
from anymask.files import make_folder
from anymask.store import jobs, registry
from anymask.store.database import AnyRow
from anymask.store.jobs import Job
from anymask.store.values import LostLease

TOLD_S = 0.3  # between two reports of progress
BEAT_S = 5.0
SENT = "sent"  # in the folder of an upload
MAX_FAILURES = 50  # that a result names
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
        self._stopped, self._ended = threading.Event(), threading.Event()
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
    def job_id(self) -> int:
        return self._job.id

    @property
    def is_cancelled(self) -> bool:
        """By a person."""
        return self._cancelled.is_set()

    def stop(self) -> None:
        """The process ends."""
        self._stopped.set()

    def __call__(self, done: int, total: int, message: str | None = None) -> None:
        """Raises Cancelled."""
        if self.is_cancelled or self._stopped.is_set():
            raise Cancelled
        now = time.monotonic()
        if now - self._at >= TOLD_S or done == total:
            self._at = now
            told = {"done": done, "total": max(1, total), "message": message}
            if jobs.heartbeat(self._project.database, self._job, **told):  # type: ignore[arg-type]
                self._cancelled.set()
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
            self._running.stop()
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
    """On one core: people click meanwhile."""
    model = load(project.model, threads=1)
    try:
        done = prefill(
            project,
            stage=body["stage"],
            min_probability=body["min_probability"],
            model=model,
            progress=report,
        )
    except Cancelled:
        if report.is_cancelled:
            jobs.drop_queued(project.database, MASKS)
        raise
    if body["stage"] == "automatic":
        queue_audit(project)
    failures = [list(one) for one in done.failures[:MAX_FAILURES]]
    return {"photos": done.photos, "masks": done.masks, "failures": failures}


def _train(project: Project, body: dict[str, Any], report: Report) -> dict[str, Any]:
    from anymask.engine.apart import recipe_apart
    from anymask.engine.rounds import run_round

    def told(what: str, done: int, total: int) -> None:
        report(done, total, what)

    try:
        done = run_round(project, recipe_apart(body["quick"], told), stage=body.get("stage", "manual"))
    except Cancelled:
        if report.is_cancelled:  # else the round goes on at the next start
            _end_running_round(project)
        raise
    names = ("number", "promoted", "why", "photos", "masks", "before", "after", "forgotten")
    return {name: getattr(done, name) for name in names}


def _end_running_round(project: Project) -> None:
    for one in registry.list_rounds(project.database):
        if one.state == "running":
            registry.end_round(
                project.database, one.number, state="failed", after=None, why="cancelled", metrics={}
            )


def _export(project: Project, body: dict[str, Any], report: Report) -> dict[str, Any]:
    archive = archive_of(project, report.job_id)
    notes = formats.Notes()
    make_folder(archive.parent)
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".unfinished-") as name:
        masks = export_annotations(
            project, Path(name), notes, format_name=body["format"], photos=body["photos"], progress=report
        )
        size = pack(Path(name), archive)
    return {"masks": masks, "bytes": size, "notes": notes.lines(), "file": f"export-{body['format']}.zip"}


def archive_of(project: Project, job_id: int) -> Path:
    """What a job of export wrote."""
    return project.folder / "exports" / f"job-{int(job_id)}.zip"


def _import(project: Project, body: dict[str, Any], report: Report) -> dict[str, Any]:
    folder = upload_of(project, body["upload"])
    keep = False
    try:
        return _imported(project, body, folder, report)
    except Cancelled:
        keep = not report.is_cancelled  # the job goes on at the next start
        raise
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _imported(project: Project, body: dict[str, Any], folder: Path, report: Report) -> dict[str, Any]:
    source, notes = folder / SENT / body["name"], formats.Notes()
    if zipfile.is_zipfile(source):
        unpacked = folder / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        unpack(source, unpacked)
        source = unpacked
    done = import_annotations(
        project, source, notes, format_name=body["format"], author=body["author"], progress=report
    )
    failures = [list(one) for one in notes.failures[:MAX_FAILURES]]
    return {**asdict(done), "notes": notes.lines(), "failures": failures}


def upload_of(project: Project, name: str) -> Path:
    """The folder of an upload by its name, which this server made."""
    if not name.isalnum():
        raise BadInput(f"expected the name of an upload, got {name[:80]!r}")
    return project.folder / "uploads" / name


HANDLERS: dict[str, Handler] = {"prefill": _prefill, "train": _train, "export": _export, "import": _import}
