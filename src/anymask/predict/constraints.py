"""What a person says holds: where they clicked, the mask is what the click says; a first click asks for the
piece it lies on; the mask stays in their box.

A network answers most clicks so by itself, but not every one; a person whose click does nothing clicks again
and again. So where an answer says otherwise its logits are bent around the click, two or three of their own
pixels wide; everywhere else the answer is the network's. Photos of several people teach it that all of them
are one thing, but who clicks on one of two means that one. A box is drawn around the whole thing, so nothing
far beyond it belongs to the mask.
Legend: m side of the low-resolution masks, M candidates.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from anymask.core.candidates import THRESHOLD, Candidates
from anymask.core.frames import Floats, ResizeLongest
from anymask.core.mask import Mask
from anymask.core.prompt import Prompt

SURE = 0.5  # logit at a click, at least
REACH = 1.25  # of a bend, in low-resolution pixels: all that upscaling looks at, two or three each way
MARGIN = 0.04  # of a box's side: people do not draw boxes to the pixel
BEYOND = -4.0  # logit outside a box, at most


def within_box(answer: Candidates, prompt: Prompt, frame: ResizeLongest) -> Candidates:
    """`answer` to `prompt` without what lies beyond its box and a margin of at least a cell.

    A click inside of what is meant that lies out there itself says that the box is too small: then the answer
    stays as it is.
    """
    if prompt.box_xyxy is None:
        return answer
    side = answer.low_res_logits.shape[-1]
    scale = side / frame.input_size
    first_xy, last_xy = frame.to_model_boxes(prompt.box_xyxy).reshape(2, 2) * scale
    margin_xy = np.maximum(MARGIN * (last_xy - first_xy), 1.0)
    first_xy, last_xy = first_xy - margin_xy, last_xy + margin_xy
    meant_xy = frame.to_model_points(prompt.points_xy[prompt.labels == 1]) * scale
    if ((meant_xy < first_xy) | (meant_xy > last_xy)).any():
        return answer
    cells = np.arange(side)[:, None] + 0.5
    columns, rows = ((cells >= first_xy) & (cells <= last_xy)).T
    inside_mm = rows[:, None] & columns
    logits_Mmm = answer.low_res_logits
    held_Mmm = np.where(inside_mm, logits_Mmm, np.minimum(logits_Mmm, np.float32(BEYOND)))
    return replace(answer, low_res_logits=held_Mmm)


def one_piece(answer: Candidates, prompt: Prompt, frame: ResizeLongest) -> Candidates:
    """`answer` to a single click inside of what is meant: each candidate without the pieces that the click
    does not lie on. A candidate that the click lies beside stays as it is.
    """
    if not prompt.is_ambiguous or prompt.labels[0] != 1:
        return answer
    side = answer.low_res_logits.shape[-1]
    at_xy = frame.to_model_points(prompt.points_xy)[0] * (side / frame.input_size)
    x, y = (int(at) for at in at_xy.clip(0, side - 1))
    logits_Mmm = answer.low_res_logits.copy()
    for logits_mm in logits_Mmm:
        inside_mm = logits_mm > THRESHOLD
        if inside_mm[y, x]:
            other_mm = inside_mm & ~Mask.from_array(inside_mm).piece_at(x, y).to_array()
            logits_mm[other_mm] *= -1  # as sure to be outside: hardly inside becomes hardly outside
    return replace(answer, low_res_logits=logits_Mmm)


def holding(answer: Candidates, prompt: Prompt, frame: ResizeLongest) -> Candidates:
    """`answer` to `prompt`, bent where it says otherwise; the last click of all has the last word."""
    if not len(prompt.points_xy):
        return answer
    side = answer.low_res_logits.shape[-1]
    cells_xy = frame.to_model_points(prompt.points_xy) * (side / frame.input_size) - 0.5
    logits_Mmm = answer.low_res_logits.copy()
    for logits_mm in logits_Mmm:
        for cell_xy, label in zip(cells_xy, prompt.labels, strict=True):
            bend(logits_mm, cell_xy, 1.0 if label == 1 else -1.0)
    return replace(answer, low_res_logits=logits_Mmm)


def bend(logits_mm: Floats, cell_xy: NDArray[np.floating], sign: float) -> None:
    """At a place between cell centres, in place: where the logits do not have the sign, the nearest cells get
    it.
    """
    side = len(logits_mm)
    cells, (at_x, at_y) = np.arange(side), np.clip(cell_xy, 0, side - 1)
    share_x, share_y = (np.clip(1 - np.abs(cells - at), 0, 1) for at in (at_x, at_y))
    if sign * float(share_y @ logits_mm @ share_x) >= SURE:
        return
    (x0, x1), (y0, y1) = ((max(0, ceil(at - REACH)), floor(at + REACH) + 1) for at in (at_x, at_y))
    near = logits_mm[y0:y1, x0:x1]
    near[...] = sign * np.maximum(sign * near, SURE)
