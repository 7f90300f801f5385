"""PyTorch behind the backend seam: CPU, CUDA or MPS. Reads safetensors weights and published files."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from anymask.backends.base import DecodedArrays, DecodeInput, EmbeddingArrays, Floats
from anymask.core.spec import ModelSpec
from anymask.errors import BadOption, mapped
from anymask.hub.card import ModelFiles
from anymask.hub.weights import load_weights
from anymask.networks.segmenter import Segmenter

GPU_BATCH = 32


class TorchBackend:
    """Runs a network in float32 where its weights are. Safe to share between threads: it keeps no state."""

    _batch_size: int | None = None

    def __init__(self, model: Path, threads: int, device: str = "") -> None:
        network = load_weights(ModelFiles.of(model).weights if model.suffix == ".json" else model)
        place = open_device(device)
        if place.type == "cpu":
            torch.set_num_threads(threads)
        assert isinstance(network, nn.Module)
        self.network: Segmenter = network.to(place).eval()

    @classmethod
    def of(cls, network: Segmenter, batch_size: int | None = None) -> TorchBackend:
        """A backend around a network that is already there, on the device it is on."""
        backend = cls.__new__(cls)
        backend.network, backend._batch_size = network, batch_size
        return backend

    @property
    def batch_size(self) -> int:
        return self._batch_size or (1 if self.device.type == "cpu" else GPU_BATCH)

    @property
    def device(self) -> torch.device:
        assert isinstance(self.network, nn.Module)
        return next(self.network.parameters()).device

    @property
    def spec(self) -> ModelSpec:
        return self.network.spec

    def encode(self, pixels_13hw: Floats) -> EmbeddingArrays:
        with torch.inference_mode():
            return {n: to_array(t) for n, t in self.network.encode_image(self._tensor(pixels_13hw)).items()}

    def decode(self, embedding: EmbeddingArrays, prompts: DecodeInput) -> DecodedArrays:
        with torch.inference_mode():
            tensors = {name: self._tensor(a) for name, a in embedding.items()}
            decoded = self.network.decode(tensors, *map(self._tensor, prompts.arrays))
        return DecodedArrays(*(to_array(tensor) for tensor in decoded if tensor is not None))

    def _tensor(self, array: Floats) -> Tensor:
        return torch.from_numpy(array).to(self.device)


def to_array(tensor: Tensor) -> Floats:
    array: Floats = tensor.float().cpu().numpy()
    return array


def open_device(name: str) -> torch.device:
    """`cpu`, `cuda`, `cuda:1`, `mps`; the best one when the name is empty. Raises BadOption."""
    if not name:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    faults = (RuntimeError, AssertionError, NotImplementedError)
    with mapped(faults, BadOption, f"torch cannot run on {name!r} here"):
        return torch.empty(1, device=torch.device(name)).device
