"""Backend: what runs a network. Encode an image once, answer prompts against the embedding.

The only seam between a network and everything above it: arrays on both sides. A backend is chosen once, by
name, from `BACKENDS`; nobody below asks which one it is. Knows the model frame; no images, no policies.

Legend: P prompts, N points, h w of the part of the model frame that is shown, m side of the
low-resolution masks.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from anymask.core.spec import ModelSpec
from anymask.errors import BadOption, MissingExtra
from anymask.hub.card import ModelFiles

Floats = NDArray[np.float32]
Embedding = Mapping[str, Floats]


@dataclass(frozen=True, slots=True, eq=False)
class DecodeInput:
    """P prompts with the same number of points, in the model frame.

    `points_PN2`: x, y. `labels_PN`: 1 positive, 0 negative, 2 and 3 box corners, -1 padding. `masks_P1mm`:
    logits of an earlier answer, zeros where `has_mask_P` is 0. All float32.
    """

    points_PN2: Floats
    labels_PN: Floats
    masks_P1mm: Floats
    has_mask_P: Floats

    def __len__(self) -> int:
        return len(self.points_PN2)

    def row(self, index: int) -> DecodeInput:
        """One prompt of them, as a call of its own."""
        one = slice(index, index + 1)
        return DecodeInput(
            self.points_PN2[one], self.labels_PN[one], self.masks_P1mm[one], self.has_mask_P[one]
        )


@dataclass(frozen=True, slots=True, eq=False)
class DecodedArrays:
    """What the network says; slot 0 is the single mask, slots 1..3 the candidates of an ambiguous prompt.

    `probability_logits_P5`: slots 0..3 and "none of these"; None for networks without that head.
    """

    low_res_masks_P4mm: Floats
    iou_P4: Floats
    probability_logits_P5: Floats | None


class Backend(Protocol):
    """Safe to share between threads: both methods may run at the same time.

    `batch_size`: prompts per call to `decode` that pay. On a processor it is 1 where more are no faster,
    take more memory and round differently. Whatever it is there, a batch gets exactly the single answers.
    """

    @property
    def batch_size(self) -> int: ...

    @property
    def spec(self) -> ModelSpec: ...

    def encode(self, pixels_13hw: Floats) -> Embedding:
        """The arrays `spec.embedding_names` of one normalised, padded image: h x w is `spec.frame_hw`."""
        ...

    def decode(self, embedding: Embedding, prompts: DecodeInput) -> DecodedArrays: ...


BACKENDS = {
    "onnx": "anymask.backends.onnx:OnnxBackend",
    "openvino": "anymask.backends.openvino:OpenVinoBackend",
    "torch": "anymask.backends.torch:TorchBackend",
    "disk": "anymask.backends.disk:DiskBackend",
}
# What may follow a colon, as in openvino:bf16 and torch:cuda:1.
OPTIONS = {"openvino": ("f32", "bf16"), "torch": ("cpu", "cuda", "mps")}
EXTRAS = {"openvino": "openvino", "torch": "torch", "safetensors": "torch"}  # module: extra


def open_backend(name: str, model: Path, threads: int = 0) -> Backend:
    """The backend `name` with the model whose card is `model`; `threads` 0 means all cores.

    `auto` takes ONNX Runtime where the model has ONNX files, else torch. An option may follow a colon, see
    `OPTIONS`. Raises BadOption for an unknown name, MissingExtra when its package is not installed,
    WeightsError when the files are damaged, ModelNotFound when those it needs are missing.
    """
    kind, _, option = name.partition(":")
    if kind == "auto":
        kind = "onnx" if ModelFiles.of(model).has_graphs else "torch"
    if kind not in BACKENDS or (option and option.partition(":")[0] not in OPTIONS.get(kind, ())):
        known = ["auto", *BACKENDS, *(f"{k}:{o}" for k, names in OPTIONS.items() for o in names)]
        raise BadOption(f"unknown backend {name!r}: expected one of {', '.join(known)}")
    module, _, cls = BACKENDS[kind].partition(":")
    factory = getattr(_import(module), cls)
    backend: Backend = factory(model, threads or os.cpu_count() or 1, *([option] if option else []))
    return backend


def _import(module: str) -> object:
    try:
        return import_module(module)
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in EXTRAS:
            raise
        raise MissingExtra(f'this needs {missing}: pip install "anymask[{EXTRAS[missing]}]"') from error
