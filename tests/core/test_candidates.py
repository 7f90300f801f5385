"""Candidates: sorted, sliced, upscaled on demand."""

from __future__ import annotations

import numpy as np
import pytest

from anymask.core.candidates import Candidate, Candidates
from anymask.core.frames import ResizeLongest
from anymask.core.mask import Mask

TRANSFORM = ResizeLongest((30, 40), 64)


def disks(*radii: float) -> np.ndarray:
    """Logits of disks around the middle of the upper left, one for each radius."""
    y, x = np.mgrid[:16, :16]
    return np.stack([r - np.hypot(y - 5, x - 6) for r in radii]).astype(np.float32)


def candidates(*probability: float) -> Candidates:
    count, chances = len(probability), np.array(probability, np.float32)
    iou = np.linspace(0.9, 0.5, count, dtype=np.float32)
    none, frames = 1 - float(chances.sum()), (TRANSFORM,) * count
    return Candidates(disks(*range(1, count + 1)), iou, chances, none, frames)


def test_the_most_probable_is_first() -> None:
    answer = candidates(0.2, 0.5, 0.1).by_probability()
    assert answer.probability.tolist() == pytest.approx([0.5, 0.2, 0.1])
    assert answer.iou.tolist() == pytest.approx([0.7, 0.9, 0.5])
    assert np.array_equal(answer.low_res_logits, disks(2, 1, 3))
    assert answer.best.probability == pytest.approx(0.5) and answer.best.iou == pytest.approx(0.7)
    assert sum(c.probability for c in answer) + answer.none_probability == pytest.approx(1)


def test_equally_probable_ones_keep_their_order() -> None:
    assert np.array_equal(candidates(0.3, 0.3, 0.3).by_probability().low_res_logits, disks(1, 2, 3))


def test_candidates_are_a_sequence() -> None:
    answer = candidates(0.4, 0.3, 0.2)
    assert len(answer) == 3 and list(answer) == [answer[0], answer[1], answer[-1]]
    assert answer[0] is answer.best
    rest = answer[1:]
    assert isinstance(rest, Candidates) and len(rest) == 2
    assert rest.best.probability == answer[1].probability and rest.none_probability == answer.none_probability
    with pytest.raises(IndexError):
        answer[3]
    assert len(answer[3:]) == 0 and list(answer[3:]) == []


def test_mask_array_logits_and_rle_of_a_candidate_agree() -> None:
    best = candidates(0.4).best
    assert best.logits.shape == (30, 40) and best.logits.dtype == np.float32
    assert np.array_equal(best.array, best.logits > 0) and best.array.any()
    assert best.mask == Mask.from_array(best.array) == Mask.from_rle(best.rle)
    assert Mask.from_polygons(best.polygons(), (30, 40)) == best.mask
    assert repr(best) == "Candidate(probability=0.400, iou=0.900)"


def test_a_mask_is_worked_out_when_asked_for_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    upscale = ResizeLongest.to_image_mask
    monkeypatch.setattr(ResizeLongest, "to_image_mask", lambda *a: calls.append(a) or upscale(*a))
    answer = candidates(0.4, 0.3)
    assert not calls
    assert answer.best.mask.area == answer[0].mask.area == int(answer.best.array.sum())
    assert len(calls) == 1


def test_an_array_may_be_changed_without_changing_the_answer() -> None:
    best: Candidate = candidates(0.4).best
    area = best.mask.area
    best.array[...] = True
    assert best.mask.area == area == int(best.array.sum())
