"""Masks: run lengths, arrays and polygons are one thing; pycocotools is the oracle."""

from __future__ import annotations

import json
import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import label

from anymask.core.mask import Mask, iou_matrix
from anymask.errors import BadInput

coco = pytest.importorskip("pycocotools.mask")

ARRAYS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=14))
SIZES = st.tuples(st.integers(1, 24), st.integers(1, 24))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(array_shapes(min_dims=2, max_dims=2, max_side=14))
    return draw(arrays(np.bool_, shape)), draw(arrays(np.bool_, shape))


def oracle(inside: np.ndarray) -> dict[str, Any]:
    rle: dict[str, Any] = coco.encode(np.asfortranarray(inside.astype(np.uint8)))
    return rle


def plain_runs(inside: np.ndarray) -> list[int]:
    flat = np.concatenate([[False], inside.T.reshape(-1)])
    ends = [*np.flatnonzero(np.diff(flat)).tolist(), inside.size]
    return [ends[0], *(b - a for a, b in pairwise(ends))]


@given(ARRAYS)
def test_an_array_comes_back(inside: np.ndarray) -> None:
    mask = Mask.from_array(inside)
    back = mask.to_array()
    assert back.dtype == np.bool_ and back.flags.c_contiguous and np.array_equal(back, inside)
    assert np.array_equal(np.asarray(mask), inside) and np.asarray(mask, np.float32).dtype == np.float32
    assert mask.size_hw == inside.shape and mask.is_empty == (not inside.any())


@given(ARRAYS)
def test_the_array_of_the_box_is_that_part_of_the_whole(inside: np.ndarray) -> None:
    mask = Mask.from_array(inside)
    x0, y0, x1, y1 = mask.box_xyxy
    part = mask.array_of_box()
    assert part.dtype == np.bool_ and part.flags.c_contiguous
    assert np.array_equal(part, inside[y0:y1, x0:x1])


@given(ARRAYS)
def test_run_lengths_area_and_box_are_those_of_the_coco_tools(inside: np.ndarray) -> None:
    expected, mask = oracle(inside), Mask.from_array(inside)
    assert mask.rle == {"size": list(inside.shape), "counts": expected["counts"].decode()}
    assert mask.area == coco.area(expected)
    assert list(mask.bbox_xywh) == coco.toBbox(expected).tolist()
    x, y, width, height = mask.bbox_xywh
    assert mask.box_xyxy == (x, y, x + width, y + height)


@given(ARRAYS)
def test_every_form_of_run_lengths_is_read(inside: np.ndarray) -> None:
    mask, size, runs = Mask.from_array(inside), list(inside.shape), plain_runs(inside)
    text = mask.rle["counts"]
    for counts in (text, text.encode(), runs, np.array(runs), tuple(runs), [0, 0, *runs], [*runs, 0]):
        assert Mask.from_rle({"size": size, "counts": counts}) == mask
    assert Mask.from_rle(json.loads(json.dumps(mask.rle))) == mask


@given(st.lists(st.integers(0, 70_000), min_size=1, max_size=8))
def test_long_runs_are_read_as_the_coco_tools_do(runs: list[int]) -> None:
    size = [1, sum(runs)]
    if size[1]:
        compressed = coco.frPyObjects({"size": size, "counts": runs}, *size)
        mask = Mask.from_rle(compressed)
        assert mask == Mask.from_rle({"size": size, "counts": runs})
        assert mask.to_array()[0].tolist() == np.repeat(np.arange(len(runs)) % 2 == 1, runs).tolist()


@given(pairs())
def test_algebra_is_that_of_arrays(pair: tuple[np.ndarray, np.ndarray]) -> None:
    (a, b), (mask_a, mask_b) = pair, [Mask.from_array(x) for x in pair]
    assert np.array_equal((mask_a & mask_b).to_array(), a & b)
    assert np.array_equal((mask_a | mask_b).to_array(), a | b)
    assert np.array_equal((mask_a ^ mask_b).to_array(), a ^ b)
    assert np.array_equal((mask_a - mask_b).to_array(), a & ~b)
    assert np.array_equal((~mask_a).to_array(), ~a)


@given(pairs())
def test_iou_is_that_of_the_coco_tools(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = (Mask.from_array(x) for x in pair)
    if a.is_empty and b.is_empty:
        assert a.iou(b) == 1
    else:
        assert a.iou(b) == pytest.approx(coco.iou([oracle(pair[0])], [oracle(pair[1])], [0])[0, 0])


@given(pairs())
def test_equal_masks_are_equal_and_hash_alike(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = (Mask.from_array(x) for x in pair)
    same = Mask.from_rle(a.rle)
    assert a == same and hash(a) == hash(same) and pickle.loads(pickle.dumps(a)) == a
    assert (a == b) == np.array_equal(*pair)
    assert a != pair[0].tolist() and a != Mask.from_array(np.zeros((15, 1)))


@given(pairs())
def test_a_mask_never_changes(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = (Mask.from_array(x) for x in pair)
    before = a.rle
    for other in (a & b, a | b, a ^ b, a - b, ~a):
        other.to_array()[...] = True
    a.to_array()[...] = False
    pair[0][...] = ~pair[0]
    assert a.rle == before


@given(ARRAYS)
def test_polygons_give_the_mask_again(inside: np.ndarray) -> None:
    mask = Mask.from_array(inside)
    assert Mask.from_polygons(mask.polygons(), mask.size_hw) == mask


@given(ARRAYS)
def test_rings_are_simple_and_their_areas_add_up(inside: np.ndarray) -> None:
    total = 0
    for outline, *holes in Mask.from_array(inside).polygons():
        total += enclosed(outline) - sum(enclosed(hole) for hole in holes)
        for ring in (outline, *holes):
            steps = np.diff(ring, axis=0, append=ring[:1])
            assert (steps[::2] != 0).tolist() == (steps[:1] != 0).tolist() * (len(ring) // 2)
            assert (steps[1::2] == 0).tolist() == (steps[:1] != 0).tolist() * (len(ring) // 2)
            assert len(np.unique(ring, axis=0)) == len(ring)
    assert total == inside.sum()


def enclosed(ring: np.ndarray) -> int:
    x, y = ring[:, 0], ring[:, 1]
    return abs(int((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())) // 2


def test_a_ring_with_an_island_has_a_hole_and_a_second_piece() -> None:
    inside = np.ones((7, 9), bool)
    inside[1:-1, 1:-1] = False
    inside[3, 4] = True
    ring, island = sorted(Mask.from_array(inside).polygons(), key=len, reverse=True)
    assert ring[0].tolist() == [[0, 0], [9, 0], [9, 7], [0, 7]]
    assert ring[1].tolist() == [[1, 1], [8, 1], [8, 6], [1, 6]]
    assert [r.tolist() for r in island] == [[[4, 3], [5, 3], [5, 4], [4, 4]]]


@given(ARRAYS, st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_the_piece_at_a_pixel_is_that_of_a_labelling(inside: np.ndarray, right: float, down: float) -> None:
    y, x = int(down * inside.shape[0]), int(right * inside.shape[1])
    labels, _ = label(inside, np.ones((3, 3)))
    expected = (labels == labels[y, x]) & inside[y, x]
    np.testing.assert_array_equal(Mask.from_array(inside).component_at(x, y).to_array(), expected)


def test_pixels_that_touch_at_a_corner_are_two_pieces() -> None:
    for inside in (np.eye(2, dtype=bool), np.eye(2, dtype=bool)[::-1]):
        assert [len(p) for p in Mask.from_array(inside).polygons()] == [1, 1]
        assert len(Mask.from_array(~np.pad(inside, 1)).polygons()) == 1


COORDINATES = st.floats(-10, 20)
POINTS = st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=8)


@given(st.lists(POINTS, min_size=1, max_size=3), st.tuples(st.integers(10, 24), st.integers(10, 24)))
def test_polygons_are_rasterised_as_the_coco_tools_do(polygons: list[Any], size_hw: tuple[int, int]) -> None:
    flat = [[float(c) for point in polygon for c in point] for polygon in polygons]
    expected = coco.merge(coco.frPyObjects(flat, *size_hw))
    assert Mask.from_polygons(flat, size_hw).rle["counts"] == expected["counts"].decode()
    assert Mask.from_polygons([np.array(p) for p in polygons], size_hw) == Mask.from_polygons(flat, size_hw)


def test_no_polygons_are_an_empty_mask() -> None:
    assert Mask.from_polygons([], (3, 4)) == Mask.from_array(np.zeros((3, 4)))


BAD_RLE: list[Any] = [
    None,
    {},
    {"size": [2, 2]},
    {"counts": [4]},
    {"size": [2], "counts": [4]},
    {"size": [2, 0], "counts": [0]},
    {"size": [-2, -2], "counts": [4]},
    {"size": ["a", 2], "counts": [4]},
    {"size": [2**20, 2**20], "counts": [2**40]},
    {"size": [2, 2], "counts": [3]},
    {"size": [2, 2], "counts": [-1, 5]},
    {"size": [2, 2], "counts": [1.5, 2.5]},
    {"size": [2, 2], "counts": ["4"]},
    {"size": [2, 2], "counts": [[4]]},
    {"size": [2, 2], "counts": [2**70]},
    {"size": [2, 2], "counts": []},
    {"size": [2, 2], "counts": ""},
    {"size": [2, 2], "counts": "\u20ac"},
    {"size": [2, 2], "counts": " "},
    {"size": [2, 2], "counts": "P" * 30},
    {"size": [2, 2], "counts": "~~~~"},
    {"size": [2, 2], "counts": 4},
]


@pytest.mark.parametrize("rle", BAD_RLE, ids=str)
def test_run_lengths_that_cannot_be_are_one_clear_line(rle: Any) -> None:
    with pytest.raises(BadInput, match="expected") as caught:
        Mask.from_rle(rle)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=20), SIZES)
def test_any_text_is_a_mask_or_refused(counts: bytes, size_hw: tuple[int, int]) -> None:
    try:
        mask = Mask.from_rle({"size": list(size_hw), "counts": counts})
    except BadInput:
        return
    assert mask.to_array().sum() == mask.area


BAD_POLYGONS: list[Any] = [
    "text",
    5,
    [5],
    ["text"],
    [[]],
    [[1, 2, 3]],
    [[1, 2, 3, 4]],
    [[1, 2, 3, 4, 5, np.nan]],
    [[[1, 2, 3], [4, 5, 6], [7, 8, 9]]],
    [[[[1, 2], [3, 4], [5, 6]]], [[[1, 2]]]],
    [[0, 0, 1e9, 0, 1e9, 1e9]],
    [[0, 0, -1e300, 0, 5, 5]],
]


@pytest.mark.parametrize("polygons", BAD_POLYGONS, ids=str)
def test_what_is_no_polygon_is_refused(polygons: Any) -> None:
    with pytest.raises(BadInput, match="expected"):
        Mask.from_polygons(polygons, (5, 5))


@pytest.mark.parametrize("shape", [(), (3,), (2, 2, 2), (0, 4)])
def test_an_array_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match="H x W"):
        Mask.from_array(np.zeros(shape))


def test_masks_of_two_sizes_do_not_mix() -> None:
    with pytest.raises(BadInput, match=r"expected \(2, 3\).*got \(3, 2\)"):
        Mask.from_array(np.ones((2, 3))) & Mask.from_array(np.ones((3, 2)))


@given(array_shapes(min_dims=2, max_dims=2, max_side=9), st.data())
def test_ious_of_two_lists_are_those_of_the_coco_tools(shape: tuple[int, ...], data: st.DataObject) -> None:
    lists = [[data.draw(arrays(np.bool_, shape)) for _ in range(count)] for count in (3, 2)]
    expected = coco.iou(*([oracle(a) for a in arrays_] for arrays_ in lists), [0, 0])
    assert np.array_equal(iou_matrix(*([Mask.from_array(a) for a in arrays_] for arrays_ in lists)), expected)


def test_ious_of_an_empty_list_and_of_two_sizes() -> None:
    mask = Mask.from_array(np.ones((2, 3)))
    assert iou_matrix([], [mask]).shape == (0, 1) and iou_matrix([mask], []).shape == (1, 0)
    with pytest.raises(BadInput, match="two sizes"):
        iou_matrix([mask], [Mask.from_array(np.ones((3, 2)))])


def test_whatever_is_not_zero_is_inside() -> None:
    expected = Mask.from_array([[False, True], [True, False]])
    for array in (np.array([[0, 0.2], [-1, 0]]), np.array([[0, 255], [1, 0]], np.uint8), [[0, 1], [2, 0]]):
        assert Mask.from_array(array) == expected
    assert repr(expected) == "Mask(2 x 2, 2 pixels inside)"


def test_a_read_only_array_is_a_mask_too() -> None:
    inside = np.eye(4, dtype=bool)
    inside.flags.writeable = False
    assert Mask.from_array(inside).area == 4
