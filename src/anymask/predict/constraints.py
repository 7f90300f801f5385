"""Prompt constraints: what a prompt says holds in the mask, where the network does not see to it by itself.

Box clipping, the connected component of a click, click enforcement; edges of the image.
A network obeys most prompts, but not every one; a person whose click does nothing clicks again and again.
Photos of groups teach it that all of
them are one thing, but who clicks on one of two means that one. A box is drawn around the whole thing, so
nothing far beyond it belongs to the mask.
Legend: m side of the low-resolution masks, M candidates.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from anymask.core.candidates import THRESHOLD, Candidates
from anymask.core.frames import ResizeLongest
from anymask.core.mask import Mask
from anymask.core.prompt import Prompt
from anymask.core.resample import Floats

CLICK_LOGIT = 0.5  # at a click, at least
CLICK_RADIUS = 1.25  # low-resolution pixels: all that upscaling reads around a click
BOX_MARGIN = 0.04  # of a box's side: people do not draw boxes to the pixel
OUTSIDE_BOX = -4.0  # logit outside a box, at most


def extend_to_edges(answer: Candidates, prompt: Prompt, frame: ResizeLongest) -> Candidates:
    """Up to the edge of the image as just before it. Networks are sure that padding is outside, and upscaling
    would blend that into the last pixels.
    """
    return replace(answer, low_res_logits=frame.extended_to_edges(answer.low_res_logits))


def clip_to_box(answer: Candidates, prompt: Prompt, frame: ResizeLongest) -> Candidates:
    """Nothing beyond the box of the prompt and a margin of at least a low-resolution pixel.

    A positive click beyond it says that the box is too small: then the answer stays as it is.
    """
    if prompt.box_xyxy is None:
        return answer
    side = answer.low_res_logits.shape[-1]
    scale = side / frame.input_size
    first_xy, last_xy = frame.to_model_boxes(prompt.box_xyxy).reshape(2, 2) * scale
    margin_xy = np.maximum(BOX_MARGIN * (last_xy - first_xy), 1)
    first_xy, last_xy = first_xy - margin_xy, last_xy + margin_xy
    meant_xy = frame.to_model_points(prompt.points_xy[prompt.labels == 1]) * scale
    if ((meant_xy < first_xy) | (meant_xy > last_xy)).any():
        return answer
    cells = np.arange(side)[:, None] + 0.5
    columns, rows = ((cells >= first_xy) & (cells <= last_xy)).T
    inside_mm = rows[:, None] & columns
    logits_Mmm = answer.low_res_logits
    clipped_Mmm = np.where(inside_mm, logits_Mmm, np.minimum(logits_Mmm, np.float32(OUTSIDE_BOX)))
    return replace(answer, low_res_logits=clipped_Mmm)


def keep_clicked_component(answer: Candidates, prompt: Prompt, frame: ResizeLongest) -> Candidates:
    """For a single positive click, of each candidate the connected component under the click.

    A candidate that the click lies beside stays as it is.
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
            other_mm = inside_mm & ~Mask.from_array(inside_mm).component_at(x, y).to_array()
            logits_mm[other_mm] *= -1  # as sure to be outside: hardly inside becomes hardly outside
    return replace(answer, low_res_logits=logits_Mmm)


def enforce_clicks(answer: Candidates, prompt: Prompt, frame: ResizeLongest) -> Candidates:
    """At every click the mask is what its label says; of contradicting clicks the last one decides."""
    if not len(prompt.points_xy):
        return answer
    side = answer.low_res_logits.shape[-1]
    cells_xy = frame.to_model_points(prompt.points_xy) * (side / frame.input_size) - 0.5
    logits_Mmm = answer.low_res_logits.copy()
    for logits_mm in logits_Mmm:
        for cell_xy, label in zip(cells_xy, prompt.labels, strict=True):
            stamp_click(logits_mm, cell_xy, 1.0 if label == 1 else -1.0)
    return replace(answer, low_res_logits=logits_Mmm)


def stamp_click(logits_mm: Floats, cell_xy: NDArray[np.floating], sign: float) -> None:
    """In place, at a position between cell centres: where the logits do not have the sign, the nearest cells
    get it.
    """
    side = len(logits_mm)
    cells, (at_x, at_y) = np.arange(side), np.clip(cell_xy, 0, side - 1)
    weight_x, weight_y = (np.clip(1 - np.abs(cells - at), 0, 1) for at in (at_x, at_y))
    if sign * float(weight_y @ logits_mm @ weight_x) >= CLICK_LOGIT:
        return
    (x0, x1), (y0, y1) = (
        (max(0, ceil(at - CLICK_RADIUS)), floor(at + CLICK_RADIUS) + 1) for at in (at_x, at_y)
    )
    near = logits_mm[y0:y1, x0:x1]
    near[...] = sign * np.maximum(sign * near, CLICK_LOGIT)
