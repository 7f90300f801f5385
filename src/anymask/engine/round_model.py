"""The model of a round: a folder that `anymask.load` opens, made from that of the model before in a second.

The weights have the same names, shapes and precisions as before, so they lie at the same places of the file,
and the graphs that read them are copied; the box head, whose graph holds its weights, gets new ones. No
exporter runs; parity with the network is checked as for an export.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from anymask.errors import BadOption, StorageError, WeightsError, mapped
from anymask.export.graphs import complete_card
from anymask.export.onnx_edit import NETWORK
from anymask.export.parity import check_parity
from anymask.files import make_folder
from anymask.hub.card import ModelFiles, read_card
from anymask.hub.catalog import find_model
from anymask.hub.weights import load_weights, save_weights
from anymask.networks.box_head import STRIDES, BoxHead
from anymask.networks.checkpoints import State
from anymask.networks.lite import Lite

HEAD = "head."  # prefix of the names of weights in graphs of heads
HALF = ".half"
SCALES = ("select", *(f"select_{n}" for n in range(1, len(STRIDES))))  # of the levels: constants in the graph
PARITY = ((1, 1), (2, 3))  # prompts, points
OWN_FACTS = (
    "encoder",
    "decoder",
    "points",
    "boxes",
    "edges",
    "weights",
    "network",
    "spec",
    "proof",
    "boxes_proof",
)
OLD_FACTS = ("results", "boxes_training", "edges_training")  # of the model before; not true of this one
NAME = "lite.json"  # of the card: the graphs name the weights file beside them


@dataclass(frozen=True, slots=True)
class BaseModel:
    """The model that a round starts from. `constants`: parameters of the network that its graphs do not read
    from the weights file, since the exporter folded them or found them without effect; they have to stay.
    """

    files: ModelFiles
    network: Lite
    box_head: BoxHead
    facts: Mapping[str, Any]
    fingerprint: str
    constants: frozenset[str]


def open_base(base: str | Path) -> BaseModel:
    """By name or path. Raises ModelNotFound, WeightsError, BadOption for a model that rounds cannot train."""
    files = ModelFiles.of(find_model(str(base)))
    network, card = load_weights(files.weights), read_card(files.card)
    if not isinstance(network, Lite):
        raise BadOption(f"a round trains models of the family lite, got {network.spec.name}")
    for part in (files.encoder, files.decoder, files.boxes):
        if not part.is_file():
            raise WeightsError(f"{base}: expected the graph {part.name} beside its weights")
    read = read_by(files.encoder) | read_by(files.decoder)
    constants = frozenset(name for name, _ in network.named_parameters() if name not in read)
    return BaseModel(files, network, read_box_head(files.boxes), card.facts, card.fingerprint, constants)


def read_by(graph: Path) -> set[str]:
    """Names of the weights that a graph reads from the file beside it."""
    with mapped((OSError, ValueError), WeightsError, f"cannot read the graph {graph}"):
        found = ir.load(graph).graph.initializers
    names = (name for name, value in found.items() if isinstance(value.const_value, ir.ExternalTensor))
    return {name.removeprefix(NETWORK).removesuffix(HALF) for name in names}


def read_box_head(path: Path) -> BoxHead:
    """The box head of a graph. Raises WeightsError when it is none."""
    head = BoxHead()
    with mapped(
        (KeyError, AttributeError, RuntimeError, OSError, ValueError), WeightsError, f"no box head in {path}"
    ):
        found = ir.load(path).graph.initializers
        arrays = {
            name: torch.from_numpy(_array(found[f"{HEAD}{name}{HALF}"])).float() for name in weights_of(head)
        }
        arrays["scale"] = torch.tensor([float(_array(found[name])) for name in SCALES])
        head.load_state_dict(arrays)
    head.scale.requires_grad_(False)  # the graph has it as constants
    return head


def weights_of(head: BoxHead) -> list[str]:
    return [name for name in head.state_dict() if name != "scale"]


def _array(value: ir.Value) -> np.ndarray:
    assert value.const_value is not None
    return np.array(value.const_value.numpy())


def blend(before: State, after: State, share: float) -> dict[str, Tensor]:
    """Weights between two models ("WiSE-FT", Wortsman et al. 2022); `share` of the second."""
    return {
        name: torch.lerp(tensor.float(), after[name].float(), share)
        if tensor.is_floating_point()
        else after[name]
        for name, tensor in before.items()
    }


def publish(base: BaseModel, state: State, box_head: BoxHead, facts: Mapping[str, Any], out: Path) -> Path:
    """Write the model into `out`, check its parity with the network, return its card.

    `facts`: more entries of the card, which win. Raises Failure when the graphs differ, StorageError,
    WeightsError.
    """
    ours = ModelFiles.of(make_folder(out) / NAME)
    kept = {k: v for k, v in base.facts.items() if k not in (*OWN_FACTS, *OLD_FACTS)}
    stored = as_stored_by(base.files.weights, state)
    save_weights(stored, ours.weights, "lite", base.network.spec, {**kept, **facts})
    if places(ours.weights) != places(base.files.weights):
        raise WeightsError(f"{ours.weights}: its tensors lie elsewhere than those of {base.files.weights}")
    with mapped(OSError, StorageError, f"cannot write {out}"):
        for part in ("encoder", "decoder", "edges", "names", "names_table"):
            if base.files.part(part).is_file():
                shutil.copyfile(base.files.part(part), ours.part(part))
        write_box_head(base.files.boxes, box_head, ours.boxes)
    complete_card(ours, {})
    network = Lite()
    network.load_state_dict({name: tensor.float() for name, tensor in stored.items()})
    complete_card(ours, {"proof": check_parity(network.eval(), ours.card, PARITY)})
    return ours.card


def as_stored_by(weights: Path, state: State) -> dict[str, Tensor]:
    """In the precisions of the file."""
    with (
        mapped((OSError, SafetensorError), WeightsError, f"cannot read {weights}"),
        safe_open(weights, "pt") as file,
    ):
        kinds = {name: file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118 - not a dict
    return {name: state[name].detach().to(kind).contiguous() for name, kind in kinds.items()}


def places(weights: Path) -> bytes:
    """The header of a safetensors file: 8 bytes that hold its length, then names, types and offsets."""
    with weights.open("rb") as file:
        return file.read(int.from_bytes(file.read(8), "little"))


def write_box_head(source: Path, head: BoxHead, target: Path) -> None:
    """The graph of `source` with the weights of `head`, in half precision."""
    model, state = ir.load(source), head.state_dict()
    for name in weights_of(head):
        value = model.graph.initializers[f"{HEAD}{name}{HALF}"]
        value.const_value = ir.tensor(state[name].half().numpy(), name=value.name)
    ir.save(model, target)
