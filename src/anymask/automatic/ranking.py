"""Ranking by probability: votes, NMS, then refinement of what stays, in the crop that shows it largest.

Legend: M masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from anymask.automatic.config import AutomaticSettings
from anymask.automatic.crop import View, best_view, in_order
from anymask.automatic.filters import Proposal, with_logits
from anymask.automatic.nms import nms_of_masks
from anymask.automatic.probability import MaskProbability
from anymask.automatic.stability import image_window, strips
from anymask.automatic.stats import GenerationStats
from anymask.core.automatic_mask import Evidence
from anymask.core.frames import redraw
from anymask.core.mask import Mask, iou_matrix
from anymask.core.prompt import Prompt
from anymask.predict.loaded import LoadedModel

ALIKE = 0.7  # IoU of two masks above which their prompts agree
AT_EDGE_PX = 1  # a mask nearer to an edge of the image touches it


@dataclass(frozen=True, slots=True, eq=False)
class UpscaledMask:
    """A proposal as a mask of the image, in the view that it was found in. `probability`: 0 until there is
    `evidence`.
    """

    mask: Mask
    proposal: Proposal
    view: View
    probability: float = 0.0
    evidence: Evidence | None = None

    @classmethod
    def of(cls, proposal: Proposal, view: View) -> UpscaledMask:
        return cls(_upscaled(proposal, view), proposal, view)

    def scored(
        self, probability: MaskProbability, votes_of_boxes: int = 1, votes_of_points: int = 1
    ) -> UpscaledMask:
        """With its probability."""
        evidence = self._evidence(votes_of_boxes, votes_of_points)
        return replace(self, probability=probability(evidence), evidence=evidence)

    def cleaned(self, min_area: int) -> UpscaledMask:
        """Without islands and holes below `min_area` pixels; the same mask where there are none."""
        return replace(self, mask=self.mask.without_small_regions(min_area))

    def _evidence(self, votes_of_boxes: int, votes_of_points: int) -> Evidence:
        (x0, y0, x1, y1), (height, width) = self.mask.box_xyxy, self.view.size_hw
        left, top, right, bottom = self.view.region
        near = (x0, y0, width - x1, height - y1)
        return Evidence(
            self.proposal.prompt.box_score,
            self.proposal.iou,
            self.proposal.stability,
            self.mask.area / ((right - left) * (bottom - top)),
            votes_of_boxes,
            votes_of_points,
            sum(distance <= AT_EDGE_PX for distance in near),
        )


def _upscaled(proposal: Proposal, view: View) -> Mask:
    """Only where the mask is: a small mask of a huge photo costs what its box does."""
    frame, low_res = view.image.frame, proposal.low_res(view.side)
    window = image_window(frame, view.side, proposal.low_res_box)
    if window is None:
        return Mask.from_array(np.zeros(view.size_hw, np.bool_))
    parts = [frame.to_image_window(low_res, *strip) > 0 for strip in strips(window)]
    x0, y0 = view.crop[:2]
    return Mask.from_array(np.concatenate(parts)).placed(view.size_hw, (x0 + window.x0, y0 + window.y0))


def ranked_by_probability(
    found: Sequence[UpscaledMask],
    views: Sequence[View],
    settings: AutomaticSettings,
    model: LoadedModel,
    stats: GenerationStats,
) -> list[UpscaledMask]:
    """Those that stay, most probable first: each near-duplicate of a more probable one goes, before and after
    refinement and clean-up, and so does what is less probable than `min_probability`.
    """
    with stats.timing("rest"):
        kept = _distinct(_with_probability(found, model), settings, stats)
        likely = [d for d in kept if d.probability >= settings.min_probability]
        stats.filtered_by["probability"] += len(kept) - len(likely)
    if settings.refine and model.refines:
        with stats.timing("refine"):
            likely = _refined(likely, views, model, stats)
    with stats.timing("rest"):
        if settings.min_mask_region_area:
            likely = [d.cleaned(settings.min_mask_region_area) for d in likely]
        likely = [d for d in likely if not d.mask.is_empty]
        return _distinct(likely, settings, stats)


def _with_probability(found: Sequence[UpscaledMask], model: LoadedModel) -> list[UpscaledMask]:
    """Prompts that were answered alike are votes for the answer."""
    probability = MaskProbability.of_card(model.automatic)
    masks = [d.mask for d in found]
    alike_MM = iou_matrix(masks, masks) > ALIKE
    of_box_M = np.array([d.proposal.prompt.box_score is not None for d in found], np.bool_)
    votes = (alike_MM[:, kind].sum(axis=1).tolist() for kind in (of_box_M, ~of_box_M))
    return [d.scored(probability, *counts) for d, *counts in zip(found, *votes, strict=True)]


def _distinct(
    found: Sequence[UpscaledMask], settings: AutomaticSettings, stats: GenerationStats
) -> list[UpscaledMask]:
    scores = np.array([d.probability for d in found])
    kept = nms_of_masks([d.mask for d in found], scores, settings.duplicates, settings.box_nms_thresh)
    stats.filtered_by["duplicate"] += len(found) - len(kept)
    return [found[i] for i in kept]


def _refined(
    found: Sequence[UpscaledMask], views: Sequence[View], model: LoadedModel, stats: GenerationStats
) -> list[UpscaledMask]:
    stats.total += len(found)
    refined = []
    for one in in_order(lambda d: refine(d, views), found, model.workers):
        refined.append(one)
        stats.add_answered(1)
    return refined


def refine(found: UpscaledMask, views: Sequence[View]) -> UpscaledMask:
    """Refined once: predicted again from itself as the mask prompt, in the view that shows it largest.

    Its scores stay: they say how good an answer it was, not how well that is redrawn. As it was where nothing
    comes of it.
    """
    view = views[best_view(np.array(found.mask.box_xyxy, np.float64), views)]
    low_res = redraw(found.proposal.low_res(found.view.side), found.view.frame, view.frame)
    answer = view.image.segment_batch([Prompt.of(mask=low_res)])[0].best
    (x, y), was, now = found.proposal.prompt.point_xy, found.view.crop, view.crop
    prompt = replace(found.proposal.prompt, point_xy=(x + was[0] - now[0], y + was[1] - now[1]))
    proposal = with_logits(replace(found.proposal, prompt=prompt), answer.low_res_logits)
    mask = UpscaledMask.of(proposal, view).mask
    return found if mask.is_empty else replace(found, mask=mask, proposal=proposal, view=view)
