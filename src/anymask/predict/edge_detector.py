"""Where things end in an encoded image: see `model/edge_head.py`.

Runs on ONNX Runtime, whatever backend runs the rest: it reads arrays, and is small.

Legend: H W image pixels, h w of a map at the stride of masks, m side of the whole square there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anymask.backends.base import Embedding
from anymask.backends.onnx_io import EDGE_OUTPUTS
from anymask.core.frames import Floats, ResizeLongest
from anymask.core.spec import EDGES_READ

SURE = 30.0  # a logit beyond which nothing changes


class EdgeFinder:
    """Runs the graph `<stem>.edges.onnx`. Safe to share between threads."""

    def __init__(self, path: Path, threads: int) -> None:
        from anymask.backends.onnx import open_session  # late: `import anymask` stays quick

        self._session = open_session(path, threads)

    def find(self, embedding: Embedding, transform: ResizeLongest, low_res_size: int) -> Floats:
        """(H, W), 0..1: how likely a person would draw an edge there."""
        inputs = {name: embedding[name] for name in EDGES_READ}
        (logits_11hw,) = self._session.run(list(EDGE_OUTPUTS), inputs)
        height, width = logits_11hw.shape[-2:]
        square_mm = np.pad(
            logits_11hw[0, 0], ((0, low_res_size - height), (0, low_res_size - width)), mode="edge"
        )
        logits_HW = transform.to_image_window(
            square_mm, *(slice(0, side) for side in transform.size_hw_image)
        )
        return in_place_sigmoid(logits_HW)


def in_place_sigmoid(logits: Floats) -> Floats:
    """Of a photo's size: another copy of it, or two, would be felt."""
    np.clip(logits, -SURE, SURE, out=logits)
    np.negative(logits, out=logits)
    np.exp(logits, out=logits)
    logits += 1
    return np.reciprocal(logits, out=logits)
