"""What a round brought, to look at: the same click answered by the model before and after."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("fastapi")

from engine_scenes import write_data_set
from studio_client import API, open_studio

from anymask import load
from anymask.core.mask import Mask
from anymask.data import formats
from anymask.engine.exchange import import_annotations
from anymask.engine.project import Project
from anymask.engine.round_answers import answers_of
from anymask.engine.round_evaluation import QUICK
from anymask.engine.round_pictures import PICTURES, folder_of, read_pictures, write_pictures
from anymask.engine.rounds import fixed_records
from anymask.errors import BadInput


@pytest.fixture
def project(tmp_path: Path):
    data = write_data_set(tmp_path / "data", range(4))
    opened, _ = Project.init(tmp_path / "project", [data], fixed_share=0.5)
    with opened:
        import_annotations(opened, data, formats.Notes())
        yield opened


def test_a_click_on_held_out_photos_is_answered_and_measured(project: Project) -> None:
    answers = answers_of(load(project.model), fixed_records(project), QUICK)
    assert len(answers) == 2
    for one in answers:
        truth, mask = (Mask.from_rle(one[name]) for name in ("truth", "mask"))
        x, y = (int(value) for value in one["point"])
        assert truth.to_array()[y, x], "the click lies in what is meant"
        assert one["iou"] == pytest.approx(truth.iou(mask), abs=1e-3)
        assert one["image"] in {row.id for row in _images(project)}


def _images(project: Project):
    from anymask.store import images

    return list(images.each(project.database))


def test_pictures_of_both_models_are_kept_with_the_round_and_told(project: Project) -> None:
    folder = folder_of(project, 1)
    folder.mkdir(parents=True)
    rle = {"size": [2, 2], "counts": "04"}
    before = [{"image": 1, "point": [1.0, 0.0], "truth": rle, "mask": rle, "iou": 0.5}]
    after = [{**before[0], "iou": 0.75}, {**before[0], "image": 2}]
    write_pictures(folder, before, after)
    with open_studio(project) as (_, client):
        (one,) = client.get(f"{API}/rounds/1/pictures").json()["pictures"]
        assert (one["before"]["iou"], one["after"]["iou"]) == (0.5, 0.75)
        assert client.get(f"{API}/rounds/2/pictures").json() == {"pictures": []}


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    assert read_pictures(tmp_path) == []
    (tmp_path / PICTURES).write_text("{")
    with pytest.raises(BadInput, match="damaged"):
        read_pictures(tmp_path)
