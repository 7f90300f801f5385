"""The clicker against its rule, written a second time, slowly and without OpenCV."""

from __future__ import annotations

import time

import numpy as np
import pytest
from evaluation_fakes import rectangle
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anymask.evaluation.clicker import Click, next_click, random_click


def slow_squared_depth(region: np.ndarray) -> list[list[int]]:
    """For every pixel the smallest squared distance to one outside the region or the image."""
    height, width = region.shape
    cells = [(y, x) for y in range(-1, height + 1) for x in range(-1, width + 1)]
    outside = [(y, x) for y, x in cells if not (0 <= y < height and 0 <= x < width and region[y, x])]
    return [
        [min((y - v) ** 2 + (x - u) ** 2 for v, u in outside) for x in range(width)] for y in range(height)
    ]


def slow_next_click(
    truth: np.ndarray, predicted: np.ndarray, scored: np.ndarray, earlier: list[Click]
) -> Click | None:
    depths = {}
    for kind, region in {True: truth & ~predicted & scored, False: predicted & ~truth & scored}.items():
        depths[kind] = slow_squared_depth(region)
        for click in earlier:
            depths[kind][click.y][click.x] = 0
    deepest = {kind: max(map(max, rows)) for kind, rows in depths.items()}
    positive = deepest[True] > deepest[False]
    if deepest[positive] == 0:
        return None
    for y, row in enumerate(depths[positive]):
        for x, depth in enumerate(row):
            if depth == deepest[positive]:
                return Click(x, y, positive)
    raise AssertionError("unreachable")


@st.composite
def situations(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[Click]]:
    height, width = draw(st.integers(1, 14)), draw(st.integers(1, 14))
    blocks = draw(st.booleans())
    maps = [_map(draw, height, width, blocks) for _ in range(2)]
    scored = draw(arrays(bool, (height, width), elements=st.sampled_from([True, True, True, False])))
    pixels = st.builds(Click, st.integers(0, width - 1), st.integers(0, height - 1), st.booleans())
    return maps[0], maps[1], scored, draw(st.lists(pixels, max_size=5))


def _map(draw: st.DrawFn, height: int, width: int, blocks: bool) -> np.ndarray:
    """Noise, or a few rectangles: deep regions with many ties."""
    if not blocks:
        return draw(arrays(bool, (height, width)))
    drawn = np.zeros((height, width), bool)
    for _ in range(draw(st.integers(1, 3))):
        x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        x1, y1 = draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))
        drawn[y0:y1, x0:x1] = True
    return drawn


@settings(max_examples=400)
@given(situations())
def test_agrees_with_the_slow_rule(situation: tuple[np.ndarray, np.ndarray, np.ndarray, list[Click]]) -> None:
    assert next_click(*situation) == slow_next_click(*situation)


def test_the_distance_is_exact_on_a_large_curved_region() -> None:
    y, x = np.mgrid[:300, :400] + 0.5
    ring = (np.hypot(y - 140, x - 210) < 130) & (np.hypot(y - 120, x - 190) > 35)
    outside = np.stack(np.nonzero(~np.pad(ring, 1))) - 1
    rows = range(0, 300, 7)
    exact = max(
        int(((outside - [[r], [c]]) ** 2).sum(0).min()) for r in rows for c in range(0, 400, 9) if ring[r, c]
    )
    click = next_click(ring, np.zeros_like(ring), np.ones_like(ring))
    assert click is not None and ring[click.y, click.x]
    assert int(((outside - [[click.y], [click.x]]) ** 2).sum(0).min()) >= exact


def test_the_first_click_is_the_centre_of_the_truth() -> None:
    truth = rectangle((20, 30), 10, 5, 17, 12)
    click = next_click(truth, np.zeros_like(truth), np.ones_like(truth))
    assert click == Click(13, 8, positive=True)
    assert click.point_xy == (13.5, 8.5)


def test_the_edge_of_the_image_is_a_boundary() -> None:
    truth = np.ones((5, 9), bool)
    assert next_click(truth, np.zeros_like(truth), np.ones_like(truth)) == Click(2, 2, positive=True)


def test_a_tie_is_a_negative_click() -> None:
    truth, predicted = rectangle((9, 20), 0, 2, 5, 7), rectangle((9, 20), 10, 2, 15, 7)
    assert next_click(truth, predicted, np.ones_like(truth)) == Click(12, 4, positive=False)


def test_ignored_pixels_are_no_errors_and_count_as_outside() -> None:
    truth, scored = rectangle((9, 20), 0, 0, 20, 9), np.ones((9, 20), bool)
    scored[:, 9:] = False
    assert next_click(truth, np.zeros_like(truth), scored) == Click(4, 4, positive=True)
    assert next_click(truth, scored, scored) is None


def test_a_pixel_is_not_clicked_twice() -> None:
    truth = rectangle((7, 7), 1, 1, 4, 4)
    clicks: list[Click] = []
    while (click := next_click(truth, np.zeros_like(truth), np.ones_like(truth), clicks)) is not None:
        clicks.append(click)
    assert len(clicks) == len({(c.x, c.y) for c in clicks}) == 9
    assert clicks[0] == Click(2, 2, positive=True)


def test_a_perfect_mask_gets_no_click() -> None:
    truth = rectangle((7, 7), 1, 1, 4, 4)
    assert next_click(truth, truth, np.ones_like(truth)) is None


def test_a_random_click_is_inside_and_reaches_every_pixel() -> None:
    truth = rectangle((5, 6), 2, 1, 4, 3)
    rng = np.random.default_rng(0)
    clicks = [random_click(truth, rng) for _ in range(200)]
    assert {(c.x, c.y) for c in clicks} == {(2, 1), (3, 1), (2, 2), (3, 2)}
    assert all(c.positive for c in clicks)


@pytest.mark.slow
def test_a_click_on_a_video_frame_takes_under_ten_milliseconds() -> None:
    truth = rectangle((480, 854), 60, 40, 800, 440)
    predicted = rectangle((480, 854), 0, 0, 854, 240)
    scored = np.ones_like(truth)
    seconds = []
    for _ in range(15):
        started = time.perf_counter()
        next_click(truth, predicted, scored, [Click(5, 5, True)])
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.010  # the least disturbed one: the machine may be busy
