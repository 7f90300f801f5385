"""The default backend: ONNX Runtime sessions of the encoder and the decoder. Knows graphs, not images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnxruntime

from anymask.errors import ModelNotFound, WeightsError
from anymask.inference.backend import DecodedArrays, DecodeInput, Embedding, Floats
from anymask.inference.model_files import ModelFiles, check_files, read_card
from anymask.inference.onnx_names import DECODER_OUTPUTS, ENCODER_INPUT, named_inputs, named_points

ERRORS_ONLY = 3
PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
GPU_BATCH = 16
# Networks of larger images: their encoders give memory back (13 % slower, hundreds of megabytes less), and
# this fusion, slower on a processor than what it replaces, is off. Small ones keep it: with it their answers
# were the same to the bit for any number of threads.
SMALL_SIDE, SLOW_FUSION = 512, "SkipLayerNormFusion"


class OnnxBackend:
    """Runs the graphs beside a card. Safe to share between threads: sessions are."""

    def __init__(self, model: Path, threads: int) -> None:
        self.spec = read_card(model).spec
        files = ModelFiles.of(model)
        if not files.has_graphs:
            raise ModelNotFound(f"no ONNX files of {self.spec.name} in {model.parent}: see `anymask export`")
        check_files(model)
        self.batch_size = GPU_BATCH if PROVIDERS[0] in onnxruntime.get_available_providers() else 1
        is_small = self.spec.input_size <= SMALL_SIDE
        without = () if is_small else (SLOW_FUSION,)
        self._encoder = open_session(files.encoder, threads, without, arena=is_small)
        self._decoder = open_session(files.decoder, threads, without)
        self._points = open_session(files.points, threads, without) if files.points.is_file() else None
        produced = [output.name for output in self._decoder.get_outputs()]
        self._outputs = [name for name in DECODER_OUTPUTS if name in produced]

    def encode(self, pixels_13SS: Floats) -> Embedding:
        names = list(self.spec.embedding_names)
        return dict(zip(names, self._encoder.run(names, {ENCODER_INPUT: pixels_13SS}), strict=True))

    def decode(self, embedding: Embedding, prompts: DecodeInput) -> DecodedArrays:
        if self._points is not None and not prompts.has_mask_P.any():
            answers = self._points.run(self._outputs, {**embedding, **named_points(prompts)})
        else:
            answers = self._decoder.run(self._outputs, {**embedding, **named_inputs(prompts)})
        masks, iou, *chances = answers
        return DecodedArrays(masks, iou, chances[0] if chances else None)


def open_session(
    path: Path, threads: int, without: Sequence[str] = (), arena: bool = True
) -> onnxruntime.InferenceSession:
    """`without`: names of optimisations. `arena`: keep memory for the next run.

    Raises WeightsError when the file is no graph.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.enable_cpu_mem_arena = arena
    options.log_severity_level = ERRORS_ONLY
    # Spinning threads answer a little sooner on an idle machine and much later on a busy one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    available = onnxruntime.get_available_providers()
    try:
        providers = [p for p in PROVIDERS if p in available]
        return onnxruntime.InferenceSession(
            str(path), options, providers=providers, disabled_optimizers=[*without]
        )
    except Exception as error:  # ONNX Runtime has bare classes of its own for damaged files
        raise WeightsError(f"cannot read the graph {path}: {str(error).splitlines()[0][:160]}") from error
