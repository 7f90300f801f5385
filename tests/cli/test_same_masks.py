"""One door: the command line, Python and a folder of photos give the same masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from shell import Run

import anymask
from anymask import Mask

PHOTOS = ("coffee", "rocket")
PROMPTS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "point": (["--point", "300,200"], {"points": [(300, 200)]}),
    "box": (["--box", "160,90,470,330"], {"box": (160, 90, 470, 330)}),
    "two clicks": (
        ["--point", "300,200", "--point", "5,5,-"],
        {"points": [(300, 200), (5, 5)], "labels": [1, 0]},
    ),
}


@pytest.fixture(scope="module")
def model() -> anymask.Model:
    return anymask.load(backend="onnx")


def records(lines: str) -> list[list[Mask]]:
    rows = [json.loads(line)["annotations"] for line in lines.splitlines()]
    return [[Mask.from_rle(annotation["segmentation"]) for annotation in row] for row in rows]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_segment_gives_the_masks_of_python(
    run: Run, examples: Path, model: anymask.Model, prompt: str
) -> None:
    options, arguments = PROMPTS[prompt]
    photos = [examples / f"{name}.jpg" for name in PHOTOS]
    result = run("segment", *photos, *options, "--candidates", "--json", "--backend", "onnx")
    expected = [[c.mask for c in model.encode(photo).segment(**arguments)] for photo in photos]
    assert records(result.stdout) == expected
    plain = run("segment", *photos, *options, "--no-refine", "--json", "--backend", "onnx")
    one_pass = [[model.encode(photo, refine=False).segment(**arguments).best.mask] for photo in photos]
    assert records(plain.stdout) == one_pass


def test_everything_of_a_folder_gives_the_masks_of_each_photo(
    run: Run, examples: Path, model: anymask.Model
) -> None:
    photos = [examples / f"{name}.jpg" for name in PHOTOS]
    result = run("everything", *photos, "--backend", "onnx", "--processes", "1", "--out", "out")
    assert result.exit_code == 0
    for photo in photos:
        record = json.loads((Path("out") / f"{photo.stem}.json").read_text())
        found = [Mask.from_rle(annotation["segmentation"]) for annotation in record["annotations"]]
        assert found == [automatic.mask for automatic in model.everything(photo)]
        assert found == [automatic.mask for automatic in model.encode(photo).everything()]
        assert len(found) >= 3
