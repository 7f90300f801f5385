"""Frames: coordinates there and back, sizes, and the upscaling of logits against PyTorch's."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from anymask.core.boxes import box_iou
from anymask.core.frames import ResizeLongest
from anymask.core.resample import normalise_and_pad
from anymask.core.spec import LEAST_PADDING, ModelSpec

SIDES = st.integers(1, 6000)
SPEC = ModelSpec("any", "lite", 512, 256, (0, 0, 0), (1, 1, 1), 0.0)
SHARES = st.floats(0, 1)
TRANSFORMS = st.builds(ResizeLongest, st.tuples(SIDES, SIDES), st.sampled_from([512, 1024]))
SMALL_SIDES = st.integers(1, 300)
SMALL = st.builds(ResizeLongest, st.tuples(SMALL_SIDES, SMALL_SIDES), st.sampled_from([64, 512]))


@given(TRANSFORMS)
def test_the_longest_side_fills_the_square_and_none_is_empty(transform: ResizeLongest) -> None:
    assert max(transform.size_hw_model) == transform.input_size
    assert min(transform.size_hw_model) >= 1


@pytest.mark.parametrize(
    ("size_hw", "expected"),
    [((480, 640), (768, 1024)), ((3, 2048), (2, 1024)), ((1, 10**5), (1, 1024)), ((1025, 2050), (512, 1024))],
)
def test_sides_are_rounded_half_up(size_hw: tuple[int, int], expected: tuple[int, int]) -> None:
    assert ResizeLongest(size_hw, 1024).size_hw_model == expected


@given(TRANSFORMS, st.lists(st.tuples(SHARES, SHARES), max_size=5))
def test_points_return_to_where_they_were(transform: ResizeLongest, shares: list[Any]) -> None:
    height, width = transform.size_hw_image
    points = np.array(shares, np.float64).reshape(-1, 2) * (width, height)
    there = transform.to_model_points(points)
    assert there.dtype == np.float32 and there.shape == points.shape
    assert (there <= np.array(transform.size_hw_model[::-1]) + 1e-3).all()
    np.testing.assert_allclose(transform.to_image_points(there), points, rtol=1e-6, atol=1e-4)


@given(TRANSFORMS, st.tuples(SHARES, SHARES, SHARES, SHARES))
def test_boxes_move_as_their_corners_do(transform: ResizeLongest, shares: tuple[float, ...]) -> None:
    height, width = transform.size_hw_image
    box = np.array(shares) * (width, height, width, height)
    there = transform.to_model_boxes(box)
    assert np.array_equal(there.reshape(2, 2), transform.to_model_points(box.reshape(2, 2)))
    np.testing.assert_allclose(transform.to_image_boxes(there), box, rtol=1e-6, atol=1e-4)


def test_corners_and_centres_of_the_image_stay_what_they_are() -> None:
    transform = ResizeLongest((333, 517), 1024)
    height, width = transform.size_hw_model
    moved = transform.to_model_points([(0, 0), (517, 333), (517 / 2, 333 / 2)])
    np.testing.assert_allclose(moved, [(0, 0), (width, height), (width / 2, height / 2)])


def test_an_image_is_resized_as_the_published_code_does() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 131, 3), dtype=np.uint8)
    transform = ResizeLongest((90, 131), 64)
    expected = Image.fromarray(pixels).resize((64, 44), Image.Resampling.BILINEAR)
    assert np.array_equal(transform.resize_image(pixels), np.asarray(expected))
    assert ResizeLongest((90, 131), 131).resize_image(pixels) is pixels


@pytest.mark.parametrize("size_hw", [(90, 131), (131, 90), (140, 20), (20, 140)])
def test_strips_do_not_change_the_result(size_hw: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    transform = ResizeLongest(size_hw, 64)
    height, width = transform.size_hw_model
    narrow = Image.fromarray(pixels).resize((width, size_hw[0]), Image.Resampling.BILINEAR)
    expected = np.asarray(narrow.resize((width, height), Image.Resampling.BILINEAR))
    monkeypatch.setattr("anymask.core.resample.LARGE", 100)
    monkeypatch.setattr("anymask.core.resample.STRIP_PIXELS", 1000)
    assert np.array_equal(transform.resize_image(pixels), expected)


@pytest.mark.parametrize("size_hw", [(100_000, 1), (1, 100_000)])
def test_a_line_of_pixels_fits_the_square(size_hw: tuple[int, int]) -> None:
    transform = ResizeLongest(size_hw, 512)
    resized = transform.resize_image(np.full((*size_hw, 3), 7, np.uint8))
    assert resized.shape[:2] == transform.size_hw_model and (resized == 7).all()
    assert transform.to_image_mask(np.ones((128, 128), np.float32)).all()


@given(TRANSFORMS, st.sampled_from([0, 32, 64]))
def test_a_frame_holds_the_image_and_some_padding_or_is_the_square(
    transform: ResizeLongest, multiple: int
) -> None:
    spec = replace(SPEC, input_size=transform.input_size, frame_multiple=multiple)
    for side, shown in zip(spec.frame_hw(transform.size_hw_model), transform.size_hw_model, strict=True):
        if multiple and side < transform.input_size:
            assert side % multiple == 0 and LEAST_PADDING <= side - shown < LEAST_PADDING + multiple
        else:
            assert side == transform.input_size


def test_pixels_are_normalised_before_they_are_padded() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    network = normalise_and_pad(pixels, mean, std, (4, 8))
    assert network.shape == (1, 3, 4, 8) and network.dtype == np.float32
    inside = network[0, :, :3, :5].transpose(1, 2, 0)
    np.testing.assert_allclose(inside, (pixels - mean) / std, rtol=1e-5, atol=1e-6)
    assert not network[0, :, 3:].any() and not network[0, :, :, 5:].any()


@pytest.mark.parametrize("size_hw", [(300, 400), (1500, 999), (77, 1500), (1, 900), (900, 1), (1, 1)])
@pytest.mark.parametrize(("input_size", "low_res"), [(512, 128), (1024, 256), (64, 64)])
def test_logits_are_upscaled_as_pytorch_does(size_hw: tuple[int, int], input_size: int, low_res: int) -> None:
    torch = pytest.importorskip("torch")
    resize = partial(torch.nn.functional.interpolate, mode="bilinear", align_corners=False)
    transform = ResizeLongest(size_hw, input_size)
    logits = np.random.default_rng(0).normal(0, 10, (3, low_res, low_res)).astype(np.float32)
    square = resize(torch.from_numpy(logits)[None], (input_size,) * 2)
    height, width = transform.size_hw_model
    expected = resize(square[..., :height, :width], size_hw)[0].numpy()
    upscaled = transform.to_image_logits(logits)
    assert upscaled.dtype == np.float32
    np.testing.assert_allclose(upscaled, expected, rtol=0, atol=1e-4)
    for mask, one in zip(upscaled > 0.5, logits, strict=True):
        assert np.array_equal(transform.to_image_mask(one, threshold=0.5), mask)


@given(TRANSFORMS, st.floats(-30, 30, width=32))
def test_a_constant_stays_constant(transform: ResizeLongest, value: float) -> None:
    low_res = np.full((1, 16, 16), value, np.float32)
    if transform.size_hw_image[0] * transform.size_hw_image[1] < 100_000:
        np.testing.assert_allclose(transform.to_image_logits(low_res), value, rtol=1e-6)


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    transform = ResizeLongest((200, 150), 64)
    logits = np.random.default_rng(0).normal(size=(2, 16, 16)).astype(np.float32)
    whole = transform.to_image_logits(logits)
    monkeypatch.setattr("anymask.core.resample.BLOCK_VALUES", 200)
    assert np.array_equal(transform.to_image_logits(logits), whole)


@given(SMALL, st.integers(0, 2**32 - 1))
def test_masks_and_windows_are_what_the_logits_say(transform: ResizeLongest, seed: int) -> None:
    """Only where cells are above the threshold is anything worked out."""
    height, width = transform.size_hw_image
    rng = np.random.default_rng(seed)
    logits_hw = np.full((16, 16), -5, np.float32)
    (y0, y1), (x0, x1) = (np.sort(rng.integers(0, 17, 2)) for _ in range(2))
    logits_hw[y0:y1, x0:x1] = rng.normal(0, 5, (y1 - y0, x1 - x0))
    logits_HW = transform.to_image_logits(logits_hw[None])[0]
    for threshold in (-6.0, -1.0, 0.0, 4.0):
        assert np.array_equal(transform.to_image_mask(logits_hw, threshold), logits_HW > threshold)
    rows, columns = (slice(int(rng.integers(side)), side) for side in (height, width))
    assert np.array_equal(transform.to_image_window(logits_hw, rows, columns), logits_HW[rows, columns])
    changed_hw = logits_hw.copy()
    changed_hw[y0:y1, x0:x1] += 1
    rows, columns = (transform.reached(16, axis, *part) for axis, part in enumerate(((y0, y1), (x0, x1))))
    untouched = transform.to_image_logits(changed_hw[None])[0] == logits_HW
    untouched[rows, columns] = True
    assert untouched.all()


def test_no_candidates_give_no_logits() -> None:
    assert ResizeLongest((5, 6), 64).to_image_logits(np.zeros((0, 16, 16), np.float32)).shape == (0, 5, 6)


def test_overlap_of_boxes() -> None:
    boxes = [(0, 0, 10, 10), (5, 0, 15, 10), (20, 20, 30, 30), (3, 3, 3, 9)]
    expected = [[1, 1 / 3, 0, 0], [1 / 3, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(box_iou(boxes, boxes), expected)
    assert box_iou(boxes[0], np.zeros((0, 4))).shape == (1, 0)


BOXES = st.lists(st.tuples(*[st.integers(0, 30)] * 4), min_size=1, max_size=4)


@given(BOXES, BOXES)
def test_overlap_of_boxes_is_symmetric_and_at_most_one(a: list[Any], b: list[Any]) -> None:
    iou = box_iou(a, b)
    assert ((iou >= 0) & (iou <= 1)).all() and np.array_equal(iou, box_iou(b, a).T)
