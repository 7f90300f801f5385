"""Projects: photos by reference, import and export, what is wrong is named."""

from __future__ import annotations

import filecmp
import json
import shutil
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from engine_scenes import disks, write_data_set
from filelock import FileLock
from typer.testing import CliRunner

from anymask.cli.app import app
from anymask.data import formats
from anymask.engine.exchange import export_annotations, import_annotations
from anymask.engine.project import PROJECT_FOLDER, Project, project_in
from anymask.errors import BadInput, StorageError
from anymask.store import images, registry, tasks
from anymask.store.annotations import masks_of, save, verify
from anymask.store.tasks import Lease
from anymask.store.values import Action, StoredMask


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data_set(tmp_path / "data", range(5))


@pytest.fixture
def project(tmp_path: Path, data: Path):
    opened, added = Project.init(tmp_path / "project", [data])
    assert (added.new, added.known, added.failures) == (5, 0, ())
    with opened:
        yield opened


def test_photos_stay_where_they_are(project: Project, data: Path) -> None:
    rows = images.list_images(project.database)
    assert {Path(row.path).parent for row in rows} == {data}
    assert not (project.folder / "photos").exists()


def test_a_share_of_the_photos_is_for_evaluation_only(project: Project) -> None:
    assert [bool(row.fixed) for row in images.list_images(project.database)].count(True) == 1


def test_the_same_photos_again_add_nothing(project: Project, data: Path) -> None:
    shutil.copytree(data, data.parent / "copy")
    added = project.add_photos([data.parent / "copy"])
    assert (added.new, added.known) == (0, 5)


def test_masks_go_in_and_out_bit_for_bit(project: Project, data: Path, tmp_path: Path) -> None:
    done = import_annotations(project, data, formats.Notes())
    assert (done.photos, done.masks) == (5, 15)
    export_annotations(project, tmp_path / "out", formats.Notes(), format_name="sa1b", photos="copy")
    again, _ = Project.init(tmp_path / "again", [tmp_path / "out"])
    with again:
        assert import_annotations(again, tmp_path / "out", formats.Notes()).masks == 15
        export_annotations(again, tmp_path / "out2", formats.Notes(), format_name="sa1b", photos="copy")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert filecmp.cmpfiles(tmp_path / "out", tmp_path / "out2", names, shallow=False)[0] == names


def test_an_import_twice_adds_nothing(project: Project, data: Path) -> None:
    import_annotations(project, data, formats.Notes())
    again = import_annotations(project, data, formats.Notes())
    assert (again.masks, again.known) == (0, 15)
    assert verify(project.database) == []


@pytest.mark.parametrize("format_name", ["sa1b", "coco"])
def test_the_own_export_adds_nothing_and_is_written_the_same_again(
    project: Project, tmp_path: Path, format_name: str
) -> None:
    """Masks of a person, with and without a category; COCO gives those without one the name "object"."""
    for number, row in enumerate(images.list_images(project.database)):
        _, masks = disks(number)
        adds = tuple(
            StoredMask(f"{number}-{place}", mask, category, "ada", "manual")
            for place, (mask, category) in enumerate(zip(masks, ("disk", None, "coin"), strict=True))
        )
        save(project.database, Action(row.id, 0, f"k{number}", "ada", adds))
    first, second = tmp_path / "first", tmp_path / "second"
    export_annotations(project, first, formats.Notes(), format_name=format_name, photos="copy")
    again = import_annotations(project, first, formats.Notes())
    assert (again.masks, again.known) == (0, 15)
    export_annotations(project, second, formats.Notes(), format_name=format_name, photos="copy")
    names = sorted(str(one.relative_to(first)) for one in first.rglob("*") if one.is_file())
    assert filecmp.cmpfiles(first, second, names, shallow=False)[0] == names


def test_classes_without_masks_are_in_the_export(project: Project, data: Path, tmp_path: Path) -> None:
    classes = [{"name": name, "color": "#ff0000"} for name in ("coin", "disk")]
    registry.set_setting(project.database, "studio", {"classes": classes})
    row = images.find_image(project.database, "disks-3.png")
    adds = tuple(
        StoredMask(name, mask, name, "ada", "manual")
        for name, mask in zip(("ring", "disk"), disks(3)[1], strict=False)
    )
    save(project.database, Action(row.id, 0, "k", "ada", adds))
    export_annotations(project, tmp_path / "out", formats.Notes(), format_name="coco")
    found = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert found["categories"] == [
        {"id": number, "name": name} for number, name in enumerate(("coin", "disk", "ring"), 1)
    ]
    assert {one["category_id"] for one in found["annotations"]} == {2, 3}


def work_on(project: Project, kind: str, user: str) -> Lease:
    found = tasks.next_task(project.database, user, kinds=[kind])
    assert found is not None
    return found


@pytest.fixture
def worked_on(project: Project) -> Project:
    """Of five photos three are done, two of those approved in review, one of which was changed since."""
    now = time.time()
    project.database.clock = lambda: now
    for number in range(3):
        tasks.add_tasks(project.database, [number + 1])
        lease, mask = work_on(project, "annotate", "ada"), disks(number)[1][0]
        adds = (StoredMask("a", mask, None, "ada", "manual"),)
        tasks.save_task(project.database, lease, Action(number + 1, 0, f"k{number}", "ada", adds))
        tasks.submit(project.database, lease)
        tasks.add_tasks(project.database, [number + 1], kind="review")
    for verdict in ("accepted", "accepted", "returned"):
        tasks.review(project.database, work_on(project, "review", "rita"), verdict, "a reason")
    now += 1
    save(project.database, Action(2, 1, "later", "ada", removes=("a",)))
    return project


@pytest.mark.parametrize(
    ("state", "exported", "left_out"),
    [("all", [1, 2, 3, 4, 5], 0), ("done", [1, 2, 3], 2), ("accepted", [1], 4)],
)
def test_an_export_is_of_photos_in_a_state(
    worked_on: Project, tmp_path: Path, state: str, exported: list[int], left_out: int
) -> None:
    notes, names = formats.Notes(), {row.name: row.id for row in images.list_images(worked_on.database)}
    done = export_annotations(worked_on, tmp_path / "out", notes, format_name="coco", state=state)
    assert (done.photos, done.left_out) == (len(exported), left_out)
    found = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert sorted(names[Path(one["file_name"]).name] for one in found["images"]) == exported
    assert len(found["annotations"]) == done.masks == {"all": 2, "done": 2, "accepted": 1}[state]


def test_the_command_exports_photos_in_a_state(worked_on: Project, tmp_path: Path) -> None:
    worked_on.close()
    sent = ["project", "export", str(worked_on.folder), str(tmp_path / "out"), "--state"]
    result = CliRunner().invoke(app, [*sent, "done"])
    assert "2 masks of 3 photos, 2 photos left out" in result.output, result.output
    refused = CliRunner().invoke(app, [*sent, "half"])
    assert "expected one of all, done, accepted" in refused.output


def test_an_export_of_no_photo_says_why(project: Project, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="none of the 5 photos is approved in review"):
        export_annotations(project, tmp_path, formats.Notes(), format_name="coco", state="accepted")
    assert not list(tmp_path.glob("*.json"))


def test_masks_that_are_new_beside_known_ones_are_added(project: Project, data: Path) -> None:
    row = images.find_image(project.database, "disks-3.png")
    mask = disks(3)[1][0]
    one = StoredMask("a", mask, None, "ada", "manual")
    save(project.database, Action(row.id, 0, "k", "ada", (one,)))
    done = import_annotations(project, data, formats.Notes())
    assert (done.masks, done.known) == (14, 1)


def test_masks_of_other_photos_are_refused(project: Project, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="none of its 2 photos"):
        import_annotations(project, write_data_set(tmp_path / "other", range(90, 92)), formats.Notes())


def test_a_photo_that_moved_is_found_by_its_content(project: Project, data: Path) -> None:
    row = images.find_image(project.database, "disks-3.png")
    (data / "disks-3.png").rename(data / "renamed.png")
    assert project.photo(row).path == data / "renamed.png"


def test_the_status_says_how_many_photos_are_gone(project: Project, data: Path) -> None:
    def status(*more: str) -> str:
        return CliRunner().invoke(app, ["project", "status", str(project.folder), *more]).output

    assert "missing" not in status() and json.loads(status("--json"))["photos_missing"] == 0
    (data / "disks-3.png").unlink()
    (data / "disks-4.png").rename(data / "moved.png")
    assert "1 photos are not there any more" in status()
    assert (
        [row.name for row in project.absent()] == [row.name for row in project.missing()] == ["disks-3.png"]
    )


def test_a_photo_that_changed_is_named(project: Project, data: Path) -> None:
    row = images.find_image(project.database, "disks-3.png")
    (data / "disks-3.png").write_bytes((data / "disks-4.png").read_bytes())
    with pytest.raises(BadInput, match=r"disks-3\.png has changed"):
        project.photo(row)


def test_a_process_that_is_just_ending_is_waited_for(project: Project) -> None:
    project.close()
    ending = FileLock(project.folder / "store.db.lock", thread_local=False)
    ending.acquire()
    threading.Timer(0.5, ending.release).start()
    with Project.open(project.folder) as again:
        assert images.counts(again.database)["images"] == 5


def test_a_second_process_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anymask.store.database.LOCK_WAIT_S", 0.1)
    with pytest.raises(StorageError, match="in use by another process"):
        Project.open(project.folder)


def test_reading_beside_a_writer_is_allowed(project: Project) -> None:
    with Project.open(project.folder, read_only=True) as other:
        assert images.counts(other.database)["images"] == 5
        with pytest.raises(StorageError, match="reading only"):
            other.add_photos([Path(project.config.photos[0])])


def test_a_folder_that_holds_something_else_is_refused(data: Path) -> None:
    with pytest.raises(BadInput, match="holds no project"):
        Project.init(data, [data])


def test_a_project_of_a_newer_version_is_refused(project: Project) -> None:
    project.close()
    path = project.folder / "project.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(BadInput, match="newer anymask"):
        Project.open(project.folder)


def test_the_project_in_a_folder_of_photos_is_found(tmp_path: Path, data: Path) -> None:
    """As the studio makes it; every verb of the command line opens it by the folder of photos."""
    Project.init(data / PROJECT_FOLDER, [data])[0].close()
    with Project.open(data) as project:
        assert project.folder == data / PROJECT_FOLDER
    again, added = Project.init(data, [data])
    again.close()
    assert (again.folder, added.new, added.known) == (data / PROJECT_FOLDER, 0, 5)
    for verb in (["status"], ["verify"], ["log"], ["models"], ["export"]):
        ran = CliRunner().invoke(app, ["project", verb[0], str(data), *verb[1:]])
        assert ran.exit_code == 0, ran.output
    assert (data / PROJECT_FOLDER / "export-coco" / "annotations.json").is_file()


def test_a_folder_that_is_a_project_itself_is_used_as_it_is(project: Project, tmp_path: Path) -> None:
    shutil.copytree(project.folder, project.folder / PROJECT_FOLDER)
    assert project_in(project.folder) == project.folder


def test_edits_keep_where_they_came_from(project: Project, data: Path) -> None:
    import_annotations(project, data, formats.Notes(), author="ada")
    row = images.list_images(project.database)[0]
    assert {(one.author, one.stage) for one in masks_of(project.database, row.id)} == {("ada", "imported")}
