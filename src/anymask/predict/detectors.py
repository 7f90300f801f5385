"""Detectors: class-agnostic box proposals and edges, from the encoder's embedding alone.

Each runs a small graph of its own on ONNX Runtime, whatever backend runs the rest. See `networks/box_head.py`
and `networks/edge_head.py`.

Legend: A cells of the box head, K boxes, H W image pixels, h w of a map at the stride of masks, m side of the
whole square there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anymask.backends.base import EmbeddingArrays
from anymask.backends.onnx_io import BOX_OUTPUTS, EDGE_OUTPUTS
from anymask.core.boxes import box_nms
from anymask.core.frames import ResizeLongest
from anymask.core.resample import Floats
from anymask.core.spec import BOXES_READ, EDGES_READ
from anymask.core.values import ArrayValue
from anymask.errors import BadOption

BOX_NMS_IOU = 0.65  # of two boxes with a larger IoU the better one stays
MIN_BOX_SIDE = 2.0  # in pixels of the image
LOGIT_LIMIT = 30.0  # beyond which a probability does not change


@dataclass(frozen=True, slots=True, eq=False)
class DetectedBoxes(ArrayValue):
    """`boxes_xyxy_K4`: float64, in pixels of the image. `scores_K`: the IoU each is expected to have with the
    box of a thing, 0..1, best first.
    """

    boxes_xyxy_K4: NDArray[np.float64]
    scores_K: Floats

    def __len__(self) -> int:
        return len(self.scores_K)


class BoxDetector:
    """Runs the graph `<stem>.boxes.onnx`. Safe to share between threads."""

    def __init__(self, path: Path, threads: int) -> None:
        from anymask.backends.onnx import open_session  # late: `import anymask` stays quick

        self._session = open_session(path, threads)

    def detect(
        self, arrays: EmbeddingArrays, frame: ResizeLongest, max_boxes: int, min_score: float
    ) -> DetectedBoxes:
        """At most `max_boxes` boxes after NMS, with at least `min_score`. Raises BadOption."""
        if not (0 <= min_score <= 1 and max_boxes >= 0):
            raise BadOption(
                f"expected max_boxes of at least 0 and min_score in 0..1, got {max_boxes} and {min_score:g}"
            )
        inputs = {name: arrays[name] for name in BOXES_READ}
        scores_A, boxes_A4 = (array[0] for array in self._session.run(list(BOX_OUTPUTS), inputs))
        good = scores_A >= min_score
        scores, boxes = scores_A[good], to_image_boxes(boxes_A4[good], frame)
        large = (boxes[:, 2:] - boxes[:, :2] >= MIN_BOX_SIDE).all(axis=1)
        scores, boxes = scores[large], boxes[large]
        kept = box_nms(boxes, scores, BOX_NMS_IOU)[:max_boxes]
        return DetectedBoxes(boxes[kept], scores[kept])


def to_image_boxes(boxes_model_K4: Floats, frame: ResizeLongest) -> NDArray[np.float64]:
    """From pixels of the model frame to those of the image, clipped to it."""
    height, width = frame.size_hw_image
    boxes = frame.to_image_boxes(boxes_model_K4.astype(np.float64)).astype(np.float64)
    return np.asarray(boxes.clip(0, np.array([width, height, width, height])))


class EdgeDetector:
    """Runs the graph `<stem>.edges.onnx`. Safe to share between threads."""

    def __init__(self, path: Path, threads: int) -> None:
        from anymask.backends.onnx import open_session  # late: `import anymask` stays quick

        self._session = open_session(path, threads)

    def detect(self, arrays: EmbeddingArrays, frame: ResizeLongest, low_res_size: int) -> Floats:
        """(H, W), 0..1: how likely a person would draw an edge there."""
        inputs = {name: arrays[name] for name in EDGES_READ}
        (logits_11hw,) = self._session.run(list(EDGE_OUTPUTS), inputs)
        height, width = logits_11hw.shape[-2:]
        square_mm = np.pad(
            logits_11hw[0, 0], ((0, low_res_size - height), (0, low_res_size - width)), mode="edge"
        )
        logits_HW = frame.to_image_window(square_mm, *(slice(0, side) for side in frame.size_hw_image))
        return in_place_sigmoid(logits_HW)


def in_place_sigmoid(logits: Floats) -> Floats:
    """Of a photo's size: another copy of it, or two, would be felt."""
    np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT, out=logits)
    np.negative(logits, out=logits)
    np.exp(logits, out=logits)
    logits += 1
    return np.reciprocal(logits, out=logits)
