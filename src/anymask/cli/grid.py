"""Everything in a box: a grid of points is asked, sure answers are kept, each thing once.

All choosing happens on low-resolution logits, before any mask is made. A small stand-in for the automatic
generator: one pass, no crops. Legend: A answers, h w low-resolution pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anymask.core.candidates import Candidate, Candidates
from anymask.core.frames import ResizeLongest
from anymask.core.prompt import Prompt
from anymask.predict.session import EncodedImage

MIN_IOU = 0.5  # predicted; the default model is a modest judge of itself
MIN_STABILITY = 0.4  # overlap of the mask with itself when its threshold moves by 1 either way
MIN_INSIDE = 0.9  # share of the mask that lies in the box
MAX_OVERLAP = 0.6  # IoU above which two answers are one thing
BATCH = 16


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """An answer, the point that was asked and the mask at low resolution."""

    candidate: Candidate
    prompt: Prompt
    inside_hw: np.ndarray


def segment_grid_in_box(
    image: EncodedImage, box_xyxy: Sequence[float], n: int = 8, *, min_iou: float = MIN_IOU
) -> list[Found]:
    """Ask `image` with n x n points spread over a box; the surest answers first."""
    prompts = [Prompt.of(points=[point]) for point in grid_points(box_xyxy, n)]
    answers: list[Candidates] = []
    for start in range(0, len(prompts), BATCH):
        answers += image.segment_batch(prompts[start : start + BATCH])
    found = [
        f
        for prompt, answer in zip(prompts, answers, strict=True)
        for f in _sure(prompt, answer, image.transform, box_xyxy, min_iou)
    ]
    return without_duplicates(sorted(found, key=lambda f: -f.candidate.iou))


def grid_points(box_xyxy: Sequence[float], n: int) -> list[tuple[float, float]]:
    """Centres of n x n equal cells of the box, row by row."""
    x0, y0, x1, y1 = box_xyxy
    steps = [(i + 0.5) / n for i in range(n)]
    return [(x0 + sx * (x1 - x0), y0 + sy * (y1 - y0)) for sy in steps for sx in steps]


def _sure(
    prompt: Prompt, answer: Candidates, transform: ResizeLongest, box_xyxy: Sequence[float], min_iou: float
) -> list[Found]:
    found = []
    for candidate in answer:
        if candidate.iou < min_iou:
            continue
        logits_hw = valid_part(candidate.low_res_logits, transform)
        inside_hw = logits_hw > 0
        if (
            stability(logits_hw) >= MIN_STABILITY
            and share_in_box(inside_hw, transform.size_hw_image, box_xyxy) >= MIN_INSIDE
        ):
            found.append(Found(candidate, prompt, inside_hw))
    return found


def valid_part(logits_hw: np.ndarray, transform: ResizeLongest) -> np.ndarray:
    """Without the padding of the model frame."""
    scale = logits_hw.shape[-1] / transform.input_size
    height, width = (max(1, round(side * scale)) for side in transform.size_hw_model)
    return logits_hw[:height, :width]


def stability(logits_hw: np.ndarray) -> float:
    """As in the paper's automatic generator: area above +1 over area above -1; 0 for an empty mask."""
    return float((logits_hw > 1).sum() / max(1, (logits_hw > -1).sum()))


def share_in_box(inside_hw: np.ndarray, size_hw: tuple[int, int], box_xyxy: Sequence[float]) -> float:
    height, width = size_hw
    factors = np.array([inside_hw.shape[1] / width, inside_hw.shape[0] / height] * 2)
    x0, y0, x1, y1 = np.round(np.asarray(box_xyxy, float) * factors).astype(int).clip(0)
    return float(inside_hw[y0:y1, x0:x1].sum() / max(1, inside_hw.sum()))


def without_duplicates(found: Sequence[Found]) -> list[Found]:
    """Those that do not overlap one before them too much."""
    kept: list[Found] = []
    for one in found:
        if all(_iou(one.inside_hw, other.inside_hw) <= MAX_OVERLAP for other in kept):
            kept.append(one)
    return kept


def _iou(a_hw: np.ndarray, b_hw: np.ndarray) -> float:
    return float((a_hw & b_hw).sum() / max(1, (a_hw | b_hw).sum()))
