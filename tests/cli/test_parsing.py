"""What people type becomes prompts, or a message that says what was expected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from anymask.cli.parsing import make_prompts, parse_box, parse_point, read_mask
from anymask.errors import BadImage, BadPrompt

coordinates = st.floats(-1e6, 1e6)


@given(coordinates, coordinates, st.sampled_from(["", ",+", ",-", " , -"]))
def test_a_point_survives_being_written_and_parsed(x: float, y: float, sign: str) -> None:
    point = parse_point(f"{x!r},{y!r}{sign}")
    assert (point.x, point.y, point.label) == (x, y, 0 if "-" in sign else 1)


@pytest.mark.parametrize(
    "text", ["", "1", "1,2,3,4", "1;2", "a,b", "1,2,*", "1,2,1", "1,2,", "nan,1", "1,inf", "1,-inf"]
)
def test_a_point_that_makes_no_sense_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(BadPrompt, match="--point") as caught:
        parse_point(text)
    assert repr(text) in str(caught.value)


def test_a_box_is_four_edges() -> None:
    assert parse_box("1, 2,3.5,4e1") == (1, 2, 3.5, 40)


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,3,4,5", "1,2,x,4", "5,2,3,4", "1,4,3,2", "1,2,1,4", "1,nan,3,4"]
)
def test_a_box_that_makes_no_sense_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(BadPrompt, match="--box") as caught:
        parse_box(text)
    assert repr(text) in str(caught.value)


def test_points_are_one_prompt() -> None:
    (prompt,) = make_prompts(["1,2", "3,4,-"], [], None)
    assert prompt.points_xy.tolist() == [[1, 2], [3, 4]]
    assert prompt.labels.tolist() == [1, 0]
    assert prompt.box_xyxy is None


def test_points_join_the_only_box() -> None:
    (prompt,) = make_prompts(["1,2"], ["0,0,5,6"], None)
    assert prompt.box_xyxy is not None
    assert prompt.box_xyxy.tolist() == [0, 0, 5, 6]
    assert len(prompt.points_xy) == 1


def test_several_boxes_are_several_prompts() -> None:
    prompts = make_prompts([], ["0,0,5,6", "1,1,2,2"], None)
    assert [p.box_xyxy.tolist() for p in prompts if p.box_xyxy is not None] == [[0, 0, 5, 6], [1, 1, 2, 2]]


def test_points_with_several_boxes_are_refused() -> None:
    with pytest.raises(BadPrompt, match="one box at most, got 2"):
        make_prompts(["1,2"], ["0,0,5,6", "1,1,2,2"], None)


def test_nothing_to_go_by_is_refused_and_says_what_to_give() -> None:
    with pytest.raises(BadPrompt, match=r"--point .* --box .* --mask"):
        make_prompts([], [], None)


@pytest.mark.parametrize("inside", [1, 200, 255])
def test_a_mask_file_is_read_whatever_its_brightest_value(tmp_path: Path, inside: int) -> None:
    mask = np.zeros((6, 8), bool)
    mask[1:4, 2:7] = True
    Image.fromarray(mask.astype(np.uint8) * np.uint8(inside)).save(tmp_path / "mask.png")
    assert (read_mask(tmp_path / "mask.png") == mask).all()


def test_a_mask_of_one_bit_per_pixel_is_read(tmp_path: Path) -> None:
    mask = np.eye(7, dtype=bool)
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert (read_mask(tmp_path / "mask.png") == mask).all()


def test_a_black_mask_is_refused(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "mask.png")
    with pytest.raises(BadPrompt, match="all black"):
        read_mask(tmp_path / "mask.png")


def test_a_missing_mask_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="no such file"):
        read_mask(tmp_path / "mask.png")


@pytest.mark.parametrize(
    "kind", ["white on clear", "black on clear", "photo on clear", "opaque", "half clear"]
)
def test_clear_pixels_of_a_mask_are_outside(kind: str, tmp_path: Path) -> None:
    inside = np.zeros((40, 60), np.bool_)
    inside[10:30, 20:50] = True
    ramp = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8) * 2
    grey = {"white on clear": 255, "black on clear": 0, "photo on clear": ramp}.get(
        kind, inside * np.uint8(255)
    )
    opaque = {"opaque": True, "half clear": np.arange(60) >= 15}.get(kind, inside)
    rgba = np.dstack(
        [np.broadcast_to(grey, inside.shape)] * 3 + [np.broadcast_to(opaque, inside.shape) * 255]
    )
    Image.fromarray(rgba.astype(np.uint8)).save(tmp_path / "mask.png")
    assert np.array_equal(read_mask(tmp_path / "mask.png"), inside)
