"""The grid: points, crops, and which of several masks stays; small parts of masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anymask.automatic.points import crop_layers, point_grid, touches_inner_edge
from anymask.core.boxes import box_nms, mask_nms, matrix_nms
from anymask.core.mask import Mask

SIZES = st.tuples(st.integers(1, 900), st.integers(1, 900))


def test_points_lie_in_the_middle_of_their_cells_and_x_changes_fastest() -> None:
    assert point_grid(2).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]


def test_crops_of_a_known_image() -> None:
    """Worked out by hand: overlap int(0.3 * 100 * 1) = 30, width ceil((30 + 200) / 2) = 115."""
    assert crop_layers((100, 200), 1, 0.3) == [
        (0, (0, 0, 200, 100)),
        (1, (0, 0, 115, 65)),
        (1, (0, 35, 115, 100)),
        (1, (85, 0, 200, 65)),
        (1, (85, 35, 200, 100)),
    ]


@given(SIZES, st.integers(0, 3), st.floats(0, 0.9))
def test_crops_of_each_layer_cover_the_image_and_stay_inside(
    size_hw: tuple[int, int], layers: int, ratio: float
) -> None:
    height, width = size_hw
    for wanted in range(layers + 1):
        covered = np.zeros(size_hw, np.bool_)
        for layer, (x0, y0, x1, y1) in crop_layers(size_hw, layers, ratio):
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height
            covered[y0:y1, x0:x1] |= layer == wanted
        assert covered.all()


@pytest.mark.parametrize(
    ("box", "touches"),
    [
        ((30, 30, 60, 60), False),
        ((15, 30, 60, 60), True),  # the crop begins inside the image
        ((30, 30, 85, 60), True),
        ((30, 5, 60, 60), False),  # the upper edge is that of the image, too
    ],
)
def test_boxes_at_an_edge_that_only_the_crop_has(box: tuple[int, ...], touches: bool) -> None:
    crop, size_hw = (100, 0, 200, 100), (300, 400)
    assert touches_inner_edge(np.array([box], np.float64), crop, size_hw).tolist() == [touches]


boxes = st.lists(
    st.tuples(*[st.integers(0, 30)] * 4).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])), max_size=12
)


@given(boxes, st.floats(0, 1), st.randoms(use_true_random=False))
def test_box_nms_keeps_the_best_and_only_what_is_far_enough(chosen: list, threshold: float, rng) -> None:  # type: ignore[no-untyped-def, type-arg]
    scores = np.array([rng.choice([0.1, 0.5, 0.9]) for _ in chosen])
    array = np.array(chosen, np.float64).reshape(-1, 4)
    assert box_nms(array, scores, threshold).tolist() == _slow_nms(array, scores, threshold)


def _slow_nms(array: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(array)), key=lambda i: (-scores[i], i)):
        if not any(_overlap(array[i], array[k]) > threshold for k in kept):
            kept.append(i)
    return kept


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return float(shared / union) if union else 0.0


@given(arrays(np.bool_, (7, 9, 11)), st.sampled_from([0.2, 0.5, 0.7]))
def test_duplicates_by_pixels_are_those_of_their_overlaps(masks: np.ndarray, threshold: float) -> None:
    scores = np.linspace(1, 0, len(masks))
    packed = np.stack([np.packbits(mask) for mask in masks])
    kept: list[int] = []
    for i, mask in enumerate(masks):
        ious = [(mask & masks[k]).sum() / max(1, (mask | masks[k]).sum()) for k in kept]
        if not any(iou > threshold for iou in ious):
            kept.append(i)
    assert mask_nms(packed, scores, threshold).tolist() == kept
    overlaps = np.array([[(a & b).sum() / max(1, (a | b).sum()) for b in masks] for a in masks])
    assert matrix_nms(overlaps, scores, threshold).tolist() == kept
    assert matrix_nms(overlaps[::-1, ::-1], scores[::-1], threshold).tolist() == [
        len(masks) - 1 - i for i in kept
    ]


def test_nothing_is_no_duplicate() -> None:
    assert box_nms(np.zeros((0, 4)), np.zeros(0), 0.7).tolist() == []
    assert mask_nms(np.zeros((0, 8), np.uint8), np.zeros(0), 0.7).tolist() == []
    assert matrix_nms(np.zeros((0, 0)), np.zeros(0), 0.7).tolist() == []


@given(arrays(np.bool_, st.tuples(st.integers(1, 24), st.integers(1, 24))), st.integers(1, 30))
def test_small_holes_then_small_islands_go_as_opencv_counts_them(inside: np.ndarray, least: int) -> None:
    expected = _cleaned_with_opencv(inside, least)
    cleaned = Mask.from_array(inside).without_small_regions(least).to_array()
    if 0 < expected.sum() < least:  # all small: any of the largest
        assert cleaned.sum() == expected.sum()
    else:
        assert (cleaned == expected).all()


def _cleaned_with_opencv(inside: np.ndarray, least: int) -> np.ndarray:
    cv2 = pytest.importorskip("cv2")
    _, labels, holes, _ = cv2.connectedComponentsWithStats((~inside).astype(np.uint8), connectivity=8)
    filled = inside | np.isin(labels, [i for i in range(1, len(holes)) if holes[i, -1] < least])
    _, labels, parts, _ = cv2.connectedComponentsWithStats(filled.astype(np.uint8), connectivity=8)
    large = [i for i in range(1, len(parts)) if parts[i, -1] >= least]
    if not large and len(parts) > 1:
        large = [1 + int(np.argmax(parts[1:, -1]))]
    result: np.ndarray = np.isin(labels, large) if large else np.zeros_like(inside)
    return result


def test_a_mask_without_small_parts_is_the_same_value() -> None:
    mask = Mask.from_array(np.ones((20, 20)))
    assert mask.without_small_regions(100) is mask


def test_a_mask_of_a_crop_takes_its_place_in_the_image() -> None:
    inside = np.random.default_rng(0).random((5, 7)) > 0.5
    placed = Mask.from_array(inside).placed((20, 30), (4, 9)).to_array()
    assert (placed[9:14, 4:11] == inside).all()
    assert placed.sum() == inside.sum()
