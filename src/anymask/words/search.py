"""Find what a word names in a photo: instances with scores, and whether it is there at all.

Boxes are ranked by what the naming model sees in them, the best are decoded to masks, and the masks are
scored again. What has no shape of its own (grass, sky) comes from the heat of the dense head, where no mask
covers it.

Legend: K boxes, R regions, M masks, C channels of features, H W image pixels, h w cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anymask.core.candidates import Candidates
from anymask.core.mask import Mask, iou_matrix
from anymask.core.prompt import Prompt
from anymask.core.resample import Floats, lines_between, neighbours
from anymask.predict.detectors import DetectedBoxes
from anymask.words.naming import (
    IMAGENET,
    TRAINED,
    Cells,
    NamingFeatures,
    NamingModel,
    Query,
    RegionVectors,
    mean_exemplar,
)
from anymask.words.regions import STRIDE

MAX_BOXES, MIN_BOX_SCORE = 60, 0.03
DECODED = 12  # boxes that are decoded for a word, at most
LIKELY = 0.2  # relative to the best box: those below are not decoded
INSIDE = 0.8  # of a box's area, to lie in another
PHOTO_SHARE = 0.4  # how much the photo as a whole counts for presence, beside regions, boxes and cells
SAME_IOU = 0.6  # of two masks, above which the better one stays
HEAT, LIKE = "heat", "like"
UNKNOWN = "unknown"
NOTHING = np.zeros(0, np.float32)
PART = 0.85  # share of a mask that lies in another, of which it then is a part
SMALL_PART = 0.1  # of the whole, above which it may be a thing of its own in a group
NEARLY = 0.9  # of the score of a part: a whole that has it takes its place


class ImageParts(Protocol):
    """What of an encoded photo is asked; an `Encoding` has it (one pass: quick)."""

    @property
    def size_hw(self) -> tuple[int, int]: ...

    def detect_boxes(self, max_boxes: int, min_score: float) -> DetectedBoxes: ...

    def segment_batch(self, prompts: Sequence[Prompt]) -> list[Candidates]: ...


@dataclass(frozen=True, slots=True)
class NamedMask:
    """A mask with the word it answers. `score`: 0..1, the geometric mean of its own chance to be what was
    asked for and of the presence of the word. `scorer`: "trained", "imagenet", "heat" or "like".
    """

    mask: Mask
    score: float
    name: str
    scorer: str


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to a word. `presence`: 0..1; `present`: it reaches the threshold, which lets one in twenty
    absent words through. `masks`: best first; those that would be shown if the word were there, also when it
    is not.
    """

    word: str
    present: bool
    presence: float
    threshold: float
    masks: tuple[NamedMask, ...]
    scorer: str


@dataclass(frozen=True, eq=False)
class WordSearch:
    """A photo ready to be searched for any number of words; keeps what it has decoded."""

    parts: ImageParts
    namer: NamingModel
    features: NamingFeatures
    _decoded: dict[int, Mask] = field(default_factory=dict, init=False, repr=False)
    _vectors: dict[int, RegionVectors] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def boxes(self) -> DetectedBoxes:
        return self.parts.detect_boxes(MAX_BOXES, MIN_BOX_SCORE)

    @cached_property
    def _box_regions(self) -> RegionVectors:
        return self.namer.regions_of_boxes(self.features, self.boxes.boxes_xyxy_K4)

    @cached_property
    def _cells(self) -> Cells:
        return self.namer.cells(self.features)

    def find(self, query: Query, box_xyxy: ArrayLike | None = None) -> Found:
        """Instances of a word, and whether there are any. With a box only what lies in it is looked at."""
        scorer = self.namer.scorer_of(query)
        named_K = self.namer.score_regions(self._box_regions, query) if len(self.boxes) else NOTHING
        chosen = self._best_boxes(named_K, box_xyxy)
        masks = self._masks(chosen)
        scores_R = self._mask_scores(chosen, named_K, query)
        presence = self._presence(query, scores_R, named_K, scorer)
        found = self._instances(masks, scores_R, query.word, scorer)
        heat = self._heat_mask(query, scores_R, found) if box_xyxy is None else None
        threshold = self.namer.table.fact(f"{scorer}_threshold")
        shown = [*found, *([heat] if heat else [])]
        scored = [replace(one, score=float(np.sqrt(one.score * presence))) for one in shown]
        best_first = tuple(sorted(scored, key=lambda one: -one.score))
        return Found(query.word, presence >= threshold, presence, threshold, best_first, scorer)

    def find_like(self, exemplars_C: Sequence[Floats], name: str = LIKE) -> Found:
        """Instances of what the exemplars show (see `NamingModel.exemplar`): the mean of their features."""
        chosen = np.arange(min(DECODED * 2, len(self.boxes)))
        exemplar_C = mean_exemplar(exemplars_C)
        if len(self.boxes):
            near_K = self.namer.similarity(self._box_regions, exemplar_C)
            chosen = np.argsort(-near_K, kind="stable")[: DECODED * 2]
        masks = self._masks(chosen)
        scores_R = self.namer.similarity(self._regions(chosen), exemplar_C).clip(0, 1)
        threshold = self.namer.table.fact("like_threshold")
        kept = [i for i in kept_masks(masks, scores_R) if scores_R[i] >= threshold]
        found = tuple(NamedMask(masks[i], float(scores_R[i]), name, LIKE) for i in kept)
        best = float(scores_R.max(initial=0.0))
        return Found(name, best >= threshold, best, threshold, found, LIKE)

    def without(self, found: Found, query: Query) -> Found:
        """The masks that are not rather what another word names."""
        if not found.masks:
            return found
        regions = self.namer.regions_of_masks(self.features, [one.mask for one in found.masks])
        other_M = self.namer.score_regions(regions, query)
        kept = tuple(m for m, other in zip(found.masks, other_M.tolist(), strict=True) if m.score >= other)
        return replace(found, masks=kept, present=found.present and bool(kept))

    def _best_boxes(self, named_K: Floats, box_xyxy: ArrayLike | None) -> NDArray[np.intp]:
        """The boxes that are worth a mask, best first. `named_K`: how likely each is called so."""
        if not len(self.boxes):
            return np.zeros(0, np.intp)
        scores_K = named_K * self.boxes.scores_K**0.5
        if box_xyxy is not None:
            scores_K = scores_K * (inside_share(self.boxes.boxes_xyxy_K4, box_xyxy) >= INSIDE)
        order = np.argsort(-scores_K, kind="stable")[:DECODED]
        order = order[scores_K[order] > 0]
        if not len(order):
            return order
        return np.asarray(order[scores_K[order] >= LIKELY * scores_K[order[0]]], np.intp)

    def _masks(self, chosen: NDArray[np.intp]) -> list[Mask]:
        """Of those boxes; decoded once."""
        new = [int(i) for i in chosen if int(i) not in self._decoded]
        if new:
            prompts = [Prompt.of(box=self.boxes.boxes_xyxy_K4[i]) for i in new]
            masks = [answer.best.mask for answer in self.parts.segment_batch(prompts)]
            vectors = self.namer.regions_of_masks(self.features, masks)
            for row, (index, mask) in enumerate(zip(new, masks, strict=True)):
                self._decoded[index], self._vectors[index] = mask, vectors.of([row])
        return [self._decoded[int(i)] for i in chosen]

    def _regions(self, chosen: NDArray[np.intp]) -> RegionVectors:
        """Of masks that were decoded."""
        if not len(chosen):
            return self.namer.regions_of_masks(self.features, [])
        rows = [self._vectors[int(i)] for i in chosen]
        return RegionVectors(
            np.concatenate([one.learned_RD for one in rows]),
            np.concatenate([one.classes_RD for one in rows]),
            np.concatenate([one.pooled_RC for one in rows]),
        )

    def _mask_scores(self, chosen: NDArray[np.intp], named_K: Floats, query: Query) -> Floats:
        """Of a mask and of its box, together."""
        if not len(chosen):
            return NOTHING
        by_mask = self.namer.score_regions(self._regions(chosen), query)
        return np.asarray(np.sqrt(by_mask * named_K[chosen]), np.float32)

    def _presence(self, query: Query, scores_R: Floats, named_K: Floats, scorer: str) -> float:
        """Of the best region; for a trained word the geometric mean with the best box of all, the hottest
        cells and what the photo shows as a whole.
        """
        best = float(scores_R.max(initial=0.0))
        if scorer == IMAGENET or not len(self.boxes):
            return best
        box = float(named_K.max(initial=0.0))
        heat = float(np.sort(self._heat(query), axis=None)[-4:].mean())
        placed, photo = float(np.cbrt(best * box * heat)), self.namer.chance_in_photo(self.features, query)
        return placed if photo is None else placed ** (1 - PHOTO_SHARE) * photo**PHOTO_SHARE

    def _heat(self, query: Query) -> Floats:
        return self.namer.heat(self._cells, query)

    def _instances(
        self, masks: Sequence[Mask], scores_R: Floats, word: str, scorer: str
    ) -> tuple[NamedMask, ...]:
        """The masks that are not much worse than the best, without duplicates; at least the best."""
        if not masks:
            return ()
        least = min(float(scores_R.max()), self.namer.table.fact(f"{scorer}_instance"))
        kept = [i for i in kept_masks(masks, scores_R) if scores_R[i] >= least]
        kept = without_parts(masks, scores_R, kept)
        return tuple(NamedMask(masks[i], float(scores_R[i]), word, scorer) for i in kept)

    def _heat_mask(self, query: Query, scores_R: Floats, found: Sequence[NamedMask]) -> NamedMask | None:
        """What the dense head sees, where it is surer than any region and no mask covers it."""
        heat_hw = self._heat(query)
        hottest, best = float(heat_hw.max()), float(scores_R.max(initial=0.0))
        facts = self.namer.table.fact
        if self.namer.scorer_of(query) != TRAINED or hottest <= facts("heat_over_region") * best:
            return None
        mask = Mask.from_array(self.upscaled(heat_hw) > facts("heat_cut"))
        covered = [one.mask for one in found if one.score >= 0.5]
        if mask.is_empty or (covered and max((mask & m).area for m in covered) > 0.5 * mask.area):
            return None
        return NamedMask(mask, hottest, query.word, HEAT)

    def upscaled(self, heat_hw: Floats) -> Floats:
        """(H, W): a map of cells in pixels of the image, bilinear."""
        frame = self.features.frame
        lines = heat_hw
        for axis in (0, 1):
            cells, model = heat_hw.shape[axis] * STRIDE, frame.size_hw_model[axis]
            image = frame.size_hw_image[axis]
            shown = round(image * cells / model)  # the image with its padding
            step = neighbours(heat_hw.shape[axis], shown, slice(0, image))
            lines = np.ascontiguousarray(lines_between(np.ascontiguousarray(lines), step).T)
        return lines


def inside_share(boxes_xyxy_K4: NDArray[np.float64], box_xyxy: ArrayLike) -> NDArray[np.float64]:
    """(K,): the share of each box's area that lies in another."""
    low, high = np.split(np.asarray(box_xyxy, np.float64), 2)
    common = np.minimum(boxes_xyxy_K4[:, 2:], high) - np.maximum(boxes_xyxy_K4[:, :2], low)
    area = (boxes_xyxy_K4[:, 2:] - boxes_xyxy_K4[:, :2]).prod(1)
    return np.asarray(common.clip(0).prod(1) / np.maximum(area, 1e-9))


def kept_masks(masks: Sequence[Mask], scores_R: Floats) -> list[int]:
    """The numbers of the masks that are no duplicates of a better one, best first."""
    order = np.argsort(-scores_R, kind="stable").tolist()
    ious, kept = iou_matrix(masks, masks), list[int]()
    for i in order:
        if not masks[i].is_empty and all(ious[i, k] <= SAME_IOU for k in kept):
            kept.append(i)
    return kept


def without_parts(masks: Sequence[Mask], scores_R: Floats, kept: Sequence[int]) -> list[int]:
    """Of the kept ones those that are no small part of another, named nearly as surely: an eye is not a cat,
    but a person is one beside a mask of two.
    """
    return [
        i
        for i in kept
        if not any(
            i != k
            and masks[i].area < SMALL_PART * masks[k].area
            and scores_R[k] >= NEARLY * scores_R[i]
            and (masks[i] & masks[k]).area >= PART * masks[i].area
            for k in kept
        )
    ]


def name_masks(
    namer: NamingModel, features: NamingFeatures, masks: Sequence[Mask]
) -> list[tuple[str, float]]:
    """The most likely name of each mask with its probability; "unknown" where none is likely enough."""
    if not masks:
        return []
    named_RN, _ = namer.name_regions(namer.regions_of_masks(features, masks))
    best_R, least = named_RN.argmax(1), namer.table.fact("name_threshold")
    chances = named_RN[np.arange(len(masks)), best_R].tolist()
    return [
        (namer.names[i] if p >= least else UNKNOWN, p) for i, p in zip(best_R.tolist(), chances, strict=True)
    ]
