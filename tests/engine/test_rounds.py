"""Rounds: what they train on, when a model is promoted, what a killed round does."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from engine_scenes import FakeRecipe, disks, write_data_set

from anymask.data import formats
from anymask.data.record import PARTIAL, Blob, Record, annotation_of
from anymask.engine.exchange import import_annotations
from anymask.engine.project import Project
from anymask.engine.rounds import fixed_records, read_snapshot, run_round, take_snapshot
from anymask.errors import BadInput
from anymask.store import registry
from anymask.store.annotations import masks_of, save
from anymask.store.images import list_images
from anymask.store.values import Action, StoredMask


@pytest.fixture
def project(tmp_path: Path):
    data = write_data_set(tmp_path / "data", range(6))
    opened, _ = Project.init(tmp_path / "project", [data])
    with opened:
        import_annotations(opened, data, formats.Notes())
        yield opened


def test_the_fixed_part_is_never_trained_on(project: Project) -> None:
    fake = FakeRecipe(0.7)
    outcome = run_round(project, fake.recipe)
    assert not set(fake.seen[0]) & set(fixed_records(project).keys)
    assert len(fake.seen[0]) + len(fixed_records(project)) == 6
    assert (outcome.photos, outcome.masks) == (5, 15)


def test_a_better_model_is_promoted_and_a_worse_one_kept(project: Project) -> None:
    fake = FakeRecipe(0.7, 0.6)
    assert run_round(project, fake.recipe).promoted
    assert Path(project.model).read_text() == "0.7"
    assert not run_round(project, fake.recipe).promoted
    assert Path(project.model).read_text() == "0.7"
    assert [row.state for row in registry.list_rounds(project.database)] == ["promoted", "kept"]


def test_an_older_model_can_be_promoted_again(project: Project) -> None:
    fake = FakeRecipe(0.7, 0.8)
    run_round(project, fake.recipe)
    run_round(project, fake.recipe)
    older = registry.list_models(project.database)[0]
    registry.promote(project.database, older.id, "ada", "the new one misses small things")
    assert Path(project.model).read_text() == "0.7"


def test_a_round_that_was_stopped_goes_on_with_its_snapshot(project: Project) -> None:
    fake = FakeRecipe()
    with pytest.raises(KeyboardInterrupt):
        run_round(project, fake.recipe)
    fake.scores = [0.9]
    assert run_round(project, fake.recipe).number == 1
    assert fake.seen[0] == fake.seen[1]


def test_a_snapshot_is_named_after_its_content(project: Project) -> None:
    first = take_snapshot(project)
    content = first.read_bytes()
    assert take_snapshot(project) == first and first.read_bytes() == content
    assert len(read_snapshot(project, first)) == 5


def test_a_round_without_masks_is_refused(tmp_path: Path) -> None:
    data = write_data_set(tmp_path / "data", range(3))
    opened, _ = Project.init(tmp_path / "empty", [data])
    with opened, pytest.raises(BadInput, match="fixed part"):
        run_round(opened, FakeRecipe(0.7).recipe)


def test_photos_of_stage_1_are_marked_as_annotated_in_part(tmp_path: Path) -> None:
    data = write_data_set(tmp_path / "data", range(6))
    opened, _ = Project.init(tmp_path / "project", [data])
    with opened as project:
        import_annotations(project, data, formats.Notes())
        row = next(one for one in list_images(project.database) if not one.fixed)
        first = masks_of(project.database, row.id)[0]
        again = StoredMask("by-hand", first.mask, author="ada", stage="manual", parent=first.uid)
        save(project.database, Action(row.id, row.revision, "key", "ada", (again,), (first.uid,)))
        records = read_snapshot(project, take_snapshot(project))
    partial = [one.key for one in records if one.fields.get(PARTIAL)]
    assert partial == [Path(row.name).stem]


def test_beside_what_is_annotated_in_part_a_mask_says_nothing() -> None:
    pytest.importorskip("torch")
    from anymask.engine.round_calibration import beside

    _, masks = disks(4)
    image = {"height": masks[0].size_hw[0], "width": masks[0].size_hw[1], "file_name": "a.png"}
    fields = {"image": image, "annotations": [annotation_of(1, masks[0])]}
    whole = Record("a", fields, Blob(Path("a.png")))
    part = Record("a", {**fields, PARTIAL: True}, Blob(Path("a.png")))
    assert beside(masks, part).tolist() == [False, True, True]
    assert not beside(masks, whole).any()
