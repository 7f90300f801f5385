"""The box head as one ONNX file with its own weights, in half precision, beside a model it belongs to."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn

from anymask.core.geometry import SizeHW
from anymask.core.spec import BOXES_READ
from anymask.errors import Failure, StorageError, WeightsError
from anymask.inference.export import (
    OPSET,
    TOLERANCE,
    complete_card,
    example_image,
    fold_constants,
    frame_axes,
    note_differences,
    proof_frames,
    quietly,
    store_half,
    strip_notes,
)
from anymask.inference.model_files import ModelFiles, read_card
from anymask.inference.onnx_backend import open_session
from anymask.inference.onnx_names import BOX_OUTPUTS
from anymask.model.box_head import BoxHead, BoxNetwork
from anymask.model.checkpoints import load_weights
from anymask.model.lite import DETAIL_LAYERS, Lite

ENCODER_TOLERANCE = 2e-3  # relative: what half precision does to a weight, with room
CARRIED = ("boxes_proof", "boxes_training")  # on the card, with a head that is passed on


class BoxGraph(nn.Module):
    """Scores 0..1 and boxes in pixels of the model frame."""

    def __init__(self, head: BoxHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, *maps: Tensor) -> tuple[Tensor, Tensor]:
        scores_BA, boxes_BA4 = self.head(*maps)
        return scores_BA.sigmoid(), boxes_BA4


def export_boxes(network: BoxNetwork, card: Path, facts: Mapping[str, Any] | None = None) -> Path:
    """Add the box head of `network` to the exported model of `card`, prove it, return the graph's path.

    `facts`: more entries for the card. Raises WeightsError when the model's encoder is not the one the head
    was trained on, Failure when the graph answers differently, StorageError when it cannot be written.
    """
    files = ModelFiles.of(card)
    check_encoder(network.network, files.weights)
    head = network.head.eval().float()
    head.load_state_dict({name: tensor.half() for name, tensor in head.state_dict().items()})
    example = example_maps(network, 1)
    with quietly(), torch.no_grad():
        program = torch.onnx.export(
            BoxGraph(head), example, dynamo=True, opset_version=OPSET, input_names=list(BOXES_READ),
            output_names=list(BOX_OUTPUTS), optimize=False, verbose=False,
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
        ir.save(program.model, files.boxes)
    except OSError as error:
        raise StorageError(f"cannot write {files.boxes}: {error.strerror or error}") from error
    try:
        others = [example_maps(network, 2, frame_hw) for frame_hw in proof_frames(network.spec)]
        complete_card(files, {"boxes_proof": prove_boxes(head, files.boxes, others), **(facts or {})})
    except BaseException:
        files.boxes.unlink(missing_ok=True)
        raise
    return files.boxes


def carry_boxes(giver: Path, card: Path) -> Path:
    """Give the exported model of `card` the box head of the model `giver`, from which its decoder went on;
    returns the graph's path.

    Raises WeightsError when `giver` has no box head or another encoder, StorageError.
    """
    given, files = ModelFiles.of(giver), ModelFiles.of(card)
    if not given.boxes.is_file():
        raise WeightsError(f"{giver} does not find boxes: there is no {given.boxes.name} beside it")
    check_encoder(lite_of(given.weights), files.weights)
    facts = read_card(given.card).facts
    try:
        shutil.copyfile(given.boxes, files.boxes)
    except OSError as error:
        raise StorageError(f"cannot write {files.boxes}: {error.strerror or error}") from error
    complete_card(files, {name: facts[name] for name in CARRIED if name in facts})
    return files.boxes


def check_encoder(network: Lite, weights: Path) -> None:
    """Raises WeightsError when what `weights` show a box head is not what `network` shows it."""
    ours, theirs = network.image_encoder.state_dict(), lite_of(weights).image_encoder.state_dict()
    for name in (n for n in ours if n.split(".")[0] not in DETAIL_LAYERS):
        if not torch.allclose(ours[name].float(), theirs[name].float(), rtol=ENCODER_TOLERANCE, atol=1e-6):
            raise WeightsError(
                f"{weights}: not the encoder that the box head was trained on ({name} differs); "
                f"train it with --recipe boxes --set weights_from={weights}"
            )


def lite_of(weights: Path) -> Lite:
    network = load_weights(weights)
    if not isinstance(network, Lite):
        raise WeightsError(f"{weights}: boxes are found on what lite sees, and this is another network")
    return network


def example_maps(network: BoxNetwork, seed: int, size_hw: SizeHW | None = None) -> tuple[Tensor, ...]:
    """What the head reads, of a random image."""
    with torch.no_grad():
        embedding = network.network.encode_image(example_image(network.spec, seed, size_hw))
    return tuple(embedding[name].contiguous() for name in BOXES_READ)


def prove_boxes(head: BoxHead, path: Path, examples: Sequence[tuple[Tensor, ...]]) -> dict[str, float]:
    """Largest relative difference of each output between the graph and the head. Raises Failure."""
    session, differences = open_session(path, 2), dict[str, float]()
    for maps in examples:
        with torch.no_grad():
            wanted = [tensor.numpy() for tensor in BoxGraph(head)(*maps)]
        inputs = {name: tensor.numpy() for name, tensor in zip(BOXES_READ, maps, strict=True)}
        got = map(np.asarray, session.run(list(BOX_OUTPUTS), inputs))
        note_differences(differences, *(dict(zip(BOX_OUTPUTS, a, strict=True)) for a in (wanted, got)))
    if worst := {name: d for name, d in differences.items() if not d <= TOLERANCE}:
        raise Failure(f"the graph of the boxes differs from the head: {worst} (allowed {TOLERANCE})")
    return differences
