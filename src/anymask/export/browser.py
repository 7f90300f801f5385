"""The mask decoder for a browser: optimised here, so that a page starts it in a second, not in five."""

from __future__ import annotations

import gzip
import json
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import onnxruntime

from anymask.backends.onnx import ERRORS_ONLY, SLOW_FUSION
from anymask.errors import WeightsError, mapped
from anymask.hub.card import Card, ModelFiles, read_card

FAMILIES = ("lite",)  # whose prompts and answers a page knows


@dataclass(frozen=True, slots=True)
class BrowserDecoder:
    """`facts`: JSON of what a page must know to ask it and to finish its answers."""

    graph: Path
    fingerprint: str
    facts: str

    @classmethod
    def of(cls, model: Path) -> BrowserDecoder | None:
        """Of a model; None: not one that a page can ask. Raises ModelNotFound, WeightsError."""
        card, graph = read_card(model), ModelFiles.of(model).decoder
        if card.spec.family not in FAMILIES or not graph.is_file():
            return None
        return cls(graph, card.fingerprint, json.dumps(_facts(card)))

    def packed(self) -> bytes:
        """In the format of ONNX Runtime (.ort), gzipped; made once. Raises WeightsError."""
        return _packed(self.graph, self.fingerprint)


def _facts(card: Card) -> dict[str, object]:
    return {
        "fingerprint": card.fingerprint,
        "side": card.spec.low_res_size,
        "offset": card.spec.pixel_offset,
        "temperature": card.temperature,
        "postprocess": card.facts.get("postprocess", []),
    }


@lru_cache(1)
def _packed(graph: Path, _fingerprint: str) -> bytes:
    """The fingerprint is for the cache: another model may come to lie at the same path.

    Weights become constants in single precision. As halves they would be a third smaller on their way, and be
    widened again for each answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "decoder.ort")
        options = onnxruntime.SessionOptions()
        # No further: what comes after it suits the processor of this machine alone.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(made)
        options.log_severity_level = ERRORS_ONLY
        with mapped(Exception, WeightsError, f"cannot read the graph {graph}"):
            onnxruntime.InferenceSession(
                str(graph), options, providers=["CPUExecutionProvider"], disabled_optimizers=[SLOW_FUSION]
            )
        return gzip.compress(made.read_bytes(), 6)
