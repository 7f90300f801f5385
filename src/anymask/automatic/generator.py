"""AutomaticMaskGenerator: everything in an image, from a grid of points and from detected boxes.

Paper, section 5 and Appendix B: prompts -> filters -> near-duplicates go -> small islands and holes go. Of
the thousands of answers only low-resolution logits are kept; a mask of the size of the image exists for what
survives, one at a time, as run lengths. The result does not depend on how many prompts share a call.

Crops are encoded once and shared: a box is answered, and a mask refined, in the crop that shows it largest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anymask.automatic.config import PRESETS, AutomaticSettings, settings_of
from anymask.automatic.crop import CropGenerator, View, detect_boxes
from anymask.automatic.filters import Proposal
from anymask.automatic.nms import nms_of_masks, nms_of_proposals
from anymask.automatic.points import Crop, crop_layers, point_grid
from anymask.automatic.probability import MaskProbability
from anymask.automatic.ranking import UpscaledMask, ranked_by_probability
from anymask.automatic.stability import ImageScorer
from anymask.automatic.stats import GenerationStats
from anymask.core.automatic_mask import AutomaticMask
from anymask.core.progress import Progress
from anymask.core.resample import Pixels, SizeHW
from anymask.errors import BadOption
from anymask.images.reader import content_hash
from anymask.predict.encoding import Encoding
from anymask.predict.loaded import LoadedModel

UNCALIBRATED = MaskProbability()
THRESHOLDS = ("pred_iou_thresh", "stability_score_thresh")
UNSUITED = "unsuited"  # on a card, under "automatic": presets whose thresholds this model rarely reaches


@dataclass(frozen=True, slots=True, eq=False)
class GeneratedMasks:
    """Everything that was found. `filtered_by`: answers that were dropped, by filter. `seconds`: of each
    part.
    """

    masks: list[AutomaticMask]
    size_hw: SizeHW
    content_hash: str
    filtered_by: dict[str, int]
    seconds: dict[str, float]


def everything(
    model: LoadedModel,
    pixels_HW3: Pixels,
    preset: str = "default",
    *,
    whole: Encoding | None = None,
    box: ArrayLike | None = None,
    progress: Progress | None = None,
    keep_logits: bool = False,
    **changes: Any,
) -> GeneratedMasks:
    """All masks of an image, most probable first; with `sa1b` and `sam_default` in the order of the published
    generator.

    `preset`: `default`, `precise`, `sa1b` or `sam_default`; `changes`: fields of `AutomaticSettings`.
    `whole`: the image encoded, if it is already. `box`: x0, y0, x1, y1, in pixels of the image: only what
    lies in it is looked for, as in a crop; masks that its edges cut off are dropped. `progress(done, total)`
    counts prompts and refined masks; `total` grows as they become known. Raises BadOption.
    """
    settings = settings_for(model, preset, **changes)
    return AutomaticMaskGenerator(model, settings, keep_logits, progress).generate(pixels_HW3, box, whole)


def everything_encoded(
    image: Encoding, preset: str = "default", *, progress: Progress | None = None, **changes: Any
) -> GeneratedMasks:
    """The same without the image's pixels. Raises BadOption for settings with crops."""
    settings = settings_for(image.model, preset, **changes)
    if settings.crop_n_layers:
        raise BadOption(
            f"{preset}: crops are cut from the photo: expected an image that keeps it (encode(photo, "
            "refine=True)), or crop_n_layers=0"
        )
    return AutomaticMaskGenerator(image.model, settings, False, progress).of_encoded(image)


def settings_for(model: LoadedModel, preset: str, **changes: Any) -> AutomaticSettings:
    """The preset as the model's card calibrates it, with changes. Raises BadOption.

    A grid that the card calibrates is one beside boxes: where none are asked, the preset's own is. A preset
    whose thresholds the model rarely reaches, as its card says, has to come with others.
    """
    settings = settings_of(preset, model.automatic, **changes)
    if preset in model.automatic.get(UNSUITED, ()) and not set(THRESHOLDS) & set(changes):
        raise BadOption(
            f"preset {preset} has thresholds for SAM-family models that {model.name} rarely reaches "
            f"(pred_iou_thresh {settings.pred_iou_thresh:g}, stability_score_thresh "
            f"{settings.stability_score_thresh:g}): use preset default or set them"
        )
    if not settings.boxes or model.box_path is None:
        if not settings.points_per_side:
            raise BadOption(f"points_per_side 0: {model.name} finds no boxes, so it has to ask a grid")
        if "points_per_side" not in changes:
            changes["points_per_side"] = PRESETS[preset].points_per_side
            return settings_of(preset, model.automatic, **changes)
    return settings


class AutomaticMaskGenerator:
    """Finds the masks of one image."""

    def __init__(
        self,
        model: LoadedModel,
        settings: AutomaticSettings,
        keep_logits: bool = False,
        progress: Progress | None = None,
        grids: Sequence[NDArray[np.float64]] | None = None,
    ) -> None:
        """`grids`: points x, y in the unit square for each layer, instead of those of the settings."""
        self._model, self._settings, self._keep_logits = model, settings, keep_logits
        layers = range(settings.crop_n_layers + 1)
        self._grids = grids or [point_grid(settings.points_of_layer(layer)) for layer in layers]
        self._stats = GenerationStats(progress)

    def generate(
        self, pixels_HW3: Pixels, box: ArrayLike | None = None, whole: Encoding | None = None
    ) -> GeneratedMasks:
        """`whole`: the image encoded, if it is already. Raises BadOption for a box without a pixel of it."""
        size_hw = (int(pixels_HW3.shape[0]), int(pixels_HW3.shape[1]))
        region = (0, 0, *size_hw[::-1]) if box is None else region_of(box, size_hw)
        with self._stats.timing("encode"):
            views = self._views(pixels_HW3, region, whole)
        digest = content_hash(pixels_HW3) if box is not None else views[0].image.embedding.content_hash
        return self._found(views, digest)

    def of_encoded(self, image: Encoding) -> GeneratedMasks:
        """In the whole image, which is encoded already."""
        height, width = image.size_hw
        whole = (0, 0, width, height)
        return self._found([View(image, whole, 0, whole, image.size_hw)], image.embedding.content_hash)

    def _views(self, pixels_HW3: Pixels, region: Crop, whole: Encoding | None) -> list[View]:
        """The region and its crops, each encoded once."""
        s, (left, top, right, bottom) = self._settings, region
        size_hw = (int(pixels_HW3.shape[0]), int(pixels_HW3.shape[1]))
        views = []
        for layer, (x0, y0, x1, y1) in crop_layers(
            (bottom - top, right - left), s.crop_n_layers, s.crop_overlap_ratio
        ):
            crop = (x0 + left, y0 + top, x1 + left, y1 + top)
            encoding = whole if crop == (0, 0, *size_hw[::-1]) else None
            if encoding is None:
                part_HW3 = np.ascontiguousarray(pixels_HW3[crop[1] : crop[3], crop[0] : crop[2]])
                encoding = Encoding.of_pixels(self._model, part_HW3)
            views.append(View(encoding, crop, layer, region, size_hw))
        return views

    def _found(self, views: Sequence[View], digest: str) -> GeneratedMasks:
        self._stats.total += sum(len(self._grids[view.layer]) for view in views)
        if self._settings.rank_by == "probability":
            masks = self._by_probability(views)
        else:
            masks = self._as_published(views)
        filtered_by = {name: count for name, count in sorted(self._stats.filtered_by.items()) if count}
        seconds = {part: round(value, 4) for part, value in self._stats.seconds.items()}
        return GeneratedMasks(masks, views[0].size_hw, digest, filtered_by, seconds)

    def _by_probability(self, views: Sequence[View]) -> list[AutomaticMask]:
        boxes = detect_boxes(views, self._settings, self._stats)
        drawn: list[UpscaledMask] = []
        for view, of_view in zip(views, boxes, strict=True):
            crop = CropGenerator(self._settings, self._stats, view)
            drawn += self._upscaled([*crop.of_boxes(of_view), *crop.of_points(self._grids[view.layer])], view)
        kept = ranked_by_probability(drawn, views, self._settings, self._model, self._stats)
        return [self._finished(d) for d in kept]

    def _as_published(self, views: Sequence[View]) -> list[AutomaticMask]:
        """Best predicted IoU first; between crops the smaller one wins; after clean-up what needed none.

        Probabilities are those of a model without calibration: near-duplicates, which vote, are gone.
        """
        s = self._settings
        kept: list[UpscaledMask] = []
        for view, of_view in zip(views, detect_boxes(views, s, self._stats), strict=True):
            crop = CropGenerator(s, self._stats, view)
            proposals = [*crop.of_boxes(of_view), *crop.of_points(self._grids[view.layer])]
            best = nms_of_proposals(proposals, view.side, s.duplicates, s.box_nms_thresh)
            self._stats.filtered_by["duplicate"] += len(proposals) - len(best)
            kept += self._upscaled([proposals[i] for i in best], view)
        with self._stats.timing("rest"):
            if len(views) > 1:
                crops = np.array([d.view.crop for d in kept], np.float64).reshape(-1, 4)
                kept = self._distinct(kept, 1 / (crops[:, 2:] - crops[:, :2]).prod(axis=1), s.crop_nms_thresh)
            scored = (d.scored(UNCALIBRATED) for d in self._cleaned(kept))
            return [self._finished(d) for d in scored if d.probability >= s.min_probability]

    def _upscaled(self, proposals: Sequence[Proposal], view: View) -> list[UpscaledMask]:
        """Upscaled, in the image."""
        with self._stats.timing("rest"):
            drawn = [UpscaledMask.of(proposal, view) for proposal in proposals]
            self._stats.filtered_by["empty"] += sum(d.mask.is_empty for d in drawn)
            return [d for d in drawn if not d.mask.is_empty]

    def _distinct(
        self, drawn: list[UpscaledMask], scores: NDArray[np.float64], threshold: float
    ) -> list[UpscaledMask]:
        kept = nms_of_masks([d.mask for d in drawn], scores, self._settings.duplicates, threshold)
        self._stats.filtered_by["duplicate"] += len(drawn) - len(kept)
        return [drawn[i] for i in kept]

    def _cleaned(self, drawn: list[UpscaledMask]) -> list[UpscaledMask]:
        """Small islands and holes go; where that makes two masks alike, the one that needed none stays."""
        s = self._settings
        if not s.min_mask_region_area:
            return drawn
        cleaned = [d.cleaned(s.min_mask_region_area) for d in drawn]
        untouched = np.array([float(c.mask is d.mask) for c, d in zip(cleaned, drawn, strict=True)])
        return self._distinct(cleaned, untouched, max(s.box_nms_thresh, s.crop_nms_thresh))

    def _finished(self, found: UpscaledMask) -> AutomaticMask:
        proposal, view = found.proposal, found.view
        low_res, stability = proposal.low_res(view.side), proposal.stability
        if self._settings.scoring == "image":
            scorer = ImageScorer(view.image.frame, view.side, self._settings.stability_score_offset)
            stability = scorer.exact_stability(low_res)
        (x, y), (x0, y0, _, _) = proposal.prompt.point_xy, view.crop
        logits = (low_res, view.frame) if self._keep_logits else (None, None)
        return AutomaticMask(
            found.mask,
            proposal.iou,
            stability,
            (x + x0, y + y0),
            view.crop,
            found.probability,
            found.evidence,
            *logits,
        )


def region_of(box: ArrayLike, size_hw: SizeHW) -> Crop:
    """The whole pixels of an image that a box touches. Raises BadOption where there are none."""
    edges = np.asarray(box, np.float64)
    if edges.shape != (4,) or not np.isfinite(edges).all():
        raise BadOption(f"box: expected x0, y0, x1, y1, got {box!r}")
    height, width = size_hw
    low = np.floor(edges[:2]).clip(0, (width, height)).astype(int)
    high = np.ceil(edges[2:]).clip(0, (width, height)).astype(int)
    if not (low < high).all():
        raise BadOption(f"box: expected x0 < x1 and y0 < y1, some of it in {width} x {height}, got {box!r}")
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
