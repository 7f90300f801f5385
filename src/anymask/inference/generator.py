"""Everything in an image: a grid of points, every point answered, confident and stable answers kept once.

Paper, section 5 and Appendix B. Of the thousands of answers only windows of low-resolution logits are kept;
a mask of the size of the image exists for what survives, one at a time, as run lengths. The result does not
depend on how many prompts share a call.

Legend: P prompts, M masks, m side of the low-resolution masks, N point columns.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anymask.core.automatic_mask import AutomaticMask
from anymask.core.candidates import Candidate
from anymask.core.geometry import Floats, ResizeLongest, SizeHW
from anymask.core.grid import (
    Crop,
    box_nms,
    coarse_to_fine,
    crop_layers,
    mask_nms,
    overlap_nms,
    point_grid,
)
from anymask.core.image import read_image
from anymask.core.mask import Mask, iou_matrix
from anymask.core.prompt import Prompt
from anymask.errors import BadOption
from anymask.inference.automatic_settings import AutomaticSettings, settings_of
from anymask.inference.backend import DecodedArrays, DecodeInput
from anymask.inference.filters import Judge, Proposal
from anymask.inference.predictor import SEVERAL, SINGLE, EncodedImage, Model, Progress
from anymask.inference.prompt_arrays import batches
from anymask.inference.scoring import ImageScorer
from anymask.inference.zoom import ZoomImage

Task = TypeVar("Task")
Answer = TypeVar("Answer")
POSITIVE = 1  # label of a point
REDRAWN = 3  # times that what is kept is drawn again from closer, each time from the answer before


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Everything that was found. `rejected`: answers that were dropped, by filter. `seconds`: of each
    part.
    """

    masks: list[AutomaticMask]
    size_hw: SizeHW
    content_hash: str
    rejected: dict[str, int]
    seconds: dict[str, float]


def everything(
    model: Model,
    source: Any,
    preset: str = "fast",
    *,
    progress: Progress | None = None,
    keep_logits: bool = False,
    **changes: Any,
) -> Found:
    """All masks of an image (a path, bytes, a file, a PIL image or an array), in the order of the published
    generator: best predicted IoU first, after clean-up untouched masks first.

    `preset`: `fast`, `wide`, `paper` or `reference`; `changes`: fields of `AutomaticSettings`.
    `progress(done, total)` counts grid points. Raises BadImage, BadOption.
    """
    settings = settings_for(model, preset, **changes)
    return Search(model, settings, keep_logits, progress).of_pixels(read_image(source))


def everything_encoded(
    image: EncodedImage, preset: str = "fast", *, progress: Progress | None = None, **changes: Any
) -> Found:
    """The same for an image that is encoded already. Raises BadOption for settings with crops."""
    settings = settings_for(image.model, preset, **changes)
    if settings.crop_n_layers:
        raise BadOption(f"{preset}: crops are cut from the photo itself; use Model.everything(photo, ...)")
    return Search(image.model, settings, False, progress).of_encoded(image)


def settings_for(model: Model, preset: str, **changes: Any) -> AutomaticSettings:
    """The preset as the model's card calibrates it, with changes. Raises BadOption."""
    settings = settings_of(preset, model.automatic, **changes)
    if not settings.points_per_side and model.box_path is None:
        raise BadOption(f"points_per_side 0: {model.name} finds no boxes, so it has to ask a grid")
    return settings


class Search:
    """One search through one image."""

    def __init__(
        self,
        model: Model,
        settings: AutomaticSettings,
        keep_logits: bool = False,
        progress: Progress | None = None,
        grids: Sequence[NDArray[np.float64]] | None = None,
    ) -> None:
        """`grids`: points x, y in the unit square for each layer, instead of those of the settings."""
        self._model, self._settings, self._keep_logits = model, settings, keep_logits
        layers = range(settings.crop_n_layers + 1)
        self._grids = grids or [point_grid(settings.points_of_layer(layer)) for layer in layers]
        self._progress, self._asked, self._total = progress, 0, 0
        self._rejected: Counter[str] = Counter()
        self._seconds = {"encode": 0.0, "decode": 0.0, "closer": 0.0, "rest": 0.0}
        self._small = model.grid if settings.grid == "small" and settings.points_per_side else None

    def of_pixels(self, pixels_HW3: NDArray[np.uint8]) -> Found:
        size_hw = (int(pixels_HW3.shape[0]), int(pixels_HW3.shape[1]))
        s = self._settings
        crops = crop_layers(size_hw, s.crop_n_layers, s.crop_overlap_ratio)
        self._total = sum(len(self._grids[layer]) for layer, _ in crops)
        found: list[AutomaticMask] = []
        whole: EncodedImage | None = None
        for layer, crop in crops:
            x0, y0, x1, y1 = crop
            part_HW3 = pixels_HW3[y0:y1, x0:x1]
            image = self._timed("encode", partial(self._model.encode, part_HW3))
            asked = image
            if self._small is not None and len(self._grids[layer]):
                asked = self._timed("encode", partial(self._small.encode, part_HW3))
            kept = self._in_crop(image, asked, layer, crop, size_hw)
            found += self._drawn(kept, image, crop, size_hw)
            whole = whole or image
        assert whole is not None, "layer 0 is the whole image"
        return self._finished(found, whole, pixels_HW3)

    def of_encoded(self, image: EncodedImage) -> Found:
        height, width = image.size_hw
        self._total = len(self._grids[0])
        crop = (0, 0, width, height)
        kept = self._in_crop(image, image, 0, crop, image.size_hw)
        return self._finished(self._drawn(kept, image, crop, image.size_hw), image)

    def _timed(self, part: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = work()
        self._seconds[part] += time.perf_counter() - started
        return result

    def _in_crop(
        self, image: EncodedImage, asked: EncodedImage, layer: int, crop: Crop, size_hw: SizeHW
    ) -> list[Proposal]:
        """What is kept. `asked` answers the grid: the image itself, or as the small twin sees it."""
        settings = self._settings
        if asked is not image:
            settings = replace(
                settings,
                pred_iou_thresh=settings.small_pred_iou_thresh,
                stability_score_thresh=settings.small_stability_thresh,
            )
        judge = Judge(settings, asked.transform, side_of(asked), crop, size_hw, self._rejected)
        proposals = self._proposals(asked, self._grids[layer], judge)
        kept = self._without_duplicates(proposals, side_of(asked))
        if asked is not image:
            again = Judge(self._settings, image.transform, side_of(image), crop, size_hw, self._rejected)
            answered = self._answered_again(image, kept[: settings.small_keep], side_of(asked), again)
            kept = self._without_duplicates(answered, side_of(image))
        if in_boxes := self._in_boxes(image, crop, size_hw):
            kept = self._without_duplicates([*in_boxes, *kept], side_of(image))
        return kept

    def _answered_again(
        self, image: EncodedImage, proposals: Sequence[Proposal], side: int, judge: Judge
    ) -> list[Proposal]:
        """Each point once more, with what the twin found as a mask to start from."""
        started = time.perf_counter()
        passed: list[Proposal] = []

        def ask(proposal: Proposal) -> Candidate:
            before = enlarged(proposal.low_res(side), side_of(image))
            return image.segment_batch([Prompt.of([proposal.point_xy], mask=before)])[0].best

        workers = image.model.workers
        for proposal, best in zip(proposals, in_order(ask, proposals, workers), strict=True):
            low_res_1mm = best.low_res_logits[None]
            passed += judge.passed(low_res_1mm, np.array([best.iou], np.float32), proposal.point_xy)
        self._seconds["decode"] += time.perf_counter() - started
        return passed

    def _in_boxes(self, image: EncodedImage, crop: Crop, size_hw: SizeHW) -> list[Proposal]:
        """The masks of the boxes that the model finds; the point of each is the middle of its box."""
        s, finder = self._settings, image.model.box_finder
        if finder is None or not s.boxes:
            return []
        started = time.perf_counter()
        found = finder.find(image.embedding, image.transform, s.boxes, s.box_score_thresh)
        judged = replace(
            s, pred_iou_thresh=s.box_pred_iou_thresh, stability_score_thresh=s.box_stability_thresh
        )
        judge = Judge(judged, image.transform, side_of(image), crop, size_hw, self._rejected)
        prompts = [Prompt.of(box=box) for box in found.boxes_xyxy_K4]
        middles_xy = (found.boxes_xyxy_K4[:, :2] + found.boxes_xyxy_K4[:, 2:]) / 2
        self._seconds["decode"] += time.perf_counter() - started
        answers = self._judged(image, prompts, middles_xy, SINGLE, judge)
        return [proposal for _, passed in answers for proposal in passed]

    def _proposals(self, image: EncodedImage, grid: NDArray[np.float64], judge: Judge) -> list[Proposal]:
        """Ask the grid, in rounds where covered points are skipped."""
        height, width = image.size_hw
        points_xy = grid * np.array([width, height])
        limit = self._settings.skip_covered
        rounds = coarse_to_fine(round(len(grid) ** 0.5)) if limit else [np.arange(len(points_xy))]
        side = side_of(image)
        covered = np.zeros((side, side), np.int32)
        proposals: list[Proposal] = []
        for indices in rounds:
            if limit:
                indices = indices[~self._is_covered(points_xy[indices], covered, image.transform, limit)]
            proposals += self._asked_round(image, points_xy[indices], judge)
            if limit:
                covered = self._coverage(proposals, side)
        return proposals

    def _coverage(self, proposals: Sequence[Proposal], side: int) -> NDArray[np.int32]:
        """How many different masks each cell lies in."""
        covered = np.zeros((side, side), np.int32)
        for i in self._distinct(proposals, side):
            covered[proposals[i].cells.slices] += proposals[i].logits > 0
        return covered

    def _is_covered(
        self, points_xy: NDArray[np.float64], covered: NDArray[np.int32], frame: ResizeLongest, limit: int
    ) -> NDArray[np.bool_]:
        cells_xy = frame.to_model_points(points_xy) * (len(covered) / frame.input_size)
        x, y = cells_xy.astype(np.intp).clip(0, len(covered) - 1).T
        skipped = np.asarray(covered[y, x] >= limit)
        self._rejected["covered point"] += int(skipped.sum())
        self._told(int(skipped.sum()))
        return skipped

    def _told(self, points: int) -> None:
        self._asked += points
        if self._progress and points:
            self._progress(self._asked, self._total)

    def _asked_round(
        self, image: EncodedImage, points_xy: NDArray[np.float64], judge: Judge
    ) -> Iterator[Proposal]:
        prompts = [Prompt.of([point]) for point in points_xy]
        for asked, passed in self._judged(image, prompts, points_xy, SEVERAL, judge):
            self._told(asked)
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
        asked = time.perf_counter()
        for indices, decoded in self._decoded(image, prompts):
            answered = time.perf_counter()
            passed: list[Proposal] = []
            for row, index in enumerate(indices):
                x, y = points_xy[index].tolist()
                passed += judge.passed(
                    decoded.low_res_masks_P4mm[row, slots], decoded.iou_P4[row, slots], (x, y)
                )
            self._seconds["decode"] += answered - asked
            self._seconds["rest"] += time.perf_counter() - answered
            yield len(indices), passed
            asked = time.perf_counter()

    def _decoded(
        self, image: EncodedImage, prompts: Sequence[Prompt]
    ) -> Iterator[tuple[list[int], DecodedArrays]]:
        """Answers in the order of the prompts; several calls are under way where the model gains by it."""
        backend, workers = image.model.backend, image.model.workers
        calls = batches(prompts, backend.spec, image.transform, backend.batch_size)

        def decode(call: tuple[list[int], DecodeInput]) -> tuple[list[int], DecodedArrays]:
            indices, arrays = call
            return indices, backend.decode(image.embedding, _shifted(arrays, self._settings.point_shift))

        yield from in_order(decode, calls, workers)

    def _without_duplicates(self, proposals: Sequence[Proposal], side: int) -> list[Proposal]:
        started = time.perf_counter()
        kept = self._distinct(proposals, side)
        self._rejected["duplicate"] += len(proposals) - len(kept)
        self._seconds["rest"] += time.perf_counter() - started
        return [proposals[i] for i in kept]

    def _distinct(self, proposals: Sequence[Proposal], side: int) -> NDArray[np.intp]:
        """Which stay, best first."""
        if not proposals:
            return np.zeros(0, np.intp)
        scores = np.array([p.iou for p in proposals])
        if self._settings.duplicates == "box":
            boxes = np.array([p.box_xyxy for p in proposals])
            return box_nms(boxes, scores, self._settings.box_nms_thresh)
        bits_MK = np.stack([p.bits(side) for p in proposals])
        return mask_nms(bits_MK, scores, self._settings.box_nms_thresh)

    def _drawn(
        self, kept: Sequence[Proposal], image: EncodedImage, crop: Crop, size_hw: SizeHW
    ) -> list[AutomaticMask]:
        started = time.perf_counter()
        masks = [self._upscaled(proposal, image, crop, size_hw) for proposal in kept]
        self._rejected["empty"] += sum(m.mask.is_empty for m in masks)
        self._seconds["rest"] += time.perf_counter() - started
        return [m for m in masks if not m.mask.is_empty]

    def _upscaled(
        self, proposal: Proposal, image: EncodedImage, crop: Crop, size_hw: SizeHW
    ) -> AutomaticMask:
        low_res = proposal.low_res(side_of(image))
        mask = Mask.from_array(image.transform.to_image_mask(low_res)).placed(size_hw, crop[:2])
        stability = proposal.stability
        if self._settings.scoring == "image":
            scorer = ImageScorer(image.transform, side_of(image), self._settings.stability_score_offset)
            stability = scorer.exact_stability(low_res)
        x, y = proposal.point_xy
        logits = (low_res, image.transform) if self._keep_logits else (None, None)
        return AutomaticMask(mask, proposal.iou, stability, (x + crop[0], y + crop[1]), crop, *logits)

    def _finished(
        self, found: list[AutomaticMask], image: EncodedImage, pixels_HW3: NDArray[np.uint8] | None = None
    ) -> Found:
        """`image`: the whole. From closer if that is wished, its model looks twice and there are pixels."""
        found = self._timed("rest", partial(self._across_crops, found))
        if self._settings.second_look and image.model.zooms and pixels_HW3 is not None:
            found = self._timed("closer", partial(self._seen_closer, found, ZoomImage(image, pixels_HW3)))
        found = self._timed("rest", partial(self._cleaned, found))
        rejected = {name: count for name, count in sorted(self._rejected.items()) if count}
        seconds = {part: round(value, 4) for part, value in self._seconds.items()}
        return Found(found, image.size_hw, image.content_hash, rejected, seconds)

    def _seen_closer(self, found: list[AutomaticMask], image: ZoomImage) -> list[AutomaticMask]:
        """As they were judged, drawn again; of those that then come out alike the better predicted stays."""
        drawn = [self._redrawn(m, seen_closer(image, m.mask)) for m in found]
        scores = np.array([m.predicted_iou for m in drawn])
        return self._nms(drawn, scores, self._settings.box_nms_thresh) if drawn else []

    def _redrawn(self, found: AutomaticMask, answer: Candidate) -> AutomaticMask:
        """As it was where nothing is seen from closer."""
        mask = answer.mask
        if mask.is_empty:
            return found
        logits = (answer.low_res_logits, answer.transform) if self._keep_logits else (None, None)
        return replace(found, mask=mask, low_res_logits=logits[0], transform=logits[1])

    def _across_crops(self, found: list[AutomaticMask]) -> list[AutomaticMask]:
        """Masks of smaller crops win."""
        if len({m.crop_box_xyxy for m in found}) < 2:
            return found
        crops = np.array([m.crop_box_xyxy for m in found], np.float64)
        scores = 1 / (crops[:, 2:] - crops[:, :2]).prod(axis=1)
        return self._nms(found, scores, self._settings.crop_nms_thresh)

    def _cleaned(self, found: list[AutomaticMask]) -> list[AutomaticMask]:
        """Small islands and holes go; where that makes two masks alike, the one that needed none stays."""
        least = self._settings.min_mask_region_area
        if not least or not found:
            return found
        cleaned = [replace(m, mask=m.mask.without_small_parts(least)) for m in found]
        untouched = np.array([float(new.mask is old.mask) for new, old in zip(cleaned, found, strict=True)])
        threshold = max(self._settings.box_nms_thresh, self._settings.crop_nms_thresh)
        return self._nms(cleaned, untouched, threshold)

    def _nms(
        self, found: list[AutomaticMask], scores: NDArray[np.float64], threshold: float
    ) -> list[AutomaticMask]:
        if self._settings.duplicates == "box":
            boxes = np.array([m.mask.box_xyxy for m in found], np.float64) - np.array([0, 0, 1, 1])
            kept = box_nms(boxes, scores, threshold)
        else:
            masks = [m.mask for m in found]
            kept = overlap_nms(iou_matrix(masks, masks), scores, threshold)
        self._rejected["duplicate"] += len(found) - len(kept)
        return [found[i] for i in kept]


def seen_closer(image: ZoomImage, mask: Mask) -> Candidate:
    """Drawn again and again in a window around it."""
    best = image.segment(mask=mask).best
    for _ in range(REDRAWN - 1):
        best = image.segment(mask=best).best
    return best


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
