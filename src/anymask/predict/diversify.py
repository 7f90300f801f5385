"""Diversification: candidates of an ambiguous prompt that differ, or there would be nothing to choose among.

A point may mean a part, a thing or a group (paper, section 3), and the network answers with three masks.
Where two or three of them are near-duplicates (IoU >= 0.8) they are one candidate with the sum of their
probabilities. After refinement, which often makes them alike, the free places go to threshold variants: the
most probable mask cut at a higher logit (often a part of the thing) or at a lower one (more than it).
Legend: M candidates, K bytes of the bits of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from anymask.core.candidates import THRESHOLD, Candidate, Candidates
from anymask.core.frames import ResizeLongest
from anymask.core.prompt import Prompt

NEAR_DUPLICATE_IOU = 0.8  # of two masks in one frame from which on they are one answer, predicted twice
VARIANT_SHIFTS = np.array([-4.0, 4.0], np.float32)  # of the logits: the higher threshold first
VARIANT_PROBABILITY = 0.13  # of a threshold variant that is shown: as often is it the best (training photos)
MAX_CANDIDATES = 3

Refine = Callable[[Candidate], Candidate]


def merge_near_duplicates(answer: Candidates, prompt: Prompt, frame: ResizeLongest) -> Candidates:
    """Near-duplicates as one candidate: the most probable of them, with the sum of their probabilities."""
    if len(answer) == 1:
        return answer
    near_MM = mask_overlaps(answer.low_res_logits) >= NEAR_DUPLICATE_IOU
    kept: dict[int, float] = {}
    for m, probability in enumerate(answer.probability.tolist()):
        home = next((k for k in kept if near_MM[m, k]), m)
        kept[home] = kept.get(home, 0.0) + probability
    if len(kept) == len(answer):
        return answer
    merged = [replace(answer[m], probability=probability) for m, probability in kept.items()]
    return Candidates.of(merged, answer.none_probability).by_probability()


def threshold_variants(first: Candidates) -> Candidates:
    """The most probable mask cut at a higher and at a lower logit.

    Their predicted IoU: that of the candidate times their overlap with it. Probabilities: 0.
    """
    best = first.best
    logits_Mhw = best.low_res_logits + VARIANT_SHIFTS[:, None, None]
    overlap_M = mask_overlaps(np.concatenate([best.low_res_logits[None], logits_Mhw]))[0, 1:]
    iou_M, count = (best.iou * overlap_M).astype(np.float32), len(VARIANT_SHIFTS)
    return Candidates(logits_Mhw, iou_M, np.zeros(count, np.float32), 0.0, (best.frame,) * count)


def diversify_candidates(first: Candidates, variants: Candidates, refine: Refine) -> Candidates:
    """The candidates of the first pass, refined; near-duplicates are merged, variants fill the free places.

    All of `first` and `variants` lie in one frame. Predicted IoUs are those of the first pass.
    """
    refined: list[Candidate] = []
    for candidate in first:
        _add(refined, refine(candidate), candidate.probability)
    own = len(refined)
    for variant in _new_ones(first, variants):
        if len(refined) == MAX_CANDIDATES:
            break
        _add(refined, replace(refine(variant), probability=VARIANT_PROBABILITY), 0.0)
    left = 1 - VARIANT_PROBABILITY * (len(refined) - own)
    refined[:own] = [replace(c, probability=left * c.probability) for c in refined[:own]]
    return Candidates.of(refined, left * first.none_probability).by_probability()


def _add(distinct: list[Candidate], candidate: Candidate, probability: float) -> None:
    """To those that differ; a near-duplicate gives its probability to the one it resembles."""
    for i, other in enumerate(distinct):
        if near_duplicates([candidate, other])[0, 1]:
            distinct[i] = replace(other, probability=other.probability + probability)
            return
    distinct.append(candidate)


def _new_ones(first: Candidates, variants: Candidates) -> list[Candidate]:
    """Variants that are not empty and no near-duplicate of what is there."""
    overlap = mask_overlaps(np.concatenate([variants.low_res_logits, first.low_res_logits]))
    is_near_M = (overlap[: len(variants), len(variants) :] >= NEAR_DUPLICATE_IOU).any(axis=1)
    is_new_M = ~is_near_M & (variants.low_res_logits > THRESHOLD).any(axis=(1, 2))
    return [variants[int(m)] for m in np.flatnonzero(is_new_M)]


def near_duplicates(candidates: Sequence[Candidate]) -> NDArray[np.bool_]:
    """(M, M): which are predicted in the same frame, and hardly differ there."""
    framed_MM = np.array([[a.frame == b.frame for b in candidates] for a in candidates])
    overlap_MM = mask_overlaps(np.stack([c.low_res_logits for c in candidates]))
    return np.asarray(framed_MM) & (overlap_MM >= NEAR_DUPLICATE_IOU)


def mask_overlaps(logits_Mhw: NDArray[np.float32]) -> NDArray[np.float64]:
    """(M, M) IoU of the masks; 1 when both are empty."""
    bits_MK = np.packbits(logits_Mhw.reshape(len(logits_Mhw), -1) > THRESHOLD, axis=1)
    both_MM = np.bitwise_count(bits_MK[:, None] & bits_MK).sum(axis=2, dtype=np.int64)
    cells_M = both_MM.diagonal()
    either_MM = cells_M[:, None] + cells_M - both_MM
    return np.where(either_MM > 0, both_MM / np.maximum(either_MM, 1), 1.0)
