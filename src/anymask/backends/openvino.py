"""OpenVINO behind the backend seam, with the same ONNX files; on some processors it is much faster.

In float32 unless asked otherwise (`openvino:bf16`), so that its answers equal those of the other backends.
Left alone, OpenVINO takes bfloat16 where the processor has it: faster, and different in the third digit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino

from anymask.backends.base import DecodedArrays, DecodeInput, EmbeddingArrays, Floats
from anymask.backends.memory import trim_heap
from anymask.backends.onnx_io import DECODER_OUTPUTS, ENCODER_INPUT, checked_model, named_inputs, named_points
from anymask.errors import WeightsError, mapped

POINTS_BATCH = 4  # prompts without masks that share a call: a third faster, the same to the bit as alone


class OpenVinoBackend:
    """Safe to share between threads: every call has an inference request of its own."""

    def __init__(self, model: Path, threads: int, precision: str = "f32") -> None:
        self.spec, files = checked_model(model)
        core = openvino.Core()
        hints = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": str(threads),
        }
        self._encoder, self._decoder = (compile_graph(core, p, hints) for p in (files.encoder, files.decoder))
        self._points = compile_graph(core, files.points, hints) if files.points.is_file() else None
        self.batch_size = 1 if self._points is None else POINTS_BATCH

    def encode(self, pixels_13hw: Floats) -> EmbeddingArrays:
        answer = self._encoder.create_infer_request().infer({ENCODER_INPUT: pixels_13hw})
        embedding = {name: np.array(answer[name]) for name in self.spec.embedding_names}
        del answer
        trim_heap()
        return embedding

    def decode(self, embedding: EmbeddingArrays, prompts: DecodeInput) -> DecodedArrays:
        if self._points is not None and not prompts.has_mask_P.any():
            return DecodedArrays(*self._run(self._points, {**embedding, **named_points(prompts)}))
        # OpenVINO 2026 fails where one image meets several prompts in a sum, so they go one by one.
        calls = [{**embedding, **named_inputs(prompts.row(p))} for p in range(len(prompts))]
        rows = [self._run(self._decoder, inputs) for inputs in calls]
        return DecodedArrays(*(np.concatenate(parts) for parts in zip(*rows, strict=True)))

    def _run(self, graph: Any, inputs: dict[str, Floats]) -> list[Floats]:
        answer = graph.create_infer_request().infer(inputs)
        produced = {name for output in graph.outputs for name in output.names}
        return [np.array(answer[name]) for name in DECODER_OUTPUTS if name in produced]


def compile_graph(core: Any, path: Path, hints: dict[str, str]) -> Any:
    """Raises WeightsError when the file is no graph."""
    with mapped(RuntimeError, WeightsError, f"cannot read the graph {path}"):
        return core.compile_model(str(path), "CPU", hints)
