"""What `anymask everything` wrote, converted: its photos are found, its own files are no records."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from format_samples import png, record

from anymask.batch import run_folder
from anymask.batch.summary import Summary
from anymask.data import formats
from anymask.data.formats import sa1b
from anymask.data.photos import Photo
from anymask.data.record import Blob

MASK = np.eye(6, 9, dtype=bool)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run over `photos/`, whose photos are a.png and sub/b.png."""
    out = tmp_path / "masks"
    for key in ("a", "sub/b"):
        one = record(tmp_path / "photos", key, [MASK], (6, 9))
        one.fields["image"]["file_name"] = one.blob.path.name
        path = run_folder.record_path(out, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(one.fields))
        (tmp_path / "photos" / f"{key}.png").write_bytes(png((6, 9)))
        photo = Photo(key, f"{key}.png", Blob(tmp_path / "photos" / f"{key}.png"))
        run_folder.Journal(out).note(photo, run_folder.file_of(photo))
    described = {"model": "lite", "fingerprint": "1", "settings": {}, "preset": "default"}
    (out / "run.json").write_text(json.dumps(described))
    names = [field.name for field in dataclasses.fields(Summary)]
    (out / "summary.json").write_text(json.dumps(dict.fromkeys(names, 0)))
    (out / "summary.html").write_text("<html></html>")
    return out


@pytest.mark.parametrize("to", ["coco", "yolo", "voc", "labelme"])
def test_the_photos_of_a_run_are_found_and_what_is_written_is_read_back(
    run: Path, to: str, tmp_path: Path
) -> None:
    assert formats.detect(run).name == "sa1b"
    notes = formats.Notes()
    contents = formats.read(run, notes)
    assert contents.total == 2
    formats.write(contents, tmp_path / "dst", notes, format_name=to)
    assert not notes.failures and set(notes.changes) <= {"scores not kept"}
    back = list(formats.read(tmp_path / "dst", notes).records)
    assert not notes.failures and [len(one.annotations) for one in back] == [1, 1]
    photos = {one.blob.path.resolve() for one in back}
    assert photos == {tmp_path / "photos" / "a.png", tmp_path / "photos" / "sub" / "b.png"}


def test_a_photo_in_the_folder_that_is_given_comes_first(run: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.png").write_bytes(png((6, 9)))
    first, second = formats.read(run, formats.Notes(), photo_folder=tmp_path / "other").records
    assert (first.blob.path.parent, second.blob.path.parent) == (
        tmp_path / "other",
        tmp_path / "photos" / "sub",
    )


def test_the_names_are_those_of_a_run() -> None:
    assert sa1b.JOURNAL == run_folder.JOURNAL and run_folder.MANIFEST in sa1b.OF_A_RUN
    assert sa1b.OF_A_RUN["summary.json"] <= {field.name for field in dataclasses.fields(Summary)}
