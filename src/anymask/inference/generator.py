"""Everything in an image: a grid of points, every point answered, confident and stable answers kept once.

Paper, section 5 and Appendix B. Of the thousands of answers only windows of low-resolution logits are kept;
a mask of the size of the image exists for what survives, one at a time, as run lengths. The result does not
depend on how many prompts share a call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anymask.automatic.points import Crop, crop_layers, point_grid
from anymask.core.automatic_mask import AutomaticMask
from anymask.core.candidates import Candidate
from anymask.core.mask import Mask
from anymask.core.progress import Progress
from anymask.core.prompt import Prompt
from anymask.core.resample import SizeHW
from anymask.errors import BadOption
from anymask.images.reader import read_image
from anymask.inference.account import Account
from anymask.inference.automatic_settings import PRESETS, AutomaticSettings, settings_of
from anymask.inference.crop_search import CropSearch, side_of
from anymask.inference.duplicates import Duplicates
from anymask.inference.filters import Proposal
from anymask.inference.scoring import ImageScorer
from anymask.predict.encoding import Encoding as EncodedImage
from anymask.predict.loaded import LoadedModel as Model
from anymask.predict.refine import Refinement

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
    `progress(done, total)` counts grid points, then masks that are drawn again, when `total` is known to be
    larger. Raises BadImage, BadOption.
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
    """The preset as the model's card calibrates it, with changes. Raises BadOption.

    A grid that the card calibrates is one beside boxes: where none are asked, the preset's own is.
    """
    settings = settings_of(preset, model.automatic, **changes)
    if not settings.boxes or model.box_path is None:
        if not settings.points_per_side:
            raise BadOption(f"points_per_side 0: {model.name} finds no boxes, so it has to ask a grid")
        if "points_per_side" not in changes:
            return replace(settings, points_per_side=PRESETS[preset].points_per_side)
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
        self._small: Any = None
        self._account = Account(progress)
        self._duplicates = Duplicates(settings, self._account)

    def of_pixels(self, pixels_HW3: NDArray[np.uint8]) -> Found:
        size_hw = (int(pixels_HW3.shape[0]), int(pixels_HW3.shape[1]))
        s = self._settings
        crops = crop_layers(size_hw, s.crop_n_layers, s.crop_overlap_ratio)
        self._account.total = sum(len(self._grids[layer]) for layer, _ in crops)
        found: list[AutomaticMask] = []
        whole: EncodedImage | None = None
        for layer, crop in crops:
            x0, y0, x1, y1 = crop
            part_HW3 = pixels_HW3[y0:y1, x0:x1]
            with self._account.timing("encode"):
                image = EncodedImage.of_pixels(self._model, part_HW3)
                small = EncodedImage.of_pixels(self._small, part_HW3) if self._small is not None else None
            kept = CropSearch(s, self._account, crop, size_hw).kept(image, self._grids[layer], small)
            found += self._drawn(kept, image, crop, size_hw)
            whole = whole or image
        assert whole is not None, "layer 0 is the whole image"
        return self._finished(found, whole, pixels_HW3)

    def of_encoded(self, image: EncodedImage) -> Found:
        height, width = image.size_hw
        crop, grid = (0, 0, width, height), self._grids[0]
        self._account.total = len(grid)
        kept = CropSearch(self._settings, self._account, crop, image.size_hw).kept(image, grid)
        return self._finished(self._drawn(kept, image, crop, image.size_hw), image)

    def _drawn(
        self, kept: Sequence[Proposal], image: EncodedImage, crop: Crop, size_hw: SizeHW
    ) -> list[AutomaticMask]:
        with self._account.timing("rest"):
            masks = [self._upscaled(proposal, image, crop, size_hw) for proposal in kept]
            self._account.rejected["empty"] += sum(m.mask.is_empty for m in masks)
            return [m for m in masks if not m.mask.is_empty]

    def _upscaled(
        self, proposal: Proposal, image: EncodedImage, crop: Crop, size_hw: SizeHW
    ) -> AutomaticMask:
        low_res = proposal.low_res(side_of(image))
        mask = Mask.from_array(image.frame.to_image_mask(low_res)).placed(size_hw, crop[:2])
        stability = proposal.stability
        if self._settings.scoring == "image":
            scorer = ImageScorer(image.frame, side_of(image), self._settings.stability_score_offset)
            stability = scorer.exact_stability(low_res)
        x, y = proposal.point_xy
        logits = (low_res, image.frame) if self._keep_logits else (None, None)
        return AutomaticMask(mask, proposal.iou, stability, (x + crop[0], y + crop[1]), crop, *logits)

    def _finished(
        self, found: list[AutomaticMask], image: EncodedImage, pixels_HW3: NDArray[np.uint8] | None = None
    ) -> Found:
        """`image`: the whole. From closer if that is wished, its model looks twice and there are pixels."""
        account = self._account
        with account.timing("rest"):
            found = self._duplicates.across_crops(found)
        if self._settings.second_look and image.model.refines and pixels_HW3 is not None:
            with account.timing("closer"):
                found = self._seen_closer(found, Refinement(image, pixels_HW3))
        with account.timing("rest"):
            found = self._cleaned(found)
        rejected = {name: count for name, count in sorted(account.rejected.items()) if count}
        seconds = {part: round(value, 4) for part, value in account.seconds.items()}
        return Found(found, image.size_hw, image.embedding.content_hash, rejected, seconds)

    def _seen_closer(self, found: list[AutomaticMask], image: Refinement) -> list[AutomaticMask]:
        """As they were judged, drawn again; of those that then come out alike the better predicted stays."""
        self._account.total += len(found)
        drawn = []
        for mask in found:
            drawn.append(self._redrawn(mask, seen_closer(image, mask.mask)))
            self._account.add_asked(1)
        scores = np.array([m.predicted_iou for m in drawn])
        return self._duplicates.best(drawn, scores, self._settings.box_nms_thresh)

    def _redrawn(self, found: AutomaticMask, answer: Candidate) -> AutomaticMask:
        """As it was where nothing is seen from closer."""
        mask = answer.mask
        if mask.is_empty:
            return found
        logits = (answer.low_res_logits, answer.frame) if self._keep_logits else (None, None)
        return replace(found, mask=mask, low_res_logits=logits[0], transform=logits[1])

    def _cleaned(self, found: list[AutomaticMask]) -> list[AutomaticMask]:
        """Small islands and holes go; where that makes two masks alike, the one that needed none stays."""
        least = self._settings.min_mask_region_area
        if not least or not found:
            return found
        cleaned = [replace(m, mask=m.mask.without_small_regions(least)) for m in found]
        untouched = np.array([float(new.mask is old.mask) for new, old in zip(cleaned, found, strict=True)])
        threshold = max(self._settings.box_nms_thresh, self._settings.crop_nms_thresh)
        return self._duplicates.best(cleaned, untouched, threshold)


def seen_closer(image: Refinement, mask: Mask) -> Candidate:
    """Drawn again and again in a window around it."""
    best = image.segment_batch([Prompt.of(mask=mask)])[0].best
    for _ in range(REDRAWN - 1):
        best = image.segment_batch([Prompt.of(mask=best)])[0].best
    return best
