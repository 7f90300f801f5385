"""Workers: what they do, what becomes of the job of one that was killed, one round at a time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")

from engine_scenes import FakeRecipe, write_data_set
from store_places import new_postgres, postgres_url  # noqa: F401
from typer.testing import CliRunner

import anymask
from anymask.cli.app import app
from anymask.core.progress import Progress
from anymask.data import formats
from anymask.engine import embeddings, worker, working
from anymask.engine.exchange import import_annotations
from anymask.engine.prefill import queue_masks
from anymask.engine.project import Project
from anymask.engine.working import do_jobs
from anymask.errors import BadInput, Failure
from anymask.store import images, jobs, registry
from anymask.store.annotations import masks_of, verify
from anymask.store.jobs import Job
from anymask.store.values import StaleWrite


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data_set(tmp_path / "data", range(6))


@pytest.fixture
def project(tmp_path: Path, data: Path):
    opened, _ = Project.init(tmp_path / "project", [data])
    with opened:
        import_annotations(opened, data, formats.Notes())
        yield opened


def states(project: Project) -> list[str]:
    return [row.state for row in reversed(jobs.list_jobs(project.database))]


def make(fake: FakeRecipe) -> Callable[[bool, Progress], Any]:
    return lambda quick, progress: fake.recipe


def test_each_job_ends_with_its_result_or_the_reason(project: Project) -> None:
    for number in range(5):
        jobs.put(project.database, "sum", f"sum:{number}", {"number": number})
    jobs.put(project.database, "other", "other", {})
    tries: list[int] = []

    def do(_: Project, job: Job, progress: Progress) -> dict[str, Any]:
        number = job.body["number"]
        tries.append(number)
        if number == 1:
            raise BadInput("no such photo")
        if number == 2 and tries.count(2) < 3:
            raise StaleWrite("somebody drew", 1)
        if number == 3:
            raise ZeroDivisionError("a mistake")
        return {"twice": 2 * number}

    outcomes = [(job.body["number"], outcome) for job, outcome in do_jobs(project, {"sum": do})]
    done = {number: outcome for number, outcome in outcomes if isinstance(outcome, dict)}
    assert done == {0: {"twice": 0}, 2: {"twice": 4}, 4: {"twice": 8}}
    assert states(project) == ["done", "failed", "done", "failed", "done", "queued"]
    assert [tries.count(number) for number in range(5)] == [1, 1, 3, jobs.MAX_TRIES, 1]
    told = {row.key: row.message for row in jobs.list_jobs(project.database)}
    assert told["sum:1"] == "no such photo" and told["sum:3"] == "ZeroDivisionError: a mistake"


def test_a_job_that_is_cancelled_stops(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "HEARTBEAT_S", 0.02)
    number = jobs.put(project.database, "long", "long", {})

    def do(_: Project, job: Job, progress: Progress) -> dict[str, Any]:
        jobs.cancel(project.database, number)
        for step in range(1000):
            progress(step, 1000)
            time.sleep(0.01)
        return {}

    [(_, outcome)] = do_jobs(project, {"long": do})
    assert str(outcome) == "cancelled" and states(project) == ["cancelled"]
    [row] = jobs.list_jobs(project.database)
    assert row.total == 1000


def test_a_worker_that_waits_ends_when_told(project: Project) -> None:
    stop, done = threading.Event(), list[str]()

    def run() -> None:
        for job, _ in do_jobs(project, {"late": lambda *_: {}}, for_ever=True, stop=stop):
            done.append(job.key)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.1)
    jobs.put(project.database, "late", "late", {})
    for _ in range(100):
        time.sleep(0.05)
        if done:
            break
    stop.set()
    thread.join(5)
    assert done == ["late"] and not thread.is_alive()


def test_what_a_killed_process_had_begun_is_queued_when_sqlite_is_opened(project: Project) -> None:
    jobs.put(project.database, "long", "long", {})
    assert jobs.take(project.database, "killed") is not None
    project.close()
    with Project.open(project.folder, read_only=True) as other:
        assert states(other) == ["running"]
    with Project.open(project.folder) as again:
        assert [job.key for job, _ in do_jobs(again, {"long": lambda *_: {}})] == ["long"]


def test_a_round_is_a_job_and_goes_on_from_the_model_that_it_began_with(project: Project) -> None:
    fake = FakeRecipe(0.7)
    assert worker.train_now(project, make(fake)).promoted
    with pytest.raises(KeyboardInterrupt):
        worker.train_now(project, make(fake))
    before = registry.list_rounds(project.database)[1].before
    registry.promote(project.database, None, "ann", "rolled back")
    project.close()
    fake.scores = [0.9]
    with Project.open(project.folder) as again:
        outcome = worker.train_now(again, make(fake))
        assert outcome.number == 2 and outcome.before == {"iou_click_1": 0.7}
        assert registry.list_rounds(again.database)[1].before == before is not None
        assert states(again) == ["done", "done"]


def test_a_round_that_is_cancelled_is_over_and_the_next_begins_anew(project: Project) -> None:
    def cancelled(*_: Any, **__: Any) -> Any:
        jobs.cancel(project.database, number)
        raise working.Cancelled("cancelled")

    number = worker.queue_round(project)
    recipe = replace(FakeRecipe(0.7).recipe, train=cancelled)
    [(_, outcome)] = do_jobs(project, worker.doers(lambda *_: recipe))
    assert str(outcome) == "cancelled" and states(project) == ["cancelled"]
    assert [(row.state, row.why) for row in registry.list_rounds(project.database)] == [
        ("failed", "cancelled")
    ]
    assert worker.train_now(project, make(FakeRecipe(0.7))).number == 2


def test_a_job_that_is_given_back_was_not_tried_and_one_queued_again_is_as_asked_now(
    project: Project,
) -> None:
    stop = threading.Event()

    def do(_: Project, job: Job, progress: Progress) -> dict[str, Any]:
        stop.set()
        progress(1, 10)
        return {}

    for _ in range(jobs.MAX_TRIES + 1):
        stop.clear()
        worker.queue_round(project, quick=True)
        assert list(do_jobs(project, {worker.TRAIN: do}, stop=stop)) == []
        assert states(project) == ["queued"]
    job = jobs.take(project.database, "w")
    assert job is not None and job.tries == 1
    jobs.fail(project.database, job, "no memory", again=False)
    worker.queue_round(project, quick=False)
    again = jobs.take(project.database, "w")
    assert again is not None and again.body == {"quick": False, "stage": "manual"}


def test_a_queued_round_is_trained_by_a_worker(project: Project) -> None:
    worker.queue_round(project, quick=True)
    worker.queue_round(project)
    doers = worker.doers(make(FakeRecipe(0.7)))
    [(_, outcome)] = do_jobs(project, doers)
    assert (outcome["number"], outcome["promoted"], outcome["why"]) == (1, True, "better")


def test_a_round_whose_snapshot_is_gone_has_failed(project: Project) -> None:
    fake = FakeRecipe()
    with pytest.raises(KeyboardInterrupt):
        worker.train_now(project, make(fake))
    for path in (project.folder / "snapshots").iterdir():
        path.unlink()
    project.close()
    fake.scores = [0.9]
    with Project.open(project.folder) as again:
        assert worker.train_now(again, make(fake)).number == 2
        assert [row.state for row in registry.list_rounds(again.database)] == ["failed", "promoted"]


def test_the_shipped_model_can_be_promoted_again(project: Project) -> None:
    worker.train_now(project, make(FakeRecipe(0.7)))
    folder = str(project.folder)
    project.close()
    for name in ("base", "-"):
        ran = CliRunner().invoke(app, ["project", "promote", folder, name])
        assert ran.exit_code == 0 and ran.output == "promoted lite\n"
    logged = CliRunner().invoke(app, ["project", "log", folder]).output.splitlines()
    assert logged[-1].endswith("promoted (model base, why by hand)") and "None" not in "".join(logged)
    listed = CliRunner().invoke(app, ["project", "models", folder]).output.splitlines()
    assert listed[0].split() == ["*", "base", "lite"] and listed[1].startswith("  ")
    with Project.open(project.folder, read_only=True) as again:
        assert again.model == "lite"
    identity = listed[1].split()[0]
    assert CliRunner().invoke(app, ["project", "promote", folder, identity]).exit_code == 0
    assert CliRunner().invoke(app, ["project", "promote", folder, "nonsense"]).exit_code != 0


def test_a_model_whose_files_are_gone_is_not_promoted(project: Project) -> None:
    worker.train_now(project, make(FakeRecipe(0.7)))
    (version,) = registry.list_models(project.database)
    project.promote(None, "ann", "back")
    shutil.rmtree(project.folder / "models")
    with pytest.raises(BadInput, match="not there any more"):
        project.promote(version.id, "ann", "again")
    project.close()
    ran = CliRunner().invoke(app, ["project", "promote", str(project.folder), version.id[:12]])
    assert ran.exit_code == 2 and "not there any more" in ran.output
    with Project.open(project.folder, read_only=True) as again:
        assert again.model == "lite"


def test_commands_leave_work_to_workers_when_told_to(project: Project) -> None:
    pytest.importorskip("torch")
    folder = str(project.folder)
    project.close()
    for command, said in (
        (["train", folder, "--queue", "--quick"], "job 1 is queued"),
        (["prefill", folder, "--queue", "--embeddings"], "5 photos are queued"),
    ):
        ran = CliRunner().invoke(app, ["project", *command])
        assert ran.exit_code == 0 and said in ran.output, ran.output
    with Project.open(project.folder) as again:
        kinds = [row.kind for row in jobs.list_jobs(again.database)]
        assert [kinds.count(kind) for kind in worker.KINDS] == [5, 5, 1]
        doers = worker.doers(make(FakeRecipe(0.7)))
        outcomes = [outcome for _, outcome in do_jobs(again, doers)]
        assert not [one for one in outcomes if isinstance(one, Exception)]
        assert images.counts(again.database)["prefilled"] == 5 and states(again) == ["done"] * 11


def test_workers_of_sqlite_are_told_why_not(project: Project) -> None:
    ran = CliRunner().invoke(app, ["project", "work", str(project.folder)])
    assert ran.exit_code != 0 and "one process at a time" in ran.stderr and "PostgreSQL" in ran.stderr


def test_embeddings_are_computed_ahead_and_anew_for_another_model(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = anymask.load()
    row = images.list_images(project.database)[0]
    assert embeddings.queue_embeddings(project, model) == 5
    assert embeddings.compute_embeddings(project, model) == ()
    assert embeddings.queue_embeddings(project, model) == 0
    [folder] = (project.folder / "embeddings").iterdir()
    path = folder / f"{row.hash}.safetensors"
    ahead = embeddings.encoded(project, model, row).segment(points=[(64, 60)]).best.mask
    path.write_bytes(b"damaged")
    assert embeddings.encoded(project, model, row).segment(points=[(64, 60)]).best.mask.iou(ahead) > 0.95
    assert path.stat().st_size > 1000
    folder.rename(folder.with_name("older-model"))
    assert embeddings.renew(project) == 5
    assert not (project.folder / "embeddings" / "older-model").exists()
    assert embeddings.compute_embeddings(project, model) == () and path.is_file()


def test_one_process_trains_at_a_time(
    tmp_path: Path,
    data: Path,
    new_postgres: Callable[[], str],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "LEASE_S", 0.0)
    made, _ = Project.init(tmp_path / "pg", [data], database=new_postgres())
    with made as project, Project.open(tmp_path / "pg") as other:
        import_annotations(project, data, formats.Notes())
        worker.queue_round(project)
        taken = jobs.take(other.database, "elsewhere")
        with pytest.raises(Failure, match="another process trains"):
            worker.train_now(project, make(FakeRecipe(0.7)))
        jobs.fail(other.database, taken, "stopped")
        assert worker.train_now(project, make(FakeRecipe(0.7))).promoted


def start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "anymask", "project", "work", str(folder), "--kind", "masks"]
    environment = {**os.environ, "PYTHONPATH": str(Path(anymask.__file__).parents[1])}
    return subprocess.Popen(
        [*command, "--until-done"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_the_job_of_a_killed_worker_goes_on_elsewhere(
    tmp_path: Path,
    new_postgres: Callable[[], str],  # noqa: F811
) -> None:
    pytest.importorskip("torch")
    data = write_data_set(tmp_path / "data", range(12))
    made, _ = Project.init(tmp_path / "pg", [data], database=new_postgres())
    with made as project:
        count = queue_masks(project, anymask.load(), stage="prefilled", min_probability=0.3)
        killed, other = start(tmp_path / "pg"), start(tmp_path / "pg")
        try:
            until = time.monotonic() + 120
            while not (mine := _held_by(project, killed.pid)):
                assert time.monotonic() < until and killed.poll() is None
                time.sleep(0.01)
            killed.send_signal(signal.SIGKILL)
            killed.communicate(timeout=10)
            out, _ = other.communicate(timeout=200)
        finally:
            for one in (killed, other):
                one.kill()
                one.communicate()
        assert other.returncode == 0 and states(project) == ["done"] * count
        rows = {row.id: row for row in jobs.list_jobs(project.database)}
        again = [rows[number] for number in mine if rows[number].tries > 1]
        assert all(row.worker.endswith(f":{other.pid}") for row in again)
        assert len(out.splitlines()) >= 1 and verify(project.database) == []
        for row in images.list_images(project.database, state="prefilled"):
            masks = masks_of(project.database, row.id)
            assert len({one.mask.rle["counts"] for one in masks}) == len(masks) > 0


def _held_by(project: Project, pid: int) -> list[int]:
    rows = jobs.list_jobs(project.database)
    return [row.id for row in rows if row.state == "running" and row.worker.endswith(f":{pid}")]
