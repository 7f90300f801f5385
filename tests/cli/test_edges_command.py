"""`anymask edges`: a grey picture for every photo."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image
from shell import Run, complaints

import anymask


def test_edges_of_every_photo_are_a_grey_picture_of_its_size(run: Run, photo: Path) -> None:
    result = run("edges", photo, photo, "--backend", "onnx", "--no-refine", "--out", "out")
    assert (result.exit_code, complaints(result)) == (0, [])
    assert sorted(os.listdir("out")) == ["photo-2.edges.png", "photo.edges.png"]
    assert f"{photo}  120 x 80" in result.stdout
    with Image.open("out/photo.edges.png") as drawn:
        assert (drawn.size, drawn.mode) == ((120, 80), "L")
        found = anymask.load(backend="onnx").encode(photo, refine=False).detect_edges()
        assert np.abs(np.asarray(drawn) / 255 - found).max() < 0.003


def test_a_photo_that_cannot_be_read_is_told_and_the_others_are_drawn(run: Run, photo: Path) -> None:
    Path("broken.png").write_bytes(b"nothing")
    result = run("edges", "broken.png", photo, "--backend", "onnx", "--out", "out")
    assert result.exit_code == 1 and "broken.png" in complaints(result)[0]
    assert os.listdir("out") == ["photo.edges.png"]


def test_a_model_that_finds_no_edges_says_so_once(run: Run, photo: Path) -> None:
    result = run("edges", photo, photo, "--out", "out")  # the backend without weights
    assert result.exit_code == 2
    assert len(complaints(result)) == 1 and "does not detect edges" in complaints(result)[0]
    assert not Path("out").exists()
