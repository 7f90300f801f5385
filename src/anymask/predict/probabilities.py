"""Probabilities of candidates: from the network's own head, or shared out from predicted IoUs.

Legend: P prompts, M candidates, N candidates and "none of these".
"""

from __future__ import annotations

import numpy as np

from anymask.backends.base import NONE, SEVERAL, SINGLE, DecodedArrays
from anymask.core.candidates import Candidates, apply_temperature
from anymask.core.frames import ResizeLongest
from anymask.core.resample import Floats


def candidates(
    decoded: DecodedArrays, row: int, ambiguous: bool, frame: ResizeLongest, temperature: float = 1.0
) -> Candidates:
    """Slots 1..3 of the decoder for an ambiguous prompt, slot 0 otherwise (paper, section 3)."""
    slots = SEVERAL if ambiguous else SINGLE
    iou_M = decoded.iou_P4[row, slots].astype(np.float32)
    logits_Mmm = decoded.low_res_masks_P4mm[row, slots].copy()  # not a view: it would keep the whole batch
    probability_M, none = probabilities(decoded, row, slots, iou_M, temperature)
    return Candidates(logits_Mmm, iou_M, probability_M, none, (frame,) * len(iou_M)).by_probability()


def probabilities(
    decoded: DecodedArrays, row: int, slots: slice, iou_M: Floats, temperature: float = 1.0
) -> tuple[Floats, float]:
    """Softmax over the slots in use and "none of these"; together they sum to 1.

    Without a probability head, predicted IoUs that sum to more than 1 share it out.
    """
    if decoded.probability_logits_P5 is None:
        clipped = iou_M.clip(0, 1).astype(np.float64)
        fraction_M = clipped / max(1.0, float(clipped.sum()))
        chance_N = np.append(fraction_M, max(0.0, 1 - float(fraction_M.sum())))
    else:
        logits = decoded.probability_logits_P5[row].astype(np.float64)
        used = np.append(logits[slots], logits[NONE])
        chance_N = np.exp(used - used.max())
        chance_N /= chance_N.sum()
    chance_N = apply_temperature(chance_N, temperature)
    return chance_N[:-1].astype(np.float32), float(chance_N[-1])
