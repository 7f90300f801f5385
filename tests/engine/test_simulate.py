"""The simulated engine, end to end with a trainer that does nothing; prefilled masks; the time model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("cv2")

from engine_scenes import disks, write_data_set

from anymask.api import load
from anymask.core.mask import Mask
from anymask.data.sources import RecordSource
from anymask.engine.crew import Annotator, Habits, draw
from anymask.engine.prefill import new_masks, prefill
from anymask.engine.project import Project
from anymask.engine.promotion import Decision
from anymask.engine.rounds import Recipe, Trained
from anymask.engine.simulate import Plan, rounds_of, simulate
from anymask.engine.stages import fit_threshold
from anymask.engine.time_model import DRAW_S, MIN_BRUSH_S, Stopwatch, brush_seconds
from anymask.errors import BadOption
from anymask.store import images, jobs, tasks
from anymask.store.annotations import masks_of, verify


def _train(records: RecordSource, base: str, out: Path, *, seed: int) -> Trained:
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.onnx").write_text(str(seed))
    return Trained(out / "model.onnx")


NOTHING = Recipe(
    _train, lambda model, records: {"iou_click_1": 0.5}, lambda b, a, f: Decision(False, "no better")
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("engine")
    data, fixed = write_data_set(folder / "data", range(6)), write_data_set(folder / "fixed", range(50, 52))
    plan = Plan(rounds=(1, 1), photos=(2, 2), people=2, remember=(fixed,))
    report = simulate(data, fixed, folder / "out", NOTHING, plan)
    with Project.open(folder / "out" / "project", read_only=True) as project:
        yield report, project, folder


def test_every_stage_is_reported(run) -> None:
    report, _, folder = run
    assert [(row["stage"], row["photos"]) for row in report["rounds"]] == [("manual", 2), ("semi", 2)]
    assert report["automatic"]["photos"] == 2
    assert report["before"] == report["after"]  # nothing was learned
    assert report["before"]["iou_click_1"] == 0.5
    assert report["before"]["trial"]["masks"] >= 2 and report["before"]["trial"]["seconds_per_mask"] > 2.4
    assert report["forgetting"] == {"fixed": {"before": 0.5, "after": 0.5, "lost": 0.0}}
    assert json.loads((folder / "out" / "report.json").read_text()) == report


def test_the_crew_draws_what_is_there(run) -> None:
    report, _, _ = run
    first = report["rounds"][0]
    assert first["quality"] > 0.8 and first["drawn"] >= 4
    assert 1 <= first["clicks_per_mask"] <= 6 and first["seconds_per_mask"] > 2.4


def test_what_the_crew_saved_can_be_replayed(run) -> None:
    _, project, _ = run
    assert verify(project.database) == []
    assert tasks.counts(project.database)["annotate"] == {"done": 4}
    drawn = [
        one
        for row in images.list_images(project.database, state="annotated")
        for one in masks_of(project.database, row.id)
    ]
    people = [one for one in drawn if one.stage in ("manual", "semi")]
    assert all(one.seconds and one.more["points"] and one.model for one in people)


def test_prefilling_again_does_nothing(tmp_path: Path) -> None:
    data = write_data_set(tmp_path / "data", range(3))
    opened, _ = Project.init(tmp_path / "project", [data], fixed_share=0)
    with opened as project:
        first = prefill(project, min_probability=0.3)
        assert first.photos == 3 and not first.failures
        assert images.counts(project.database)["prefilled"] == 3
        assert prefill(project, min_probability=0.3).photos == 0
        assert jobs.counts(project.database) == {"done": 3}


def test_a_photo_that_is_gone_fails_alone(tmp_path: Path) -> None:
    data = write_data_set(tmp_path / "data", range(3))
    opened, _ = Project.init(tmp_path / "project", [data], fixed_share=0)
    (data / "disks-1.png").unlink()
    with opened as project:
        done = prefill(project, min_probability=0.3)
        assert done.photos == 2 and "disks-1.png is not there any more" in done.failures[0][1]


def test_masks_that_a_person_drew_are_not_offered_again() -> None:
    _, masks = disks(1)
    found = [type("Found", (), {"mask": one})() for one in masks]
    assert [one.mask for one in new_masks(found, masks[:2])] == masks[2:]


def test_one_person_clicks_until_it_looks_right() -> None:
    photo, masks = disks(3)
    person = Annotator("ada", np.random.default_rng(0), Habits())
    mask, told, drawn = draw(load().encode(photo), masks[1], person)
    assert masks[1].iou(mask) > 0.8 and drawn.clicks == len(told["points"]) >= 1
    assert drawn.seconds == pytest.approx(person.watch.seconds)


def test_a_threshold_reaches_the_precision_or_says_so(tmp_path: Path) -> None:
    from anymask.data.sources import open_records

    audited = open_records(write_data_set(tmp_path / "data", range(4)))
    threshold, told = fit_threshold(load(), audited)
    assert 0 < threshold <= 1 and "masks" in told


def test_brushing_costs_what_is_wrong() -> None:
    assert brush_seconds(0.0) == DRAW_S and brush_seconds(0.99) == MIN_BRUSH_S
    watch = Stopwatch()
    assert watch.spend(10) == 10 and watch.seconds == 10
    watch.seconds = 3600
    assert watch.spend(10) > 10


def test_rounds_are_two_numbers() -> None:
    assert rounds_of("6,5") == (6, 5)
    for text in ("6", "a,b", "0,0", "-1,3"):
        with pytest.raises(BadOption, match="rounds"):
            rounds_of(text)


def test_a_mask_by_hand_stays_near_the_object() -> None:
    from anymask.engine.crew import _by_hand

    _, masks = disks(2)
    drawn = Mask.from_array(_by_hand(masks[0].to_array(), np.random.default_rng(1)))
    assert masks[0].iou(drawn) > 0.8
