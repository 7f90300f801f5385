"""Rings joined by bridges without width enclose exactly the mask, by every rule there is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from anymask.core.mask import Mask
from anymask.data.formats.keyhole import bridge_holes, bridge_rings

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


@given(ARRAYS)
def test_a_ring_around_everything_is_the_mask_by_both_rules(inside: np.ndarray) -> None:
    around, crossed = windings(bridge_rings(Mask.from_array(inside).polygons()), inside.shape)
    assert np.array_equal(around != 0, inside)
    assert np.array_equal(crossed % 2 == 1, inside)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@given(ARRAYS)
def test_the_coco_tools_fill_the_rings_exactly(inside: np.ndarray) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    pieces = Mask.from_array(inside).polygons()
    height, width = inside.shape
    for rings in ([bridge_rings(pieces)], bridge_holes(pieces)):
        polygons = [ring.reshape(-1).astype(float).tolist() for ring in rings]
        filled = coco.decode(coco.merge(coco.frPyObjects(polygons, height, width)))
        assert np.array_equal(filled.astype(bool), inside)
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
