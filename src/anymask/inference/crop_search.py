"""CropSearch: what one crop of an image is asked, a grid of points and boxes, and which answers stay.

Legend: P prompts, m side of the low-resolution masks, N points.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anymask.automatic.points import Crop, coarse_to_fine
from anymask.backends.base import SEVERAL, SINGLE, DecodedArrays, DecodeInput
from anymask.core.candidates import Candidate
from anymask.core.frames import ResizeLongest
from anymask.core.prompt import Prompt
from anymask.core.resample import Floats, SizeHW
from anymask.inference.account import Account
from anymask.inference.automatic_settings import AutomaticSettings
from anymask.inference.duplicates import Duplicates
from anymask.inference.filters import Judge, Proposal
from anymask.predict.encoding import Encoding as EncodedImage
from anymask.predict.layouts import batches

Task = TypeVar("Task")
Answer = TypeVar("Answer")
POSITIVE = 1  # label of a point


class CropSearch:
    """`crop`: of an image of `size_hw`."""

    def __init__(self, settings: AutomaticSettings, account: Account, crop: Crop, size_hw: SizeHW) -> None:
        self._settings, self._account, self._crop, self._size_hw = settings, account, crop, size_hw
        self._duplicates = Duplicates(settings, account)

    def kept(
        self, image: EncodedImage, grid_N2: NDArray[np.float64], small: EncodedImage | None = None
    ) -> list[Proposal]:
        """What stays, best first. `grid_N2`: points x, y in the unit square. `small`: the crop as the model's
        small twin sees it; then that answers the grid.
        """
        if small is None:
            found = self._in_grid(image, grid_N2, self._judge(image))
        else:
            found = self._by_twin(image, grid_N2, small)
        kept = self._duplicates.without(found, side_of(image))
        if in_boxes := self._in_boxes(image):
            kept = self._duplicates.without([*in_boxes, *kept], side_of(image))
        return kept

    def _judge(self, image: EncodedImage, **thresholds: float) -> Judge:
        settings = replace(self._settings, **thresholds)  # type: ignore[arg-type]
        side, rejected = side_of(image), self._account.rejected
        return Judge(settings, image.frame, side, self._crop, self._size_hw, rejected)

    def _by_twin(
        self, image: EncodedImage, grid_N2: NDArray[np.float64], small: EncodedImage
    ) -> list[Proposal]:
        """The best of what the twin finds, answered again: each point with the twin's mask to start from."""
        s, side = self._settings, side_of(small)
        loose = self._judge(
            small, pred_iou_thresh=s.small_pred_iou_thresh, stability_score_thresh=s.small_stability_thresh
        )
        found = self._duplicates.without(self._in_grid(small, grid_N2, loose), side)[: s.small_keep]

        def ask(proposal: Proposal) -> Candidate:
            before = enlarged(proposal.low_res(side), side_of(image))
            return image.segment_batch([Prompt.of([proposal.point_xy], mask=before)])[0].best

        judge = self._judge(image)
        passed: list[Proposal] = []
        with self._account.timing("decode"):
            for proposal, best in zip(found, in_order(ask, found, 1), strict=True):
                low_res_1mm = best.low_res_logits[None]
                passed += judge.passed(low_res_1mm, np.array([best.iou], np.float32), proposal.point_xy)
        return passed

    def _in_boxes(self, image: EncodedImage) -> list[Proposal]:
        """The masks of the boxes that the model finds; the point of each is the middle of its box."""
        s, box_path = self._settings, image.model.box_path
        if box_path is None or not s.boxes:
            return []
        with self._account.timing("decode"):
            found = image.detect_boxes(s.boxes, s.box_score_thresh)
            prompts = [Prompt.of(box=box) for box in found.boxes_xyxy_K4]
            middles_xy = (found.boxes_xyxy_K4[:, :2] + found.boxes_xyxy_K4[:, 2:]) / 2
        judge = self._judge(
            image, pred_iou_thresh=s.box_pred_iou_thresh, stability_score_thresh=s.box_stability_thresh
        )
        answers = self._judged(image, prompts, middles_xy, SINGLE, judge)
        return [proposal for _, passed in answers for proposal in passed]

    def _in_grid(self, image: EncodedImage, grid_N2: NDArray[np.float64], judge: Judge) -> list[Proposal]:
        """Ask the grid, in rounds where covered points are skipped."""
        height, width = image.size_hw
        points_xy = grid_N2 * np.array([width, height])
        limit = self._settings.skip_covered
        rounds = coarse_to_fine(round(len(grid_N2) ** 0.5)) if limit else [np.arange(len(points_xy))]
        side = side_of(image)
        covered = np.zeros((side, side), np.int32)
        proposals: list[Proposal] = []
        for indices in rounds:
            if limit:
                indices = indices[~self._is_covered(points_xy[indices], covered, image.frame, limit)]
            proposals += self._asked_round(image, points_xy[indices], judge)
            if limit:
                covered = self._coverage(proposals, side)
        return proposals

    def _coverage(self, proposals: Sequence[Proposal], side: int) -> NDArray[np.int32]:
        """How many different masks each cell lies in."""
        covered = np.zeros((side, side), np.int32)
        for i in self._duplicates.distinct(proposals, side):
            covered[proposals[i].cells.slices] += proposals[i].logits > 0
        return covered

    def _is_covered(
        self, points_xy: NDArray[np.float64], covered: NDArray[np.int32], frame: ResizeLongest, limit: int
    ) -> NDArray[np.bool_]:
        cells_xy = frame.to_model_points(points_xy) * (len(covered) / frame.input_size)
        x, y = cells_xy.astype(np.intp).clip(0, len(covered) - 1).T
        skipped = np.asarray(covered[y, x] >= limit)
        self._account.rejected["covered point"] += int(skipped.sum())
        self._account.add_asked(int(skipped.sum()))
        return skipped

    def _asked_round(
        self, image: EncodedImage, points_xy: NDArray[np.float64], judge: Judge
    ) -> Iterator[Proposal]:
        prompts = [Prompt.of([point]) for point in points_xy]
        for asked, passed in self._judged(image, prompts, points_xy, SEVERAL, judge):
            self._account.add_asked(asked)
            yield from passed

    def _judged(
        self,
        image: EncodedImage,
        prompts: Sequence[Prompt],
        points_xy: NDArray[np.floating],
        slots: slice,
        judge: Judge,
    ) -> Iterator[tuple[int, list[Proposal]]]:
        """After each call how many prompts it answered and what of their `slots` passed, at `points_xy`."""
        seconds, asked = self._account.seconds, time.perf_counter()
        for indices, decoded in self._decoded(image, prompts):
            answered = time.perf_counter()
            passed: list[Proposal] = []
            for row, index in enumerate(indices):
                x, y = points_xy[index].tolist()
                passed += judge.passed(
                    decoded.low_res_masks_P4mm[row, slots], decoded.iou_P4[row, slots], (x, y)
                )
            seconds["decode"] += answered - asked
            seconds["rest"] += time.perf_counter() - answered
            yield len(indices), passed
            asked = time.perf_counter()

    def _decoded(
        self, image: EncodedImage, prompts: Sequence[Prompt]
    ) -> Iterator[tuple[list[int], DecodedArrays]]:
        """Answers in the order of the prompts; several calls are under way where the model gains by it."""
        backend, workers = image.model.backend, 1
        calls = batches(prompts, backend.spec, image.frame, backend.batch_size)

        def decode(call: tuple[list[int], DecodeInput]) -> tuple[list[int], DecodedArrays]:
            indices, arrays = call
            return indices, backend.decode(
                image.embedding.arrays, _shifted(arrays, self._settings.point_shift)
            )

        yield from in_order(decode, calls, workers)


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


def side_of(image: EncodedImage) -> int:
    """Of the low-resolution masks of the model that encoded it."""
    return image.model.spec.low_res_size


def enlarged(low_res_mm: Floats, side: int) -> Floats:
    """Logits of the same square with more cells."""
    grey = Image.fromarray(low_res_mm).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(grey, np.float32)


def _shifted(prompts: DecodeInput, by: float) -> DecodeInput:
    """Points, not padding, moved by so many pixels of the model frame."""
    if not by:
        return prompts
    moved = prompts.points_PN2 + by * (prompts.labels_PN == POSITIVE)[..., None].astype(np.float32)
    return replace(prompts, points_PN2=moved.astype(np.float32))
