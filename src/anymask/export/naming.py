"""Export of the naming model: `<stem>.names.onnx` and `<stem>.names.safetensors` beside a model.

The trunk's weights are stored as 8-bit integers with a scale for each output channel, the rest in half
precision; the graph widens them when it is loaded, so all arithmetic is float32.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn

from anymask.backends.onnx_io import ENCODER_INPUT, NAMING_OUTPUTS
from anymask.core.spec import NAMING_MULTIPLE, NAMING_SIZE
from anymask.export.graphs import complete_card, save_graph, traced
from anymask.export.onnx_edit import store_half, store_int8
from anymask.hub.card import ModelFiles
from anymask.networks.checkpoints import write_tensors
from anymask.networks.naming import CONTEXT, REDUCED, NamingNetwork, RegionHead

SMALL = 1 << 12  # values of a tensor below which 8 bits save nothing


@dataclass(frozen=True, slots=True)
class NamingParts:
    """What was trained. `heads`: those whose vectors are averaged. `names`: of the bank, `bank_vectors`
    (N, D). `related`: names that do not compete. `class_vectors` (K, D): of the ImageNet classes.
    `photo_biases` (N,): of the photo head, NaN for a name that it was not taught. `facts`: calibrated
    constants.
    """

    network: NamingNetwork
    heads: Sequence[RegionHead]
    names: Sequence[str]
    related: Mapping[str, Sequence[str]]
    bank_vectors: Tensor
    class_vectors: Tensor
    none_vectors: Tensor
    dense_none_vectors: Tensor
    photo_biases: Tensor
    facts: Mapping[str, float]


def export_naming(parts: NamingParts, card: Path, training: Mapping[str, Any] | None = None) -> None:
    """Write both files beside the model of `card` and note them there. Raises StorageError."""
    files = ModelFiles.of(card)
    write_naming_graph(parts.network, files.names)
    write_tensors(files.names_table, naming_tensors(parts), {"naming": naming_metadata(parts)})
    complete_card(files, {"names_training": dict(training or {})})


def write_naming_graph(network: NamingNetwork, path: Path, *, eight_bit: bool = True) -> None:
    """Raises StorageError."""
    stored = as_stored(network, eight_bit)
    example = torch.zeros(1, 3, NAMING_SIZE // 2, NAMING_SIZE)
    steps = NAMING_SIZE // NAMING_MULTIPLE
    rows, columns = (torch.export.Dim(name, min=1, max=steps) for name in ("rows", "columns"))
    axes = ({2: NAMING_MULTIPLE * rows, 3: NAMING_MULTIPLE * columns},)
    model = traced(stored, (example,), [ENCODER_INPUT], NAMING_OUTPUTS, axes)
    for name, value in list(model.graph.initializers.items()):
        if name not in stored.state_dict() or value.const_value is None:
            continue
        array = value.const_value.numpy()
        if eight_bit and is_eight_bit(name, array):
            store_int8(model.graph, value, *quantised(array))
        else:
            store_half(model.graph, value, ir.tensor(array.astype(np.float16)))
    save_graph(model, path)


def as_stored(network: NamingNetwork, eight_bit: bool) -> NamingNetwork:
    """A copy with the precision of the files."""
    stored = copy.deepcopy(network).eval()
    with torch.no_grad():
        for name, tensor in stored.state_dict().items():
            array = tensor.numpy()
            if eight_bit and is_eight_bit(name, array):
                integers, scale = quantised(array)
                tensor.copy_(torch.from_numpy(integers.astype(np.float32) * scale.astype(np.float32)))
            else:
                tensor.copy_(tensor.half().float())
    return stored


def is_eight_bit(name: str, array: np.ndarray) -> bool:
    """Large weights of the trunk."""
    return name.startswith("trunk.") and array.ndim == 4 and array.size >= SMALL


def quantised(weight_OIhw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8, and float16 scales of the output channels as (O, 1, 1, 1)."""
    largest = np.abs(weight_OIhw).max((1, 2, 3), keepdims=True)
    scale = np.maximum(largest / 127, 1e-7).astype(np.float16)
    return np.round(weight_OIhw / scale.astype(np.float32)).clip(-127, 127).astype(np.int8), scale


def naming_tensors(parts: NamingParts) -> dict[str, Tensor]:
    """In half precision."""
    own = {
        "bank_vectors": parts.bank_vectors, "class_vectors": parts.class_vectors,
        "none_vectors": parts.none_vectors, "dense_none_vectors": parts.dense_none_vectors,
        "photo_biases": parts.photo_biases, "reduced": torch.tensor([float(REDUCED)]),
    }  # fmt: skip
    assert parts.heads[0].enter.in_features == REDUCED + CONTEXT
    states = [head.state_dict() for head in parts.heads]
    stacked = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    return {name: tensor.half() for name, tensor in {**stacked, **own}.items()}


def naming_metadata(parts: NamingParts) -> str:
    related = {name: list(others) for name, others in parts.related.items() if others}
    told = {"names": list(parts.names), "related": related, "facts": dict(parts.facts)}
    return json.dumps(told, ensure_ascii=False)


def naming_modules(parts: NamingParts) -> tuple[nn.Module, list[nn.Module]]:
    """The networks with the precision of the files, for parity."""
    heads = [copy.deepcopy(head).eval() for head in parts.heads]
    for head in heads:
        head.load_state_dict({name: tensor.half().float() for name, tensor in head.state_dict().items()})
    return as_stored(parts.network, True), list[nn.Module](heads)
