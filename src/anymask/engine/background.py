"""Background: the jobs that people start in the studio, one after the other, with progress and cancel.

In a thread of the process that has the project, as only one process writes to a SQLite store; training, which
takes minutes of all cores, is a child process of it that can be killed.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import shutil
import tempfile
import threading
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
from anymask.engine.rounds import Recipe
from anymask.engine.unpack import pack, unpack
from anymask.engine.worker import TRAIN, Rounds, queue_round
from anymask.engine.working import Cancelled, Doer, Hold, Stopped, do_jobs
from anymask.errors import AnymaskError, BadInput, Failure, StorageError
from anymask.files import make_folder, only_inside
from anymask.store import jobs
from anymask.store.database import AnyRow
from anymask.store.jobs import Job

IDLE_S = 5.0  # between looks for jobs that another process has queued
SENT, UNPACKED = "sent", "unpacked"  # in the folder of an upload
MAX_FAILURES = 50  # that a result names
KINDS = ("prefill", TRAIN, "export", "import")
log = logging.getLogger("anymask.engine")


class Background:
    """Does jobs of the store until it is closed. `changed` is called with the row of a job that changed."""

    def __init__(
        self,
        project: Project,
        changed: Callable[[AnyRow], None],
        doers: Mapping[str, Doer] | None = None,
    ) -> None:
        self._project, self._changed = project, changed
        self._doers = {kind: _once(do) for kind, do in (DOERS if doers is None else doers).items()}
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="anymask-jobs", daemon=True)
        self._thread.start()

    def put(self, kind: str, body: dict[str, Any]) -> AnyRow:
        """Queue a job and return its row."""
        return self._queued(jobs.put(self._project.database, kind, f"{kind}:{uuid.uuid4().hex}", body))

    def train(self, *, quick: bool) -> AnyRow:
        """Queue the next round and return the row of its job; there is one at a time."""
        return self._queued(queue_round(self._project, quick=quick))

    def _queued(self, job_id: int) -> AnyRow:
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
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                for _ in self._done_jobs():
                    pass
            except AnymaskError as error:
                log.warning("jobs: %s", error)
                self._stop.wait(IDLE_S)

    def _done_jobs(self) -> Any:
        return do_jobs(
            self._project, self._doers, for_ever=True, stop=self._stop, pause=self._pause, tell=self._tell
        )

    def _pause(self, _: float) -> None:
        self._wake.wait(IDLE_S)
        self._wake.clear()

    def _tell(self, job_id: int) -> None:
        with contextlib.suppress(AnymaskError):
            self._changed(job_row(self._project, job_id))


def _once(do: Doer) -> Doer:
    """What breaks by a mistake would break again, and people see why at once."""

    @functools.wraps(do)
    def done(project: Project, job: Job, hold: Hold) -> dict[str, Any]:
        try:
            return do(project, job, hold)
        except AnymaskError:
            raise
        except Exception as error:
            log.error("job %d (%s)", job.id, job.kind, exc_info=error)
            raise Failure(f"{type(error).__name__}: {error}") from error

    return done


def job_row(project: Project, job_id: int) -> AnyRow:
    """Raises BadInput."""
    row = jobs.find(project.database, job_id)
    if row is None or row.kind not in KINDS:
        raise BadInput(f"expected a job of the project, got number {job_id}")
    return row


def list_jobs(project: Project, limit: int) -> list[AnyRow]:
    """The newest first."""
    return jobs.list_jobs(project.database, limit=limit, kinds=KINDS)


def _prefill(project: Project, job: Job, hold: Hold) -> dict[str, Any]:
    """On one core: people click meanwhile."""
    stage = job.body["stage"]
    model = load(project.model, threads=1)
    try:
        done = prefill(
            project,
            stage=stage,
            min_probability=job.body["min_probability"],
            model=model,
            progress=hold,
        )
    except Cancelled:
        jobs.drop_queued(project.database, MASKS)
        raise
    if stage == "automatic":
        queue_audit(project)
    failures = [list(one) for one in done.failures[:MAX_FAILURES]]
    return {"photos": done.photos, "masks": done.masks, "failures": failures}


def _recipe(quick: bool, hold: Hold) -> Recipe:
    from anymask.engine.apart import recipe_apart

    return recipe_apart(quick, lambda what, done, total: hold(done, total, what))


def _export(project: Project, job: Job, hold: Hold) -> dict[str, Any]:
    archive = archive_of(project, job.id)
    notes = formats.Notes()
    name, photos = job.body["format"], job.body["photos"]
    state = job.body.get("state", "all")  # of an older anymask: queued without
    make_folder(archive.parent)
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".unfinished-") as folder:
        done = export_annotations(
            project, Path(folder), notes, format_name=name, photos=photos, state=state, progress=hold
        )
        size = pack(Path(folder), archive)
    return {**asdict(done), "bytes": size, "notes": notes.lines(), "file": f"export-{name}.zip"}


def archive_of(project: Project, job_id: int) -> Path:
    """What a job of export wrote."""
    return project.folder / "exports" / f"job-{int(job_id)}.zip"


def _import(project: Project, job: Job, hold: Hold) -> dict[str, Any]:
    folder = upload_of(project, job.body["upload"])
    stopped = False
    try:
        return _imported(project, job.body, folder, hold)
    except Stopped:
        stopped = True  # the job goes on at the next start
        raise
    finally:
        if not stopped:
            shutil.rmtree(folder, ignore_errors=True)


def _imported(project: Project, body: dict[str, Any], folder: Path, hold: Hold) -> dict[str, Any]:
    notes = formats.Notes()
    told = functools.partial(_for_the_page, folder=folder, name=body["name"])
    try:
        source = _unpacked(folder, body["name"])
        with only_inside(folder):
            done = import_annotations(
                project, source, notes, format_name=body["format"], author=body["author"], progress=hold
            )
    except (BadInput, StorageError) as error:
        raise type(error)(told(str(error))) from error
    failures = [[told(where), told(why)] for where, why in notes.failures[:MAX_FAILURES]]
    return {**asdict(done), "notes": [told(line) for line in notes.lines()], "failures": failures}


def _unpacked(folder: Path, name: str) -> Path:
    """What was sent, out of its archive where it is one."""
    source, unpacked = folder / SENT / name, folder / UNPACKED
    if not zipfile.is_zipfile(source):
        return source
    shutil.rmtree(unpacked, ignore_errors=True)
    unpack(source, unpacked)
    return unpacked


def _for_the_page(text: str, folder: Path, name: str) -> str:
    """A message without places on this machine."""
    for place in (folder, folder.resolve()):
        text = text.replace(str(place / UNPACKED / "x")[:-1], "").replace(str(place / UNPACKED), name)
        text = text.replace(str(place / SENT / "x")[:-1], "").replace(str(place), name)
    return text


def upload_of(project: Project, name: str) -> Path:
    """The folder of an upload by its name, which this server made."""
    if not name.isalnum():
        raise BadInput(f"expected the name of an upload, got {name[:80]!r}")
    return project.folder / "uploads" / name


DOERS: Mapping[str, Doer] = {
    "prefill": _prefill, TRAIN: Rounds(_recipe), "export": _export, "import": _import,
}  # fmt: skip
