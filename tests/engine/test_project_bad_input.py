"""What goes wrong around a project: imports, sizes, archives, a database that is locked, a second process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from engine_scenes import write_data_set
from sqlalchemy import text

import anymask
from anymask.data import formats
from anymask.engine.exchange import import_annotations
from anymask.engine.project import Project
from anymask.errors import BadInput, StorageError
from anymask.store import images, registry
from anymask.store.annotations import masks_of, verify


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data_set(tmp_path / "data", range(4))


@pytest.fixture
def project(tmp_path: Path, data: Path):
    opened, _ = Project.init(tmp_path / "project", [data])
    with opened:
        yield opened


def masks_in(project: Project) -> dict[str, int]:
    rows = images.list_images(project.database)
    return {row.name: len(masks_of(project.database, row.id)) for row in rows}


def edit(path: Path, change) -> None:
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


DAMAGES = {
    "cut": lambda path: path.write_text(path.read_text()[:200]),
    "binary": lambda path: path.write_bytes(b"\xff\xfe\x00\x01" * 100),
    "run lengths of another size": lambda path: edit(
        path, lambda r: r["annotations"][1]["segmentation"].update(size=[50, 60])
    ),
    "run lengths cut off": lambda path: edit(
        path,
        lambda r: r["annotations"][1]["segmentation"].update(
            counts=r["annotations"][1]["segmentation"]["counts"][:-3]
        ),
    ),
    "a photo of another size": lambda path: edit(path, lambda r: r["image"].update(width=64, height=64)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_named_and_the_others_are_imported(
    project: Project, data: Path, damage: str
) -> None:
    DAMAGES[damage](data / "disks-2.json")
    notes = formats.Notes()
    import_annotations(project, data, notes)
    told = [*(f"{where}: {why}" for where, why in notes.failures), *notes.lines()]
    assert any("disks-2" in line for line in told), told
    found = masks_in(project)
    assert found.pop("disks-2.png") in (0, 2)
    assert set(found.values()) == {3} and verify(project.database) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"images": 3}', "\0"])
def test_a_file_that_is_no_data_set_is_refused(project: Project, tmp_path: Path, content: str) -> None:
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(BadInput):
        import_annotations(project, tmp_path / "labels.json", formats.Notes())
    assert set(masks_in(project).values()) == {0}


def test_annotations_of_a_photo_that_is_not_there_are_named(project: Project, tmp_path: Path) -> None:
    """A foreign key to nothing: the annotation names an image that the file does not have."""
    square = {
        "image_id": 7,
        "category_id": 1,
        "segmentation": [[9, 9, 30, 9, 30, 30]],
        "bbox": [9, 9, 21, 21],
    }
    known = {"id": 1, "file_name": "disks-1.png", "height": 96, "width": 128}
    rows = [
        {**square, "id": 1, "area": 220, "iscrowd": 0},
        {**square, "id": 2, "area": 220, "iscrowd": 0, "image_id": 1},
    ]
    categories = [{"id": 1, "name": "disk"}]
    content = {"images": [known], "annotations": rows, "categories": categories}
    (tmp_path / "coco.json").write_text(json.dumps(content))
    notes = formats.Notes()
    import_annotations(project, tmp_path / "coco.json", notes)
    assert any("annotations of photos that are not listed" in line for line in notes.lines())
    assert masks_in(project)["disks-1.png"] == 1


def test_a_second_process_is_refused_and_told_why(project: Project) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(anymask.__file__).parents[1])}
    command = [sys.executable, "-m", "anymask", "project"]
    for verb, more, code in (("promote", ["base"], 1), ("log", [], 0), ("status", [], 0)):
        ran = subprocess.run(
            [*command, verb, str(project.folder), *more], env=environment, capture_output=True, text=True
        )
        assert ran.returncode == code, ran.stderr
        assert ("in use by another process; several need PostgreSQL" in ran.stderr) == (code == 1)


def test_a_database_that_another_program_locks_is_an_error_and_nothing_is_lost(project: Project) -> None:
    registry.note(project.database, "ann", "before")
    program = (
        "import sqlite3, sys\n"
        "one = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "one.execute('BEGIN IMMEDIATE')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(project.folder / "store.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(StorageError, match="locked"):
            registry.note(project.database, "ann", "meanwhile")
        assert registry.read_log(project.database)[-1].what == "before"
        other.communicate()
    registry.note(project.database, "ann", "after")
    assert [row.what for row in registry.read_log(project.database)][-2:] == ["before", "after"]


def test_a_database_that_became_read_only_is_an_error_until_it_is_not(project: Project) -> None:
    def only(on: str) -> None:
        project.database.write(lambda connection: connection.execute(text(f"PRAGMA query_only = {on}")))

    only("ON")
    with pytest.raises(StorageError, match="readonly"):
        registry.note(project.database, "ann", "meanwhile")
    only("OFF")
    registry.note(project.database, "ann", "after")
    assert registry.read_log(project.database)[-1].what == "after"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": "x"}', '{"schema": 1, "photos": 3}'])
def test_a_damaged_project_file_is_named(project: Project, content: str) -> None:
    project.close()
    (project.folder / "project.json").write_text(content)
    with pytest.raises(BadInput, match=r"project\.json is damaged"):
        Project.open(project.folder)
