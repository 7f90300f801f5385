"""The backends by name, and what may follow a name."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from anymask.backends.base import Backend
from anymask.errors import BadOption, MissingExtra
from anymask.hub.card import ModelFiles

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
    try:
        factory = getattr(import_module(module), cls)
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in EXTRAS:
            raise
        raise MissingExtra(f'this needs {missing}: pip install "anymask[{EXTRAS[missing]}]"') from error
    backend: Backend = factory(model, threads or os.cpu_count() or 1, *([option] if option else []))
    return backend
