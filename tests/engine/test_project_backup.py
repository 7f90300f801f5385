"""Backups of whole projects: the same afterwards, also elsewhere, under load and with photos gone."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from engine_scenes import FakeRecipe, write_data_set
from store_places import new_postgres, postgres_url  # noqa: F401
from typer.testing import CliRunner

from anymask.cli.app import app
from anymask.data import formats
from anymask.engine.exchange import import_annotations
from anymask.engine.project import Project
from anymask.engine.project_backup import backup_project, restore_project
from anymask.engine.rounds import run_round
from anymask.errors import BadInput
from anymask.store import images, registry
from anymask.store.annotations import masks_of, verify
from anymask.store.backup import content_hash


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data_set(tmp_path / "data", range(6))


def make(folder: Path, data: Path, **options: object) -> Project:
    project, _ = Project.init(folder, [data], **options)
    import_annotations(project, data, formats.Notes())
    return project


def test_a_restored_project_is_the_same_and_goes_on(tmp_path: Path, data: Path) -> None:
    with make(tmp_path / "old", data, copy=True) as project:
        run_round(project, FakeRecipe(0.7).recipe)
        saved = backup_project(project, tmp_path / "backup.zip")
        before = content_hash(project.database)
    shutil.rmtree(tmp_path / "old")
    shutil.rmtree(data)
    done = restore_project(tmp_path / "backup.zip", tmp_path / "new")
    assert saved.backup == done.backup and (saved.missing, done.missing) == ((), ())
    with Project.open(tmp_path / "new") as project:
        assert content_hash(project.database) == before == done.backup.content
        assert verify(project.database) == []
        assert Path(project.model).read_text() == "0.7"
        for row in images.list_images(project.database):
            assert project.photo(row).path.parent == tmp_path / "new" / "photos"
            assert len(masks_of(project.database, row.id)) == 3
        outcome = run_round(project, FakeRecipe(0.8).recipe)
    assert (outcome.number, outcome.promoted, outcome.photos) == (2, True, 5)


def test_a_backup_moves_a_project_between_databases(
    tmp_path: Path,
    data: Path,
    new_postgres: Callable[[], str],  # noqa: F811
) -> None:
    with make(tmp_path / "old", data, copy=True, database=new_postgres()) as project:
        made = backup_project(project, tmp_path / "backup.zip").backup
    restore_project(tmp_path / "backup.zip", tmp_path / "sqlite")
    url = new_postgres()
    restore_project(tmp_path / "backup.zip", tmp_path / "postgres", database=url)
    for folder, kind in (("sqlite", True), ("postgres", False)):
        with Project.open(tmp_path / folder) as project:
            assert project.database.is_sqlite is kind
            assert content_hash(project.database) == made.content
            assert verify(project.database) == [] and project.missing() == []
    with pytest.raises(BadInput, match="empty project"):
        restore_project(tmp_path / "backup.zip", tmp_path / "again", database=url)
    assert not (tmp_path / "again").exists()


def test_a_round_that_was_running_begins_again(tmp_path: Path, data: Path) -> None:
    fake = FakeRecipe()
    with make(tmp_path / "old", data) as project:
        with pytest.raises(KeyboardInterrupt):
            run_round(project, fake.recipe)
        backup_project(project, tmp_path / "backup.zip")
    data.rename(tmp_path / "moved")
    restore_project(tmp_path / "backup.zip", tmp_path / "new", photos=[tmp_path / "moved"])
    fake.scores = [0.9]
    with Project.open(tmp_path / "new") as project:
        assert run_round(project, fake.recipe).number == 1
    assert fake.seen[0] == fake.seen[1]


def test_photos_by_reference_are_looked_for_by_content(tmp_path: Path, data: Path) -> None:
    with make(tmp_path / "old", data) as project:
        backup_project(project, tmp_path / "backup.zip")
    (tmp_path / "moved" / "deep").mkdir(parents=True)
    for number in range(4):
        (data / f"disks-{number}.png").rename(tmp_path / "moved" / "deep" / f"{number}.png")
    (data / "disks-4.png").write_bytes((data / "disks-5.png").read_bytes())
    done = restore_project(tmp_path / "backup.zip", tmp_path / "new", photos=[tmp_path / "moved"])
    assert done.missing == ("disks-4.png",)
    assert len(restore_project(tmp_path / "backup.zip", tmp_path / "other").missing) == 5


def test_the_password_of_the_database_is_in_no_backup(tmp_path: Path, data: Path) -> None:
    with make(tmp_path / "old", data) as project:
        project.config = type(project.config)(("a",), "postgresql://ann:SECRET@example/x")
        backup_project(project, tmp_path / "backup.zip")
    assert b"SECRET" not in (tmp_path / "backup.zip").read_bytes()
    restore_project(tmp_path / "backup.zip", tmp_path / "new")
    assert json.loads((tmp_path / "new" / "project.json").read_text())["database"] is None


def test_a_folder_that_is_not_empty_stays_as_it_is(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make(tmp_path / "old", data) as project:
        backup_project(project, tmp_path / "backup.zip")
    with pytest.raises(BadInput, match="is not empty"):
        restore_project(tmp_path / "backup.zip", data)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    restore_project(tmp_path / "backup.zip", Path("."))
    with Project.open(Path(".")) as project:
        assert verify(project.database) == []
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_backup_leaves_nothing(tmp_path: Path, data: Path, damage: str) -> None:
    with make(tmp_path / "old", data) as project:
        backup_project(project, tmp_path / "backup.zip")
    content = bytearray((tmp_path / "backup.zip").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "backup.zip").write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BadInput, match="incomplete or damaged"):
        restore_project(tmp_path / "backup.zip", tmp_path / "new")
    assert sorted(tmp_path.iterdir()) == before


def test_another_process_backs_up_while_masks_are_saved(tmp_path: Path, data: Path) -> None:
    """By the command, which only reads; each backup is of one moment."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            registry.note(project.database, "ann", "worked")

    with make(tmp_path / "old", data) as project:
        thread = threading.Thread(target=work)
        thread.start()
        try:
            for number in range(3):
                file = tmp_path / f"{number}.zip"
                ran = CliRunner().invoke(app, ["project", "backup", str(tmp_path / "old"), str(file)])
                assert ran.exit_code == 0, ran.output
                new = tmp_path / f"new-{number}"
                ran = CliRunner().invoke(app, ["project", "restore", str(file), str(new)])
                assert ran.exit_code == 0 and "6 photos, 18 masks" in ran.output
        finally:
            stop.set()
            thread.join()


def test_a_missing_photo_is_named_by_the_command(tmp_path: Path, data: Path) -> None:
    with make(tmp_path / "old", data) as project:
        backup_project(project, tmp_path / "backup.zip")
    (data / "disks-2.png").unlink()
    ran = CliRunner().invoke(app, ["project", "restore", str(tmp_path / "backup.zip"), str(tmp_path / "new")])
    assert ran.exit_code == 0
    assert "disks-2.png: this photo was not found" in ran.stderr
    ran = CliRunner().invoke(app, ["project", "verify", str(tmp_path / "new")])
    assert ran.exit_code == 1 and "disks-2.png" in ran.stderr
