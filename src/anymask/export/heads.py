"""ONNX export of a head: one file with its own weights, in half precision, beside its model."""

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
from anymask.errors import WeightsError
from anymask.export.graphs import complete_card, frame_axes, save_graph, traced
from anymask.export.onnx_edit import store_half
from anymask.export.parity import check_tolerance, example_image, note_differences, parity_frames
from anymask.files import write_atomically
from anymask.hub.card import ModelFiles, read_card
from anymask.hub.weights import load_weights
from anymask.networks.box_head import BoxNetwork
from anymask.networks.edge_head import EdgeNetwork
from anymask.networks.head import Head, HeadNetwork
from anymask.networks.lite import DETAIL_LAYERS, Lite

ENCODER_TOLERANCE = 2e-3  # relative: half-precision rounding of a weight, with a margin


class HeadGraph(nn.Module):
    """Embedding maps to the outputs of a head."""

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
    """`part`: name of its file and of its card entries. `unread`: encoder layers it does not depend on."""

    part: str
    network: Callable[[Lite], HeadNetwork]
    graph: Callable[[Head], HeadGraph]
    outputs: tuple[str, ...]
    unread: tuple[str, ...] = ()


HEADS = {
    "boxes": HeadKind("boxes", BoxNetwork, BoxGraph, BOX_OUTPUTS, DETAIL_LAYERS),
    "edges": HeadKind("edges", EdgeNetwork, HeadGraph, EDGE_OUTPUTS),
}


def export_head(
    part: str, network: HeadNetwork, card: Path, metadata: Mapping[str, Any] | None = None
) -> Path:
    """Add the head of `network` to the exported model of `card`, check its parity, return the graph's path.

    `metadata`: more entries for the card. Raises WeightsError when the head was trained on another encoder,
    Failure when the graph differs from the head, StorageError when it cannot be written.
    """
    kind, files, path = HEADS[part], ModelFiles.of(card), ModelFiles.of(card).part(part)
    check_encoder(network.network, files.weights, kind)
    head = network.head.eval().float()
    head.load_state_dict({name: tensor.half() for name, tensor in head.state_dict().items()})
    graph, example = kind.graph(head), example_maps(network, 1)
    axes = (frame_axes(network.spec, *example),)
    model = traced(graph, example, head.reads, kind.outputs, axes)
    for name, value in list(model.graph.initializers.items()):
        if name in graph.state_dict() and value.const_value is not None:
            store_half(model.graph, value, ir.tensor(value.const_value.numpy().astype(np.float16)))
    save_graph(model, path)
    try:
        others = [example_maps(network, 2, frame_hw) for frame_hw in parity_frames(network.spec)]
        proof = check_head_parity(kind, head, path, others)
        complete_card(files, {f"{part}_proof": proof, **(metadata or {})})
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def copy_head(part: str, source: Path, card: Path) -> Path:
    """Copy the head of the model `source` to the exported model of `card`; returns the graph's path.

    Raises WeightsError when `source` has no such head or another encoder, StorageError.
    """
    kind, theirs, ours = HEADS[part], ModelFiles.of(source), ModelFiles.of(card)
    if not theirs.part(part).is_file():
        raise WeightsError(f"{source} does not find {part}: there is no {theirs.part(part).name} beside it")
    check_encoder(lite_of(theirs.weights), ours.weights, kind)
    write_atomically(ours.part(part), theirs.part(part).read_bytes())
    entries = (f"{part}_proof", f"{part}_training")
    complete_card(ours, {k: v for k, v in read_card(theirs.card).facts.items() if k in entries})
    return ours.part(part)


def check_encoder(network: Lite, weights: Path, kind: HeadKind) -> None:
    """Raises WeightsError unless the encoder layers that such a head depends on are those of `network`."""
    ours, theirs = network.image_encoder.state_dict(), lite_of(weights).image_encoder.state_dict()
    for name in (n for n in ours if n.split(".")[0] not in kind.unread):
        if not torch.allclose(ours[name].float(), theirs[name].float(), rtol=ENCODER_TOLERANCE, atol=1e-6):
            raise WeightsError(
                f"{weights}: not the encoder that the head was trained on ({name} differs); "
                f"train it with the recipe {kind.part} and weights_from={weights}"
            )


def lite_of(weights: Path) -> Lite:
    network = load_weights(weights)
    if not isinstance(network, Lite):
        raise WeightsError(f"{weights}: expected weights of lite, got those of {network.spec.name}")
    return network


def example_maps(network: HeadNetwork, seed: int, size_hw: SizeHW | None = None) -> tuple[Tensor, ...]:
    """The maps the head reads, of a random image."""
    with torch.no_grad():
        embedding = network.network.encode_image(example_image(network.spec, seed, size_hw))
    return tuple(embedding[name].contiguous() for name in network.head.reads)


def check_head_parity(
    kind: HeadKind, head: Head, path: Path, examples: Sequence[tuple[Tensor, ...]]
) -> dict[str, float]:
    """Largest relative difference of each output between the graph and the head. Raises Failure."""
    session, differences = open_session(path, 2), dict[str, float]()
    for maps in examples:
        with torch.no_grad():
            expected = [tensor.numpy() for tensor in kind.graph(head)(*maps)]
        inputs = {name: tensor.numpy() for name, tensor in zip(head.reads, maps, strict=True)}
        got = map(np.asarray, session.run(list(kind.outputs), inputs))
        note_differences(differences, *(dict(zip(kind.outputs, a, strict=True)) for a in (expected, got)))
    return check_tolerance(differences, f"the {kind.part} head")
