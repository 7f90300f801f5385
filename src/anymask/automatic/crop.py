"""CropGenerator: proposals of one crop of an image, from a grid of points and from detected boxes.

A `View` is a crop and how the model sees it; all views of an image are encoded once and shared: `best_view`
tells which of them shows a thing largest.

Legend: P prompts, m side of the low-resolution masks, N points, K boxes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from anymask.automatic.config import AutomaticSettings
from anymask.automatic.filters import MaskFilter, PromptPoint, Proposal
from anymask.automatic.points import Crop, touches_inner_edge
from anymask.automatic.stats import GenerationStats
from anymask.backends.base import SEVERAL, SINGLE, DecodedArrays, DecodeInput
from anymask.core.boxes import box_nms
from anymask.core.frames import Frame, Window
from anymask.core.prompt import Prompt
from anymask.core.resample import SizeHW
from anymask.predict.constraints import extend_to_edges
from anymask.predict.detectors import DetectedBoxes
from anymask.predict.encoding import Encoding
from anymask.predict.layouts import batches

Task = TypeVar("Task")
Answer = TypeVar("Answer")
POSITIVE = 1  # label of a point
MARGIN = 0.1  # around a box, of its sides: how much more of the image a view must show
BOX_NMS = 0.75  # NMS threshold of detected boxes of all views, before they are answered
INNER_EDGE_PX = 8.0  # a detected box nearer to an edge of its crop inside the region is cut off by it


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A crop of an image of `size_hw`, encoded. `region`: what is searched, the whole image or a box of it;
    its crop is layer 0.
    """

    image: Encoding
    crop: Crop
    layer: int
    region: Crop
    size_hw: SizeHW

    @property
    def side(self) -> int:
        """Of the low-resolution masks."""
        return self.image.model.spec.low_res_size

    @property
    def frame(self) -> Frame:
        """What masks are drawn in, as a frame of the whole image."""
        if self.crop == (0, 0, *self.size_hw[::-1]):
            return self.image.frame
        return Window(self.size_hw, self.crop, self.image.frame.input_size)

    def shows(self, box_xyxy: NDArray[np.float64]) -> bool:
        """Whether the box, in pixels of the image, is in the crop with a margin, where the region has one."""
        margin = MARGIN * np.tile(box_xyxy[2:] - box_xyxy[:2], 2) * np.array([-1, -1, 1, 1])
        low, high = np.tile(self.region[:2], 2), np.tile(self.region[2:], 2)
        x0, y0, x1, y1 = (box_xyxy + margin).clip(low, high).tolist()
        left, top, right, bottom = self.crop
        return bool(left <= x0 and top <= y0 and x1 <= right and y1 <= bottom)


NO_BOXES = DetectedBoxes(np.zeros((0, 4)), np.zeros(0, np.float32))


def best_view(box_xyxy: NDArray[np.float64], views: Sequence[View]) -> int:
    """Which view shows a box, in pixels of the image, largest: the smallest crop around it, and of equal ones
    the one in whose middle it lies. The whole image shows everything.
    """

    def badness(view: View) -> tuple[int, float]:
        x0, y0, x1, y1 = view.crop
        off_centre = np.abs(box_xyxy[:2] + box_xyxy[2:] - np.array([x0 + x1, y0 + y1])).sum()
        return max(x1 - x0, y1 - y0), float(off_centre)

    shown = [i for i, view in enumerate(views) if view.layer == 0 or view.shows(box_xyxy)]
    return min(shown, key=lambda i: badness(views[i]))


def detect_boxes(
    views: Sequence[View], settings: AutomaticSettings, stats: GenerationStats
) -> list[DetectedBoxes]:
    """The boxes that the model detects in all views, each for the view that shows it largest; none where it
    detects none. A box that its crop cuts off is left to a view that does not.
    """
    if views[0].image.model.box_path is None or not settings.boxes:
        return [NO_BOXES] * len(views)
    with stats.timing("decode"):
        found = [_detected(view, settings) for view in views]
        boxes = np.concatenate([f.boxes_xyxy_K4 for f in found])
        scores = np.concatenate([f.scores_K for f in found])
        kept = box_nms(boxes, scores, BOX_NMS)[: settings.boxes]
        best = np.array([best_view(box, views) for box in boxes[kept]], np.intp)
    stats.total += len(kept)
    return [DetectedBoxes(boxes[kept[best == i]], scores[kept[best == i]]) for i in range(len(views))]


def _detected(view: View, settings: AutomaticSettings) -> DetectedBoxes:
    found = view.image.detect_boxes(settings.boxes, settings.box_score_thresh)
    (x0, y0, x1, y1), (left, top, right, bottom) = view.crop, view.region
    in_region = (x0 - left, y0 - top, x1 - left, y1 - top)
    cut_off = touches_inner_edge(found.boxes_xyxy_K4, in_region, (bottom - top, right - left), INNER_EDGE_PX)
    return DetectedBoxes(found.boxes_xyxy_K4[~cut_off] + np.array([x0, y0, x0, y0]), found.scores_K[~cut_off])


class CropGenerator:
    """Asks one view and filters its answers."""

    def __init__(self, settings: AutomaticSettings, stats: GenerationStats, view: View) -> None:
        self._settings, self._stats, self._view = settings, stats, view

    def of_points(self, grid_N2: NDArray[np.float64]) -> Iterator[Proposal]:
        """Up to three for each point x, y of the unit square."""
        height, width = self._view.image.size_hw
        points_xy = grid_N2 * np.array([width, height])
        prompts = [Prompt.of([point]) for point in points_xy]
        asked = [PromptPoint((x, y)) for x, y in points_xy.tolist()]
        return self._filtered(prompts, asked, SEVERAL, self._mask_filter())

    def of_boxes(self, boxes: DetectedBoxes) -> Iterator[Proposal]:
        """Up to one for each box."""
        x0, y0 = self._view.crop[:2]
        inside_K4 = boxes.boxes_xyxy_K4 - np.array([x0, y0, x0, y0])
        prompts = [Prompt.of(box=box) for box in inside_K4]
        middles = ((inside_K4[:, :2] + inside_K4[:, 2:]) / 2).tolist()
        scored = zip(middles, boxes.scores_K.tolist(), strict=True)
        asked = [PromptPoint((x, y), score) for (x, y), score in scored]
        s = self._settings
        own = self._mask_filter(
            pred_iou_thresh=s.box_pred_iou_thresh, stability_score_thresh=s.box_stability_thresh
        )
        return self._filtered(prompts, asked, SINGLE, own)

    def _mask_filter(self, **thresholds: float) -> MaskFilter:
        settings, view = replace(self._settings, **thresholds), self._view  # type: ignore[arg-type]
        return MaskFilter(
            settings,
            view.image.frame,
            view.side,
            view.crop,
            view.size_hw,
            view.region,
            self._stats.filtered_by,
        )

    def _filtered(
        self, prompts: Sequence[Prompt], asked: Sequence[PromptPoint], slots: slice, mask_filter: MaskFilter
    ) -> Iterator[Proposal]:
        """What passes of the decoder's `slots`; after each call it is told how many prompts were answered."""
        seconds, image, started = self._stats.seconds, self._view.image, time.perf_counter()
        for indices, decoded in self._decoded(prompts):
            answered = time.perf_counter()
            passed: list[Proposal] = []
            for row, index in enumerate(indices):
                masks, ious = decoded.low_res_masks_P4mm[row, slots], decoded.iou_P4[row, slots]
                if extend_to_edges in image.model.postprocess:
                    masks = image.frame.extended_to_edges(masks)
                passed += mask_filter.passed(masks, ious, asked[index])
            seconds["decode"] += answered - started
            seconds["rest"] += time.perf_counter() - answered
            self._stats.add_answered(len(indices))
            yield from passed
            started = time.perf_counter()

    def _decoded(self, prompts: Sequence[Prompt]) -> Iterator[tuple[list[int], DecodedArrays]]:
        """Answers in the order of the prompts; several calls are under way where the model gains by it."""
        image = self._view.image
        backend, offset = image.model.backend, self._settings.point_offset_px
        calls = batches(prompts, backend.spec, image.frame, backend.batch_size)

        def decode(call: tuple[list[int], DecodeInput]) -> tuple[list[int], DecodedArrays]:
            indices, arrays = call
            return indices, backend.decode(image.embedding.arrays, _moved(arrays, offset))

        yield from in_order(decode, calls, image.model.workers)


def in_order(work: Callable[[Task], Answer], tasks: Iterable[Task], workers: int) -> Iterator[Answer]:
    """`map` on several threads; only a few tasks ahead, so that no more than a few answers are in memory."""
    if workers == 1:
        yield from map(work, tasks)
        return
    ahead: deque[Future[Answer]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for task in tasks:
            ahead.append(pool.submit(work, task))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _moved(prompts: DecodeInput, by_px: float) -> DecodeInput:
    """Points, not padding, moved by so many pixels of the model frame."""
    if not by_px:
        return prompts
    moved = prompts.points_PN2 + by_px * (prompts.labels_PN == POSITIVE)[..., None].astype(np.float32)
    return replace(prompts, points_PN2=moved.astype(np.float32))
