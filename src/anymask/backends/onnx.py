"""The default backend: ONNX Runtime sessions of the encoder and the decoder."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime

from anymask.backends.base import DecodedArrays, DecodeInput, EmbeddingArrays, Floats
from anymask.backends.memory import trim_heap
from anymask.backends.onnx_io import DECODER_OUTPUTS, ENCODER_INPUT, checked_model, named_inputs, named_points
from anymask.errors import WeightsError, mapped

ERRORS_ONLY = 3
GPU, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
# Left alone, a GPU tries every way to compute a convolution for each size of frame it meets: seconds each.
PROVIDERS = {GPU: {"cudnn_conv_algo_search": "HEURISTIC"}, CPU: {}}
# Threads wait awake for their part of the next operator, but not long, and sleep between runs: a sixth sooner
# on an idle machine, no later on a busy one. ONNX Runtime before 1.26 does not know the last of these.
THREADS_WAIT = {
    "session.intra_op.allow_spinning": "1",
    "session.force_spinning_stop": "1",
    "session.intra_op.spin_duration_us": "500",
}
GPU_BATCH = 16
PROMPTS_A_THREAD = 4  # of a call with many prompts without masks, each of which one thread answers
SMALL_SIDE = 512  # encoders of larger images give memory back: 13 % slower, hundreds of megabytes less
SLOW_FUSION = "SkipLayerNormFusion"  # takes twice as long on a processor as what it replaces


class OnnxBackend:
    """Runs the graphs beside a card. Safe to share between threads: sessions are."""

    def __init__(self, model: Path, threads: int) -> None:
        self.spec, self._files = checked_model(model)
        self._is_small = self.spec.input_size <= SMALL_SIDE
        self._encoder = open_session(self._files.encoder, threads, arena=self._is_small)
        self._decoder = open_session(self._files.decoder, threads)
        points = self._files.points
        self._points = open_session(points, threads) if points.is_file() else None
        on_gpu = GPU in onnxruntime.get_available_providers()
        self._side_by_side = 1 if on_gpu or self._points is None else threads
        single = GPU_BATCH if on_gpu else 1
        self.batch_size = PROMPTS_A_THREAD * threads if self._side_by_side > 1 else single
        produced = [output.name for output in self._decoder.get_outputs()]
        self._outputs = [name for name in DECODER_OUTPUTS if name in produced]

    def encode(self, pixels_13hw: Floats) -> EmbeddingArrays:
        names = list(self.spec.embedding_names)
        embedding = dict(zip(names, self._encoder.run(names, {ENCODER_INPUT: pixels_13hw}), strict=True))
        if not self._is_small:
            trim_heap()
        return embedding

    def decode(self, embedding: EmbeddingArrays, prompts: DecodeInput) -> DecodedArrays:
        if self._side_by_side > 1 and len(prompts) > 1:
            return DecodedArrays(*self._each_alone(embedding, prompts))
        return DecodedArrays(*self._answered(embedding, prompts, self._points))

    def _answered(
        self, embedding: EmbeddingArrays, prompts: DecodeInput, points: onnxruntime.InferenceSession | None
    ) -> list[Floats]:
        """`points`: the graph for prompts without masks, where there is one."""
        session, inputs = points, named_points(prompts)
        if session is None or prompts.has_mask_P.any():
            session, inputs = self._decoder, named_inputs(prompts)
        found: list[Floats] = session.run(self._outputs, {**embedding, **inputs})
        return found

    def _each_alone(self, embedding: EmbeddingArrays, prompts: DecodeInput) -> list[Floats]:
        """Several prompts at a time, a thread each: a fifth faster than one by one with all threads."""
        rows, session = map(prompts.row, range(len(prompts))), self._alone
        with ThreadPoolExecutor(self._side_by_side) as pool:
            answers = list(pool.map(lambda row: self._answered(embedding, row, session), rows))
        return [np.concatenate(parts) for parts in zip(*answers, strict=True)]

    @cached_property
    def _alone(self) -> onnxruntime.InferenceSession:
        return open_session(self._files.points, 1)


def open_session(path: Path, threads: int, arena: bool = True) -> onnxruntime.InferenceSession:
    """`arena`: keep memory for the next run. Raises WeightsError when the file is no graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.enable_cpu_mem_arena = arena
    options.enable_mem_pattern = threads > 1
    options.log_severity_level = ERRORS_ONLY
    for name, value in THREADS_WAIT.items():
        options.add_session_config_entry(name, value)
    available = onnxruntime.get_available_providers()
    providers = [(name, facts) for name, facts in PROVIDERS.items() if name in available]
    with mapped(Exception, WeightsError, f"cannot read the graph {path}"):  # its errors have bare classes
        return onnxruntime.InferenceSession(
            str(path), options, providers=providers, disabled_optimizers=[SLOW_FUSION]
        )
