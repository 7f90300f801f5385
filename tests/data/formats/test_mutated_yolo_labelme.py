"""Thousands of damaged YOLO and LabelMe files: a record or one clear line, and the other photos are read."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from format_samples import png
from mutations import mutated

from anymask.core.mask import Mask
from anymask.data import formats
from anymask.errors import AnymaskError

SOUND = "0 0.1 0.1 0.6 0.1 0.6 0.6\n"
LABEL = (
    "0 0.1 0.1 0.6 0.1 0.6 0.6\n1 0.5 0.5 0.4 0.6\n"
    "2 0.05 0.1 0.5 0.1 0.5 0.4 0.05 0.4 0.75\n0 0.5 0.5 0.4 0.6 0.91 7\n"
)
YAML = "path: ../set\ntrain: images\nval: [images, other]\nkpt_shape: [2, 3]\nnames:\n  0: a\n  1: 'b: c'\n"
COUNTS = pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])


def converted(source: Path, format_name: str) -> tuple[dict[str, list[Mask | None]], formats.Notes]:
    """Masks by photo. What fails is one line, and no error that nobody thought of."""
    notes = formats.Notes()
    records = list(formats.read(source, notes, format_name=format_name).records)
    for _, why in notes.failures:
        assert "internal error" not in why and "\n" not in why and why
    return {one.key: [annotation.mask for annotation in one.annotations] for one in records}, notes


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    for name in ("images", "labels"):
        (tmp_path / "set" / name).mkdir(parents=True)
    for key in ("a", "b"):
        (tmp_path / "set" / "images" / f"{key}.png").write_bytes(png((8, 12)))
    (tmp_path / "set" / "labels" / "b.txt").write_text(SOUND)
    return tmp_path / "set"


@COUNTS
def test_a_damaged_label_file_costs_itself_alone(count: int, yolo: Path) -> None:
    refused = 0
    for seed in range(count):
        (yolo / "labels" / "a.txt").write_bytes(mutated(LABEL.encode(), seed))
        found, notes = converted(yolo, "yolo")
        assert len(found["b"]) == 1
        refused += bool(notes.failures)
    assert count // 10 < refused < count


@COUNTS
def test_a_damaged_yaml_costs_no_mask(count: int, yolo: Path) -> None:
    for seed in range(count):
        (yolo / "data.yaml").write_bytes(mutated(YAML.encode(), seed))
        found, _ = converted(yolo, "yolo")
        assert len(found["b"]) == 1
        try:
            found, _ = converted(yolo / "data.yaml", "yolo")
            assert len(found["b"]) == 1
        except AnymaskError as error:  # it was given by itself
            assert "\n" not in str(error)


@COUNTS
def test_a_damaged_labelme_file_costs_itself_alone(count: int, tmp_path: Path) -> None:
    shape = {"label": "c", "group_id": 1, "flags": {}}
    dot = base64.b64encode(png((2, 2))).decode()
    shapes = [
        shape | {"shape_type": "polygon", "points": [[1, 1], [7, 1.5], [6.5, 6]]},
        shape | {"shape_type": "rectangle", "points": [[0, 0], [3, 3]]},
        shape | {"shape_type": "circle", "points": [[4, 4], [5, 6]]},
        shape | {"shape_type": "mask", "points": [[2, 2], [3, 3]], "mask": dot},
        shape | {"shape_type": "linestrip", "points": [[2, 2], [3, 3]]},
    ]
    fields = {
        "version": "5", "flags": {}, "imagePath": "x.png", "imageData": dot, "imageHeight": 2, "imageWidth": 2
    }  # fmt: skip
    whole = json.dumps(fields | {"shapes": shapes}).encode()
    (tmp_path / "b.json").write_text(json.dumps(fields | {"shapes": shapes[:1]}))
    (tmp_path / "b.png").write_bytes(png((8, 12)))
    refused = 0
    for seed in range(count):
        (tmp_path / "a.json").write_bytes(mutated(whole, seed))
        found, notes = converted(tmp_path, "labelme")
        assert len(found["b"]) == 1
        refused += bool(notes.failures)
    assert count // 10 < refused < count
