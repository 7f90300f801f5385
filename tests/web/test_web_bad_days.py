"""What goes wrong in the middle of work: models that are removed, tabs, leases, photos that are gone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
from engine_scenes import FakeRecipe, write_data_set
from fastapi.testclient import TestClient
from store_places import new_postgres, postgres_url  # noqa: F401
from studio_client import API, Annotator, add, error_of, open_studio
from test_web_jobs import wait
from typer.testing import CliRunner

from anymask.cli.app import app as cli
from anymask.data import formats
from anymask.engine import rounds
from anymask.engine.exchange import import_annotations
from anymask.engine.project import Project
from anymask.store import registry, tasks
from anymask.store.annotations import masks_of, verify
from anymask.web import studio as studio_of_web
from anymask.web.studio import Studio


@pytest.fixture
def trained(project: Project) -> Project:
    """With a model of a round in use, whose files nobody can open."""
    import_annotations(project, Path(project.config.photos[0]), formats.Notes())
    assert rounds.run_round(project, FakeRecipe(0.7).recipe).promoted
    return project


def test_a_project_whose_model_was_removed_opens_and_says_so(trained: Project) -> None:
    """Masks are drawn by hand, the model before it is taken back, and prompts are answered again."""
    shutil.rmtree(trained.folder / "models")
    with open_studio(trained) as (_, client):
        told = client.get(f"{API}/project").json()["model"]
        assert "cannot be opened" in told["problem"] and not told["words"]
        ada = Annotator(client)
        ada.open(1)
        assert ada.save(add(1)).status_code == 200
        asked = {"client": "t", "seq": 1, "prompt": {"points": [[64, 60]]}}
        answer = ada.post("/images/1/prompt", asked)
        assert answer.status_code == 503 and error_of(answer)["code"] == "no_model"
        assert client.get("/readyz").status_code == 503
        filling = wait(client, client.post(f"{API}/jobs/prefill", json={}).json())
        assert filling["state"] == "failed" and "model" in filling["message"]
        assert client.post(f"{API}/models/start/promote", json={}).status_code == 204
        assert client.get(f"{API}/project").json()["model"]["problem"] is None
        assert ada.post("/images/1/prompt", {**asked, "seq": 2}).status_code == 200


def test_a_model_whose_files_are_gone_is_not_taken_into_use(trained: Project) -> None:
    version = registry.current_model(trained.database)
    assert version is not None
    registry.promote(trained.database, None, "me", "back")
    shutil.rmtree(trained.folder / "models")
    with open_studio(trained) as (_, client):
        answer = client.post(f"{API}/models/{version.id}/promote", json={})
        assert answer.status_code == 400 and "not there any more" in error_of(answer)["message"]
        assert client.get(f"{API}/project").json()["model"]["id"] == "start"


def test_a_model_that_another_process_promotes_is_used_from_the_next_prompt_on(
    tmp_path: Path,
    new_postgres: Callable[[], str],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`anymask project promote` beside a studio on PostgreSQL; open pages are told."""
    monkeypatch.setattr(studio_of_web, "FOLLOW_S", 0.0)
    data = write_data_set(tmp_path / "data", range(5))
    project, _ = Project.init(tmp_path / "project", [data], model="disk", database=new_postgres())
    import_annotations(project, data, formats.Notes())
    assert rounds.run_round(project, FakeRecipe(0.7).recipe).promoted  # its files nobody can open
    with project, open_studio(project) as (studio, client):
        told: list[str] = []
        monkeypatch.setattr(studio.events, "tell", lambda name, _: told.append(name))
        asked = {"client": "t", "seq": 1, "prompt": {"points": [[64, 60]]}}
        ada = Annotator(client)
        assert ada.post("/images/1/prompt", asked).status_code == 503
        assert told == []
        promoted = CliRunner().invoke(cli, ["project", "promote", str(project.folder), "base"])
        assert promoted.exit_code == 0, promoted.output
        assert ada.post("/images/1/prompt", {**asked, "seq": 2}).status_code == 200
        assert told == ["project"]


def test_a_model_that_is_removed_while_somebody_works_stays_in_use(
    ada: Annotator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada.open(1)
    assert ada.prompt(points=[[64.0, 60.0]])
    monkeypatch.setattr("anymask.web.inference.load", None)  # its files are gone; it is in memory
    assert ada.prompt(points=[[24.0, 24.0]])


def test_a_reload_and_a_second_tab_keep_the_lease(ada: Annotator, client: TestClient) -> None:
    """Of one person: what the first tab still has to save is saved."""
    ada.open(1)
    second = Annotator(client)
    second.open(1)
    assert second.held == ada.held
    assert ada.save(add(1)).status_code == 200
    second.revision = ada.revision
    assert second.save(add(2)).status_code == 200
    ada.revision = second.revision
    assert ada.submit().status_code == 204
    assert second.submit().status_code == 204, "said again"


def test_the_next_photo_in_a_second_tab_is_the_same_one(
    ada: Annotator, client: TestClient, studio: Studio
) -> None:
    tasks.add_tasks(studio.project.database, [1, 2])
    ada.next()
    second = Annotator(client)
    second.next()
    assert second.held == ada.held and second.image_id == ada.image_id
    assert ada.save(add(1)).status_code == 200


def test_a_photo_that_is_done_in_one_tab_is_not_saved_to_from_another(
    ada: Annotator, client: TestClient, studio: Studio
) -> None:
    """What the late tab sends is kept as a branch and told; it may open the photo again."""
    ada.open(1)
    late = Annotator(client)
    late.open(1)
    assert ada.save(add(1)).status_code == 200 and ada.submit().status_code == 204
    answer = late.save(add(2))
    assert answer.status_code == 409 and error_of(answer)["code"] == "lease_lost"
    late.open(1)
    assert late.save(add(3)).status_code == 200
    assert len(masks_of(studio.project.database, 1)) == 2 and verify(studio.project.database) == []


def test_a_lease_that_runs_out_while_somebody_draws_is_still_theirs(ada: Annotator, studio: Studio) -> None:
    """Unless somebody else took the photo meanwhile: then they are told, and the work is kept."""
    database = studio.project.database
    ada.open(1)
    database.clock._last[0] = database.clock() + tasks.LEASE_S + 60
    assert ada.save(add(1)).status_code == 200
    held = dict(ada.held)
    ada.open(1)
    assert ada.held == held
    database.clock._last[0] = database.clock() + tasks.LEASE_S + 60
    taken = tasks.next_task(database, "bob")
    assert taken is not None and taken.image_id == 1
    answer = ada.save(add(2))
    assert answer.status_code == 409 and error_of(answer)["code"] == "lease_lost"
    assert error_of(ada.post("/images/1/open", {}))["detail"]["by"] == "bob"


def test_a_photo_that_is_gone_is_told_and_can_be_skipped(ada: Annotator, studio: Studio) -> None:
    for path in Path(studio.project.config.photos[0]).glob("*.png"):
        path.unlink()
    work = ada.open(1)
    answer = ada.get("/images/1/photo")
    assert answer.status_code == 400 and "not there any more" in error_of(answer)["message"]
    assert str(studio.project.folder.parent) not in error_of(answer)["message"]
    asked = {"client": "t", "seq": 1, "prompt": {"points": [[64, 60]]}}
    assert ada.post("/images/1/prompt", asked).status_code == 400
    skip = {"token": work["lease"]["token"], "reason": "gone"}
    assert ada.post(f"/tasks/{work['lease']['task']}/skip", skip).status_code == 204
