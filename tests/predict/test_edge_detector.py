"""Edges: in the frame of the photo, where its things end, and the same however a photo comes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anymask.api import Model
from anymask.errors import BadOption
from anymask.images.reader import read_image


@pytest.fixture(scope="module")
def disk() -> np.ndarray:
    """A bright disk on dark ground, 300 x 420, wider than a frame is tall."""
    ys, xs = np.mgrid[:300, :420] + 0.5
    inside = (ys - 140) ** 2 + (xs - 230) ** 2 < 90**2
    return np.where(inside[..., None], (230, 180, 60), (40, 50, 60)).astype(np.uint8)


def test_edges_are_where_a_thing_ends_and_nowhere_else(model: Model, disk: np.ndarray) -> None:
    strength = model.encode(disk).detect_edges()
    assert (strength.shape, strength.dtype) == ((300, 420), np.float32)
    assert strength.min() >= 0 and strength.max() <= 1
    ys, xs = np.mgrid[:300, :420] + 0.5
    away = np.abs(np.hypot(ys - 140, xs - 230) - 90)
    assert strength[away < 1].mean() > 0.4
    assert strength[away > 8].mean() < 0.05


def test_the_edge_is_not_beside_itself(model: Model, disk: np.ndarray) -> None:
    """Its ridge lies on the outline to within a pixel, on the left as on the right."""
    row = model.encode(disk).detect_edges()[140]
    left, right = row[:230], row[230:]
    assert abs(int(left.argmax()) + 0.5 - 140) <= 2
    assert abs(int(right.argmax()) + 230.5 - 320) <= 2


def test_refined_edges_are_the_mirrored_ones_of_a_mirrored_photo(model: Model, examples: Path) -> None:
    photo = read_image(examples / "coffee.jpg")
    mirrored = np.ascontiguousarray(photo[:, ::-1])
    twice = [model.encode(pixels, refine=True).detect_edges() for pixels in (photo, mirrored)]
    once = [model.encode(pixels, refine=False).detect_edges() for pixels in (photo, mirrored)]
    assert twice[0] == pytest.approx(twice[1][:, ::-1], abs=1e-5)
    assert np.abs(once[0] - once[1][:, ::-1]).max() > 0.05


@pytest.mark.parametrize("size_wh", [(640, 300), (233, 510), (40, 31), (7, 900)])
def test_photos_of_any_shape_have_edges_of_their_size(model: Model, size_wh: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (size_wh[1], size_wh[0], 3)).astype(np.uint8)
    strength = model.encode(pixels).detect_edges()
    assert strength.shape == size_wh[::-1]
    assert np.isfinite(strength).all()


def test_edges_grow_with_the_photo(model: Model, examples: Path) -> None:
    photo = Image.fromarray(read_image(examples / "coffee.jpg"))
    small = model.encode(photo).detect_edges()
    large = model.encode(photo.resize((photo.width * 2, photo.height * 2))).detect_edges()
    halved = np.asarray(Image.fromarray(large).resize((photo.width, photo.height), Image.Resampling.BOX))
    assert np.corrcoef(small.ravel(), halved.ravel())[0, 1] > 0.95


def test_a_saved_embedding_has_the_same_edges(model: Model, disk: np.ndarray, tmp_path: Path) -> None:
    image = model.encode(disk, refine=False)
    again = model.load_embedding(image.save(tmp_path / "disk.safetensors"))
    assert image.detect_edges() == pytest.approx(again.detect_edges(), abs=0.05)  # half precision


def test_a_model_without_a_head_says_so(model: Model, disk: np.ndarray) -> None:
    with pytest.raises(BadOption, match="does not detect edges"):
        replace(model, edge_path=None).encode(disk).detect_edges()
