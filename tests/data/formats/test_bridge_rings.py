"""Rings joined by bridges without width enclose exactly the mask, by every rule there is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from anymask.core.mask import Mask
from anymask.core.outlines import filled
from anymask.data.formats.keyhole import bridge_all, bridge_holes

ARRAYS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=16)).filter(np.any)


def windings(ring: np.ndarray, size_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """How often the ring goes around each pixel's centre, and how often it crosses the ray to its right."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    around, crossed = np.zeros(size_hw, int), np.zeros(size_hw, int)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        passes = (y0 <= y) != (y1 <= y)
        at = x0 + (y - y0) * (x1 - x0) / (y1 - y0) if y1 != y0 else np.full(size_hw, -1.0)
        hit = passes & (at > x)
        around += np.where(hit, 1 if y1 > y0 else -1, 0)
        crossed += hit
    return around, crossed


def painted(ring: np.ndarray, size_hw: tuple[int, int], keep: np.ndarray | None = None) -> np.ndarray:
    """As programs do that draw the outline too; `keep`: edges that are not left out."""
    keep = np.ones(len(ring), bool) if keep is None else keep
    inside, (x, y) = filled(ring[keep], np.roll(ring, -1, axis=0)[keep], size_hw)
    whole = np.zeros(size_hw, bool)
    whole[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return whole


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@given(ARRAYS)
def test_the_coco_tools_fill_the_rings_exactly(inside: np.ndarray) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    height, width = inside.shape
    polygons = [
        ring.reshape(-1).astype(float).tolist() for ring in bridge_holes(Mask.from_array(inside).polygons())
    ]
    filled_by_coco = coco.decode(coco.merge(coco.frPyObjects(polygons, height, width)))
    assert np.array_equal(filled_by_coco.astype(bool), inside)
    assert Mask.from_polygons(polygons, inside.shape) == Mask.from_array(inside)


@given(ARRAYS)
def test_bridges_to_holes_run_inside_the_piece(inside: np.ndarray) -> None:
    """So that drawing the outline as well paints nothing outside of the mask."""
    for ring in bridge_holes(Mask.from_array(inside).polygons()):
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            assert x0 == x1 or y0 == y1
            if x0 == x1:
                rows = slice(min(y0, y1), max(y0, y1))
                right = inside[rows, x0].all() if x0 < inside.shape[1] else False
                left = inside[rows, x0 - 1].all() if x0 > 0 else False
                assert right or left


@given(ARRAYS)
def test_a_ring_around_each_piece_is_the_mask_by_both_rules(inside: np.ndarray) -> None:
    around, crossed = np.zeros(inside.shape, int), np.zeros(inside.shape, int)
    for ring in bridge_holes(Mask.from_array(inside).polygons()):
        more, most = windings(ring, inside.shape)
        around, crossed = around + more, crossed + most
    assert np.array_equal(around != 0, inside)
    assert np.array_equal(crossed % 2 == 1, inside)


@given(ARRAYS)
def test_a_ring_through_the_centres_paints_the_mask_and_its_bridges(inside: np.ndarray) -> None:
    ring, bridge = bridge_all(inside)
    assert len(ring) >= 3
    without_bridges = ~(bridge & np.roll(bridge, -1))
    assert np.array_equal(painted(ring, inside.shape, without_bridges), inside)
    whole = painted(ring, inside.shape)
    assert (whole | ~inside).all()
    assert bridge.any() or np.array_equal(whole, inside)


@given(ARRAYS)
def test_only_pieces_that_do_not_touch_are_joined_outside_of_the_mask(inside: np.ndarray) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    ring, bridge = bridge_all(inside)
    pieces = ndimage.label(inside, np.ones((3, 3)))[1]
    assert bridge.sum() == 6 * (pieces - 1)  # three points there, three back


def test_the_shortest_bridge_is_taken() -> None:
    inside = np.zeros((20, 30), bool)
    inside[0:20, 0:2] = inside[8:10, 8:10] = inside[8:10, 12:30] = True
    ring, _ = bridge_all(inside)
    assert painted(ring, inside.shape).sum() - inside.sum() == 6 + 2
