"""Where edge maps come from: from a model's edge head, from the masks it finds, and from the photo alone as a
floor.

From masks (Segment Anything, section 7.2 and App. D.2): three masks at each point of a 16 x 16 grid, none
filtered by score; the Sobel gradient of each mask's probabilities along the outer edge of that mask; only
ridges kept. What differs from the paper was measured on training photos (docs/LOG.md):

- An edge is as strong as the geometric mean of the largest gradient over all masks, which the paper takes
  alone, and of the mean gradient: one sharp mask does not make an edge, nor do many blurred ones.
- The photo may be looked at again in 2 x 2 and in 3 x 3 overlapping windows, and all of that mirrored: these
  are votes as well. Half as many points at each look, since sparser grids lose next to nothing.
- Both maps are smoothed by a pixel, since masks differ by as much.
- An edge counts for less where the photo itself hardly changes: times the root of its contrast there.
- Strengths are brought into 0..1 in the same way for every photo, not from its weakest to its strongest: a
  photo in which nothing is sure has no sure edges.
- Near-copies of masks stay: no two have quite the same edge.

Legend: H W image pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import ceil
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from anymask.core.geometry import ResizeLongest
from anymask.evaluation.opencv import cv2
from anymask.evaluation.thinning import Floats, keep_ridges
from anymask.inference.scoring import image_window, mask_bbox

GRID = {
    "pred_iou_thresh": -1e9,
    "stability_score_thresh": 0.0,
    "box_nms_thresh": 1.0,
    "duplicates": "box",
    "crop_n_layers": 0,
    "min_mask_region_area": 0,
    "max_area_fraction": 1.0,
    "scoring": "low_res",
}
"""What differs, beside the number of points, from the `sa1b` preset when edges are measured (App. D.2)."""
LOOKS = ((1, 16),)  # windows along a side of the photo, grid points along a side of each
CLOSER = ((1, 11), (2, 6), (3, 4))  # as often again in the mirrored photo
OVERLAP = 1.25  # sides of windows, by those that would just cover the photo
BLUR = 1.0  # pixels
MIDDLING = 0.5  # the strength that comes out as one half
SCALES = (1.0, 2.0, 4.0)  # pixels, at which the photo's contrast is seen
CLEAR = 180.0  # contrast of a clear edge: steps of Lab colours, all scales together

Part = tuple[slice, slice]


class SoftMask(Protocol):
    @property
    def low_res_logits(self) -> NDArray[np.float32] | None: ...

    @property
    def transform(self) -> ResizeLongest | None: ...


class SoftProposer(Protocol):
    """A model that can be asked for everything and keeps its logits; what `anymask.load()` returns can."""

    @property
    def name(self) -> str: ...

    def everything(self, source: Any, /, preset: str = ..., **changes: Any) -> Sequence[SoftMask]: ...


class EdgeSource(Protocol):
    @property
    def name(self) -> str: ...

    def edges(self, pixels_HW3: NDArray[np.uint8]) -> Floats:
        """uint8 photo -> (H, W) float32 strengths in 0..1, on ridges only."""
        ...


class EdgeFinding(Protocol):
    @property
    def name(self) -> str: ...

    def encode(self, source: Any, /) -> Any:
        """What `find_edges` can be asked of."""
        ...


class HeadEdges:
    """What a model's edge head says, on ridges only."""

    def __init__(self, model: EdgeFinding) -> None:
        self._model, self.name = model, model.name

    def edges(self, pixels_HW3: NDArray[np.uint8]) -> Floats:
        return keep_ridges(self._model.encode(pixels_HW3).find_edges())


class MaskEdges:
    """The edges of everything a model finds; `closer`: in windows of the photo and its mirror image too."""

    def __init__(self, model: SoftProposer, closer: bool = False) -> None:
        self._model, self._looks = model, CLOSER if closer else LOOKS
        self._steps = (1, -1) if closer else (1,)  # along rows: as it is, mirrored
        self.name = model.name

    def edges(self, pixels_HW3: NDArray[np.uint8]) -> Floats:
        maps = [map_HW for look in self._looks for map_HW in self._seen(pixels_HW3, *look)]
        votes = np.stack([cv2.GaussianBlur(map_HW, (0, 0), BLUR) for map_HW in maps])
        strength_HW = votes.prod(0) ** (1 / len(votes)) * np.sqrt(contrast(pixels_HW3))
        return keep_ridges(strength_HW / (strength_HW + MIDDLING))

    def _seen(self, pixels_HW3: NDArray[np.uint8], windows: int, points: int) -> list[Floats]:
        """The strongest edge of all masks of all windows, and the mean of a window's masks; each (H, W)."""
        maps = np.zeros((3, *pixels_HW3.shape[:2]), np.float32)
        for step in self._steps:
            self._add(maps[..., ::step], pixels_HW3[:, ::step], windows, points)
        strongest, total, shown = maps
        return [strongest, total / shown]

    def _add(self, maps_3HW: Floats, pixels_HW3: NDArray[np.uint8], windows: int, points: int) -> None:
        """To the strongest edges, the sums of means and the number of windows, in place."""
        strongest, total, shown = maps_3HW
        for window in windows_of(pixels_HW3.shape[:2], windows):
            pixels = np.ascontiguousarray(pixels_HW3[window])
            grid = {**GRID, "points_per_side": points, "keep_logits": True}
            found = self._model.everything(pixels, preset="sa1b", **grid)
            for mask in found:
                part, edge_hw = mask_edges(mask)
                strong, mean = strongest[window][part], total[window][part]  # views
                np.maximum(strong, edge_hw, out=strong)
                mean += edge_hw / len(found)
            shown[window] += 1


def windows_of(size_hw: tuple[int, ...], count: int) -> list[Part]:
    """Rows and columns of `count` x `count` overlapping windows that cover a photo."""
    rows, columns = (parts_of(side, count) for side in size_hw)
    return list(product(rows, columns))


def parts_of(side: int, count: int) -> list[slice]:
    length = min(side, ceil(OVERLAP * side / count))
    firsts = np.linspace(0, side - length, count).astype(int).tolist()
    return [slice(first, first + length) for first in firsts]


class SobelEdges:
    """The gradient of the photo's brightness: what a model has to beat."""

    name = "sobel"

    def edges(self, pixels_HW3: NDArray[np.uint8]) -> Floats:
        grey = cv2.cvtColor(pixels_HW3, cv2.COLOR_RGB2GRAY).astype(np.float32)
        return keep_ridges(scaled(gradient(grey)))


def mask_edges(found: SoftMask) -> tuple[Part, Floats]:
    """How steeply the probability changes along the outer edge of a mask, 0 beside it: in a part of the
    photo around the mask, which is returned first.
    """
    logits_mm, frame = found.low_res_logits, found.transform
    assert logits_mm is not None and frame is not None, "logits were asked for"
    side = len(logits_mm)
    cells = mask_bbox(logits_mm > 0)
    window = cells and image_window(frame, side, cells.grown(2, (side, side)))
    if window is None:
        return (slice(0), slice(0)), np.zeros((0, 0), np.float32)
    logits_hw = frame.to_image_window(logits_mm, *window.slices)
    inside_hw = (logits_hw > 0).astype(np.uint8)
    outer_hw = cv2.dilate(inside_hw, np.ones((3, 3), np.uint8)) != inside_hw
    chance_hw = 1 / (1 + np.exp(-logits_hw.clip(-30, 30)))
    return window.slices, np.where(outer_hw, gradient(chance_hw), 0).astype(np.float32)


def contrast(pixels_HW3: NDArray[np.uint8]) -> Floats:
    """(H, W): how much the photo's Lab colours change around each pixel; about 1 at a clear edge."""
    lab_HW3 = cv2.cvtColor(pixels_HW3, cv2.COLOR_RGB2LAB).astype(np.float32)
    total_HW = np.zeros(pixels_HW3.shape[:2], np.float32)
    for scale in SCALES:
        channels = cv2.split(cv2.GaussianBlur(lab_HW3, (0, 0), scale))
        total_HW += scale * np.linalg.norm([gradient(np.asarray(c, np.float32)) for c in channels], axis=0)
    return np.asarray(cv2.GaussianBlur(total_HW, (0, 0), BLUR) / CLEAR, np.float32)


def gradient(map_HW: Floats) -> Floats:
    """Size of the Sobel gradient."""
    steps = (cv2.Sobel(map_HW, cv2.CV_32F, dx, 1 - dx) for dx in (1, 0))
    return np.asarray(np.hypot(*steps), np.float32)


def scaled(strength_HW: Floats) -> Floats:
    """Linearly onto 0..1; a map without any edge stays 0."""
    low, high = float(strength_HW.min()), float(strength_HW.max())
    return (strength_HW - low) / (high - low) if high > low else np.zeros_like(strength_HW)


EDGE_FLOORS: dict[str, type[EdgeSource]] = {"sobel": SobelEdges}
