"""Weights with their card: loading, saving and converting. Needs torch.

The card beside `<stem>.safetensors` is `<stem>.json`:
    {"network": preset name, "spec": ModelSpec fields, "weights": {"sha256", "bytes", "parameters"},
     "source": {"file", "sha256"} where the weights were converted}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from anymask.core.spec import ModelSpec
from anymask.errors import WeightsError
from anymask.files import sha256_of
from anymask.hub.card import ModelFiles, read_card, write_card
from anymask.networks.checkpoints import State, build_with, network_of, read_published, write_tensors
from anymask.networks.segmenter import Segmenter


def load_weights(path: str | Path) -> Segmenter:
    """The network of a weights file. Its card, if there is one, says which network, and must match.

    Raises WeightsError when the file is missing, damaged or of another network, or does not fit its card.
    """
    path = Path(path)
    state = read_published(path)
    if not ModelFiles.of(path).card.is_file():
        return build_with(state, network_of(state, path), path)
    card = read_card(path)
    if (expected := card.sha256("weights")) and sha256_of(path) != expected:
        raise WeightsError(f"{path} is damaged: its SHA-256 is not the one on its card")
    model = build_with(state, card.facts.get("network") or network_of(state, path), path)
    spec, built = card.spec, model.spec
    if (spec.family, spec.input_size) != (built.family, built.input_size):
        raise WeightsError(
            f"the card of {path} says {spec.family} at {spec.input_size} pixels, "
            f"the network is {built.family} at {built.input_size}"
        )
    model.spec = replace(spec, frame_multiple=built.frame_multiple)  # the network knows it, not the card
    return model


def convert_checkpoint(source: str | Path, target: str | Path, name: str = "auto") -> Path:
    """Rewrite a published checkpoint as safetensors with a card; returns the path of the card.

    Raises WeightsError as `load_weights` does, StorageError when the files cannot be written.
    """
    source = Path(source)
    state = read_published(source)
    name = network_of(state, source) if name == "auto" else name
    spec = build_with(state, name, source).spec
    origin = {"file": source.name, "sha256": sha256_of(source)}
    return save_weights(state, target, name, spec, {"source": origin})


def save_weights(
    state: State, target: str | Path, network: str, spec: ModelSpec, metadata: Mapping[str, Any] | None = None
) -> Path:
    """Write weights and their card, each atomically; `metadata`: more entries. Returns the card's path.

    Raises StorageError when the files cannot be written.
    """
    target = Path(target)
    write_tensors(target, state)
    parameters = sum(tensor.numel() for tensor in state.values())
    weights = {"sha256": sha256_of(target), "bytes": target.stat().st_size, "parameters": parameters}
    card = {"network": network, "spec": spec.to_dict(), "weights": weights, **(metadata or {})}
    return write_card(ModelFiles.of(target).card, card)
