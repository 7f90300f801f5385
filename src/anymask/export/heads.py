"""A head as one ONNX file with its own weights, in half precision, beside a model it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn

from anymask.backends.onnx import open_session
from anymask.backends.onnx_io import BOX_OUTPUTS, EDGE_OUTPUTS
from anymask.core.resample import SizeHW
from anymask.errors import Failure, StorageError, WeightsError
from anymask.export.graphs import OPSET, complete_card, copy_file, frame_axes, quietly
from anymask.export.onnx_edit import fold_constants, store_half, strip_notes
from anymask.export.parity import TOLERANCE, example_image, note_differences, proof_frames
from anymask.hub.card import ModelFiles, read_card
from anymask.networks.box_head import BoxNetwork
from anymask.networks.checkpoints import load_weights
from anymask.networks.edge_head import EdgeNetwork
from anymask.networks.head import Head, HeadNetwork
from anymask.networks.lite import DETAIL_LAYERS, Lite

ENCODER_TOLERANCE = 2e-3  # relative: what half precision does to a weight, with room


class HeadGraph(nn.Module):
    """What a head reads, one map after the other, to its answers."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        return self.head(*maps)  # type: ignore[no-any-return]


class BoxGraph(HeadGraph):
    """Scores 0..1 and boxes in pixels of the model frame."""

    def forward(self, *maps: Tensor) -> tuple[Tensor, Tensor]:
        scores_BA, boxes_BA4 = self.head(*maps)
        return scores_BA.sigmoid(), boxes_BA4


@dataclass(frozen=True, slots=True)
class HeadKind:
    """`part`: what its file and its entries on a card are called. `blind_to`: layers of the encoder whose
    maps it does not read.
    """

    part: str
    network: Callable[[Lite], HeadNetwork]
    graph: Callable[[Head], HeadGraph]
    outputs: tuple[str, ...]
    blind_to: tuple[str, ...] = ()


HEADS = {
    kind.part: kind
    for kind in (
        HeadKind("boxes", BoxNetwork, BoxGraph, BOX_OUTPUTS, DETAIL_LAYERS),
        HeadKind("edges", EdgeNetwork, HeadGraph, EDGE_OUTPUTS),
    )
}


def export_head(part: str, network: HeadNetwork, card: Path, facts: Mapping[str, Any] | None = None) -> Path:
    """Add the head of `network` to the exported model of `card`, prove it, return the graph's path.

    `facts`: more entries for the card. Raises WeightsError when the model's encoder is not the one the head
    was trained on, Failure when the graph answers differently, StorageError when it cannot be written.
    """
    kind, files = HEADS[part], ModelFiles.of(card)
    path = files.part(part)
    check_encoder(network.network, files.weights, kind)
    head = network.head.eval().float()
    head.load_state_dict({name: tensor.half() for name, tensor in head.state_dict().items()})
    example = example_maps(network, 1)
    with quietly(), torch.no_grad():
        program = torch.onnx.export(
            kind.graph(head), example, dynamo=True, opset_version=OPSET, input_names=list(head.reads),
            output_names=list(kind.outputs), optimize=False, verbose=False,
            dynamic_shapes=(frame_axes(network.spec, *example),),
        )  # fmt: skip
    assert program is not None
    strip_notes(program.model)
    fold_constants(program.model)
    graph, weights = program.model.graph, {f"head.{name}" for name in head.state_dict()}
    for name, value in list(graph.initializers.items()):
        if name in weights and value.const_value is not None:
            store_half(graph, value, ir.tensor(value.const_value.numpy().astype(np.float16)))
    try:
        ir.save(program.model, path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    try:
        others = [example_maps(network, 2, frame_hw) for frame_hw in proof_frames(network.spec)]
        complete_card(files, {f"{part}_proof": prove_head(kind, head, path, others), **(facts or {})})
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def carry_head(part: str, giver: Path, card: Path) -> Path:
    """Give the exported model of `card` the head of the model `giver`, from which it went on; returns the
    graph's path.

    Raises WeightsError when `giver` has no such head or another encoder, StorageError.
    """
    kind, given, files = HEADS[part], ModelFiles.of(giver), ModelFiles.of(card)
    ours, theirs = files.part(part), given.part(part)
    if not theirs.is_file():
        raise WeightsError(f"{giver} does not find {part}: there is no {theirs.name} beside it")
    check_encoder(lite_of(given.weights), files.weights, kind)
    facts = read_card(given.card).facts
    copy_file(theirs, ours)
    carried = (f"{part}_proof", f"{part}_training")
    complete_card(files, {name: facts[name] for name in carried if name in facts})
    return ours


def check_encoder(network: Lite, weights: Path, kind: HeadKind) -> None:
    """Raises WeightsError when what `weights` show such a head is not what `network` shows it."""
    ours, theirs = network.image_encoder.state_dict(), lite_of(weights).image_encoder.state_dict()
    for name in (n for n in ours if n.split(".")[0] not in kind.blind_to):
        if not torch.allclose(ours[name].float(), theirs[name].float(), rtol=ENCODER_TOLERANCE, atol=1e-6):
            raise WeightsError(
                f"{weights}: not the encoder that the head was trained on ({name} differs); "
                f"train it with --recipe {kind.part} --set weights_from={weights}"
            )


def lite_of(weights: Path) -> Lite:
    network = load_weights(weights)
    if not isinstance(network, Lite):
        raise WeightsError(f"{weights}: heads read what lite sees, and this is another network")
    return network


def example_maps(network: HeadNetwork, seed: int, size_hw: SizeHW | None = None) -> tuple[Tensor, ...]:
    """What the head reads, of a random image."""
    with torch.no_grad():
        embedding = network.network.encode_image(example_image(network.spec, seed, size_hw))
    return tuple(embedding[name].contiguous() for name in network.head.reads)


def prove_head(
    kind: HeadKind, head: Head, path: Path, examples: Sequence[tuple[Tensor, ...]]
) -> dict[str, float]:
    """Largest relative difference of each output between the graph and the head. Raises Failure."""
    session, differences = open_session(path, 2), dict[str, float]()
    for maps in examples:
        with torch.no_grad():
            wanted = [tensor.numpy() for tensor in kind.graph(head)(*maps)]
        inputs = {name: tensor.numpy() for name, tensor in zip(head.reads, maps, strict=True)}
        got = map(np.asarray, session.run(list(kind.outputs), inputs))
        note_differences(differences, *(dict(zip(kind.outputs, a, strict=True)) for a in (wanted, got)))
    if worst := {name: d for name, d in differences.items() if not d <= TOLERANCE}:
        raise Failure(f"the graph of the {kind.part} differs from the head: {worst} (allowed {TOLERANCE})")
    return differences
