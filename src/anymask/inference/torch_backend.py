"""PyTorch behind the backend seam: CPU, CUDA or MPS. Reads safetensors weights with their card, or published files."""

from __future__ import annotations

from pathlib import Path

import torch

from anymask.inference.backend import DecodedArrays, DecodeInput, Embedding, Floats
from anymask.model.checkpoints import load_weights
from anymask.model.segmenter import Segmenter


class TorchBackend:
    """Runs a network in float32 on the best device there is. Thread-safe: the network keeps no state."""

    def __init__(self, model: Path | Segmenter, threads: int = 1) -> None:
        self._network = load_weights(_weights_beside(model)) if isinstance(model, Path) else model
        self._device = _best_device()
        if isinstance(model, Path) and self._device.type == "cpu":
            torch.set_num_threads(threads)
        assert isinstance(self._network, torch.nn.Module)
        self._network.to(self._device).eval()
        self.spec = self._network.spec

    def encode(self, pixels_13SS: Floats) -> Embedding:
        with torch.inference_mode():
            answer = self._network.encode_image(torch.from_numpy(pixels_13SS).to(self._device))
        return {name: tensor.float().cpu().numpy() for name, tensor in answer.items()}

    def decode(self, embedding: Embedding, prompts: DecodeInput) -> DecodedArrays:
        arrays = (prompts.points_PN2, prompts.labels_PN, prompts.masks_P1mm, prompts.has_mask_P)
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(a).to(self._device) for name, a in embedding.items()}
            answer = self._network.decode(tensors, *(torch.from_numpy(a).to(self._device) for a in arrays))
        masks, iou, chances = (None if t is None else t.float().cpu().numpy() for t in answer)
        assert masks is not None and iou is not None
        return DecodedArrays(masks, iou, chances)


def _weights_beside(model: Path) -> Path:
    """A card stands for the safetensors file beside it."""
    return model.with_suffix(".safetensors") if model.suffix == ".json" else model


def _best_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
