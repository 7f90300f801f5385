"""Backend: what runs a network. Encode an image once, answer prompts against the embedding, arrays on both sides.

The only seam between a network and everything above it. A backend is chosen once, by name, from `BACKENDS`; nobody
below asks which one it is. Knows arrays of the model frame; no images, no policies, no files but their paths.

Legend: P prompts, N points, S side of the model frame, m side of the low-resolution masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from anymask.core.spec import ModelSpec
from anymask.errors import BadOption, MissingExtra
from anymask.inference.model_files import ModelFiles

Floats = NDArray[np.float32]
Embedding = Mapping[str, Floats]


@dataclass(frozen=True, slots=True, eq=False)
class DecodeInput:
    """P prompts with the same number of points, in the model frame.

    `points_PN2`: x, y. `labels_PN`: 1 positive, 0 negative, 2 and 3 box corners, -1 padding. `masks_P1mm`: logits of an
    earlier answer, zeros where `has_mask_P` is 0. All float32; N may be 0.
    """

    points_PN2: Floats
    labels_PN: Floats
    masks_P1mm: Floats
    has_mask_P: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What the network says; slot 0 is the single mask, slots 1..3 the candidates of an ambiguous prompt.

    `probability_logits_P5`: slots 0..3 and "none of these"; None for networks without that head.
    """

    low_res_masks_P4mm: Floats
    iou_P4: Floats
    probability_logits_P5: Floats | None


class Backend(Protocol):
    """Safe to share between threads: both methods may run at the same time."""

    @property
    def spec(self) -> ModelSpec: ...

    def encode(self, pixels_13SS: Floats) -> Embedding:
        """The arrays `spec.embedding_names` of one normalised, padded image."""
        ...

    def decode(self, embedding: Embedding, prompts: DecodeInput) -> Decoded: ...


@dataclass(frozen=True, slots=True)
class Runtime:
    """How a backend is to run. `threads`: 0 means all cores. `option`: what came after the colon of the name."""

    threads: int = 0
    option: str = ""


BACKENDS = {
    "onnx": "anymask.inference.onnx_backend",
    "openvino": "anymask.inference.openvino_backend",
    "torch": "anymask.inference.torch_backend",
    "disk": "anymask.inference.disk_backend",
}


def open_backend(name: str, files: ModelFiles, *, threads: int = 0) -> Backend:
    """The backend `name` with the weights of `files`.

    Names: `auto`, or one of `BACKENDS`, if need be with an option: `torch:cuda:1`, `openvino:bf16`. `auto` takes ONNX
    Runtime where the model has ONNX files, else torch. Raises BadOption for an unknown name, MissingExtra when its
    package is not installed, WeightsError when the files are damaged or of the wrong kind.
    """
    kind, _, option = name.partition(":")
    if kind == "auto":
        kind = "onnx" if files.onnx or not files.weights else "torch"
    if kind not in BACKENDS:
        raise BadOption(f"unknown backend {name!r}: expected auto, {', '.join(BACKENDS)}")
    backend: Backend = import_module(BACKENDS[kind]).open_backend(files, Runtime(threads, option))
    return backend


def require(module: str, extra: str) -> None:
    """Import a package of an extra. Raises MissingExtra with the command that installs it."""
    try:
        import_module(module)
    except ImportError as error:
        raise MissingExtra(f'this needs {module}: pip install "anymask[{extra}]"') from error


def refuse_option(runtime: Runtime, name: str) -> None:
    """For backends without options."""
    if runtime.option:
        raise BadOption(f"the {name} backend has no option, got {runtime.option!r}")
