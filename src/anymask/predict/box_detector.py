"""Where things are in an encoded image: scored boxes, to be asked for their masks. See `model/box_head.py`.

Runs on ONNX Runtime, whatever backend runs the rest: it reads arrays, and is small.

Legend: A cells of the head, K boxes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anymask.backends.base import Embedding
from anymask.backends.onnx_io import BOX_OUTPUTS
from anymask.core.frames import Floats, ResizeLongest
from anymask.core.grid import box_nms
from anymask.core.spec import BOXES_READ

DISTINCT = 0.65  # of two boxes with a larger IoU the better one stays
LEAST_SIDE = 2.0  # of a box, in pixels of the image


@dataclass(frozen=True, slots=True, eq=False)
class FoundBoxes:
    """`boxes_xyxy_K4`: float64, in pixels of the image. `scores_K`: the IoU each is expected to have with the
    box of a thing, 0..1, best first.
    """

    boxes_xyxy_K4: NDArray[np.float64]
    scores_K: Floats

    def __len__(self) -> int:
        return len(self.scores_K)


class BoxFinder:
    """Runs the graph `<stem>.boxes.onnx`. Safe to share between threads."""

    def __init__(self, path: Path, threads: int) -> None:
        from anymask.backends.onnx import open_session  # late: `import anymask` stays quick

        self._session = open_session(path, threads)

    def find(
        self, embedding: Embedding, transform: ResizeLongest, at_most: int, at_least: float
    ) -> FoundBoxes:
        """At most so many different boxes with at least such a score."""
        inputs = {name: embedding[name] for name in BOXES_READ}
        scores_A, boxes_A4 = (array[0] for array in self._session.run(list(BOX_OUTPUTS), inputs))
        good = scores_A >= at_least
        scores, boxes = scores_A[good], in_image(boxes_A4[good], transform)
        large = (boxes[:, 2:] - boxes[:, :2] >= LEAST_SIDE).all(axis=1)
        scores, boxes = scores[large], boxes[large]
        kept = box_nms(boxes, scores, DISTINCT)[:at_most]
        return FoundBoxes(boxes[kept], scores[kept])


def in_image(boxes_model_K4: Floats, transform: ResizeLongest) -> NDArray[np.float64]:
    """From pixels of the model frame to those of the image, cut at its borders."""
    height, width = transform.size_hw_image
    boxes = transform.to_image_boxes(boxes_model_K4.astype(np.float64)).astype(np.float64)
    return np.asarray(boxes.clip(0, np.array([width, height, width, height])))
