"""The default backend: two ONNX Runtime sessions, encoder and decoder."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from anymask.errors import WeightsError
from anymask.inference.backend import DecodedArrays, DecodeInput, Embedding, Floats
from anymask.inference.model_files import ModelFiles, read_card
from anymask.inference.onnx_names import named_inputs


class OnnxBackend:
    """Runs `<stem>.encoder.onnx` and `<stem>.decoder.onnx` beside the card. Thread-safe: sessions are."""

    def __init__(self, model: Path, threads: int) -> None:
        files = ModelFiles.of(model)
        self.spec = read_card(model).spec
        self._encoder, self._decoder = (_session(p, threads) for p in (files.encoder, files.decoder))

    def encode(self, pixels_13SS: Floats) -> Embedding:
        names = list(self.spec.embedding_names)
        return dict(zip(names, self._encoder.run(names, {"image": pixels_13SS}), strict=True))

    def decode(self, embedding: Embedding, prompts: DecodeInput) -> DecodedArrays:
        outputs = self._decoder.run(None, {**embedding, **named_inputs(prompts)})
        return DecodedArrays(outputs[0], outputs[1], outputs[2] if len(outputs) > 2 else None)


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """Raises WeightsError when the file is missing or no model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # the arena keeps the peak of the largest call for ever
    if not path.exists():
        raise WeightsError(f"model file not found: {path}")
    available = onnxruntime.get_available_providers()
    providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in available]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # ONNX Runtime raises its own bare classes for damaged files
        raise WeightsError(f"cannot read the model {path}: {str(error).splitlines()[0][:160]}") from error
