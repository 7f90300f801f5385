"""A network as ONNX: graphs of the encoder and the decoder that read their weights from one safetensors file.

The same file serves torch (training goes on from it) and the ONNX runtimes: every weight of a graph points
into it. Weights may be stored in half precision; the graphs widen them when they are loaded, so all
arithmetic stays float32. An export proves itself: the graphs must answer as the network does, or no files
are left.

Legend: P prompts, N point columns, S input size, m low-res mask size.
"""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn

from anymask.core.spec import ModelSpec
from anymask.errors import StorageError
from anymask.inference.export_graph import fold_constants, link_weights, strip_notes
from anymask.inference.export_proof import example_image, example_prompts, prove
from anymask.inference.model_files import HEAD_PARTS, ModelFiles, read_card, sha256_of
from anymask.inference.onnx_names import DECODER_OUTPUTS, ENCODER_INPUT, PROMPT_INPUTS
from anymask.model.checkpoints import load_weights, save_weights
from anymask.model.segmenter import Segmenter

OPSET = 20
MAX_PROMPTS, MAX_POINTS = 4096, 1024  # told to the exporter; the graphs do not know them
# Networks that answer prompts without masks sooner by a graph of their own.
POINTS_FAMILIES = ("sam", "mobile_sam")
# Of the card, written anew.
OWN_FACTS = ("network", "spec", "weights", "encoder", "decoder", "points", *HEAD_PARTS, "proof")


class EncoderGraph(nn.Module):
    """Image to the tensors of `spec.embedding_names`, in that order."""

    def __init__(self, network: Segmenter) -> None:
        super().__init__()
        self.network, self.names = network, network.spec.embedding_names

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        embedding = self.network.encode_image(image)
        return tuple(embedding[name] for name in self.names)


class DecoderGraph(nn.Module):
    """Embedding tensors and prompts to masks, predicted IoU and, if there is a head, probability logits."""

    def __init__(self, network: Segmenter) -> None:
        super().__init__()
        self.network, self.names = network, network.spec.embedding_names

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        embedding = dict(zip(self.names, tensors, strict=False))
        points, labels, masks, has_mask = tensors[len(self.names) :]
        decoded = self.network.decode(embedding, points, labels, masks, has_mask)
        return tuple(tensor for tensor in decoded if tensor is not None)


class PointsGraph(DecoderGraph):
    """The decoder for prompts without masks."""

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        embedding = dict(zip(self.names, tensors, strict=False))
        decoded = self.network.decode(embedding, *tensors[len(self.names) :])
        return tuple(tensor for tensor in decoded if tensor is not None)


def export_weights(weights: Path, out: Path, *, half: bool = False) -> Path:
    """`export_model` of a safetensors, .pth or .pt file; what else its card says is kept.

    Raises WeightsError, and what `export_model` raises.
    """
    card = ModelFiles.of(weights).card
    facts = read_card(card).facts if card.is_file() else {}
    network = load_weights(weights)
    kept = {key: value for key, value in facts.items() if key not in OWN_FACTS}
    exported = export_model(network, out, half=half, facts=kept, preset=facts.get("network"))
    ours, theirs = ModelFiles.of(exported), ModelFiles.of(weights)
    heads = {part: path for part, path in theirs.parts() if part in HEAD_PARTS}
    if heads and ours.card.resolve() != theirs.card.resolve():
        for part, path in heads.items():
            copy_file(path, ours.part(part))  # its weights are its own
        complete_card(ours, {})
    return exported


def copy_file(source: Path, destination: Path) -> None:
    """Raises StorageError."""
    try:
        destination.write_bytes(source.read_bytes())
    except OSError as error:
        raise StorageError(f"cannot write {destination}: {error.strerror or error}") from error


def export_model(
    network: Segmenter,
    out: Path,
    *,
    half: bool = False,
    facts: Mapping[str, Any] | None = None,
    preset: str | None = None,
) -> Path:
    """Write `<name>.safetensors`, its graphs and the card into `out`, prove them, return the card's path.

    `half`: store the weights in half precision. `facts`: more entries for the card. `preset`: what the
    network was built as, where that is not the name in its spec. Raises Failure when the graphs answer
    differently, StorageError when the files cannot be written.
    """
    stored, state = as_stored(network, half)
    weights = out / f"{network.spec.name}.safetensors"
    card = save_weights(state, weights, preset or network.spec.name, network.spec, facts)
    files = ModelFiles.of(card)
    try:
        write_graphs(stored, files, weights)
        complete_card(files, {"proof": prove(stored, card)})
    except BaseException:
        for path in (files.encoder, files.decoder, files.points):
            path.unlink(missing_ok=True)
        raise
    return card


def as_stored(network: Segmenter, half: bool) -> tuple[Segmenter, dict[str, Tensor]]:
    """A copy of the network as it will be read back, and the tensors to store.

    Buffers (position frequencies, statistics of normalisation) keep their precision.
    """
    assert isinstance(network, nn.Module)
    stored = copy.deepcopy(network).eval().cpu()
    parameters = {name for name, _ in stored.named_parameters()}
    state = {k: v.half() if half and k in parameters else v for k, v in stored.state_dict().items()}
    stored.load_state_dict(state)  # copies into the network's own precision
    return stored, state


def write_graphs(network: Segmenter, files: ModelFiles, weights: Path) -> None:
    """Encoder, decoder and, where it pays, the decoder for prompts without masks. Raises StorageError."""
    spec, pixels = network.spec, example_image(network.spec, seed=1)
    write_graph(EncoderGraph(network), (pixels,), frame_axes(spec, pixels), files.encoder, weights)
    inputs = decoder_example(network)
    axes = decoder_axes(spec, *inputs)
    write_graph(DecoderGraph(network), inputs, axes, files.decoder, weights)
    if spec.family in POINTS_FAMILIES:
        write_graph(PointsGraph(network), inputs[:-2], (axes[0][:-2],), files.points, weights)


def write_graph(graph: nn.Module, inputs: tuple[Tensor, ...], axes: Any, path: Path, weights: Path) -> None:
    """Trace a graph and write it; its weights are in the file `weights` beside it. Raises StorageError."""
    spec: ModelSpec = graph.network.spec  # type: ignore[assignment, union-attr]
    is_encoder = isinstance(graph, EncoderGraph)
    with torch.no_grad():
        outputs = spec.embedding_names if is_encoder else DECODER_OUTPUTS[: len(graph(*inputs))]
    names = [ENCODER_INPUT] if is_encoder else [*spec.embedding_names, *PROMPT_INPUTS]
    with quietly():
        program = torch.onnx.export(
            graph.eval(),
            inputs,
            dynamo=True,
            opset_version=OPSET,
            input_names=names[: len(inputs)],
            output_names=list(outputs),
            dynamic_shapes=axes,
            optimize=False,  # keeps the names of the weights; the runtimes optimise when they load
            verbose=False,
        )
    assert program is not None
    strip_notes(program.model)
    fold_constants(program.model)
    link_weights(program.model, weights)
    try:
        ir.save(program.model, path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def quietly() -> Iterator[None]:
    """Without the exporter's remarks about its own insides and about packages that are not installed."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def complete_card(files: ModelFiles, facts: Mapping[str, Any]) -> None:
    """Add checksums of the graphs and other facts to a card."""
    graphs = ((part, path) for part, path in files.parts() if part != "weights")
    card = {**read_card(files.card).facts, **facts}
    card |= {part: {"sha256": sha256_of(path), "bytes": path.stat().st_size} for part, path in graphs}
    partial = files.card.with_name(f"{files.card.name}.partial")
    try:
        partial.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", "utf-8")
        partial.replace(files.card)
    except OSError as error:
        raise StorageError(f"cannot write {files.card}: {error.strerror or error}") from error


def decoder_example(network: Segmenter) -> tuple[Tensor, ...]:
    with torch.no_grad():
        embedding = network.encode_image(example_image(network.spec, seed=1))
    prompts = example_prompts(network.spec, 2, 3)
    arrays = (prompts.points_PN2, prompts.labels_PN, prompts.masks_P1mm, prompts.has_mask_P)
    return (*(embedding[name] for name in network.spec.embedding_names), *map(torch.from_numpy, arrays))


def frame_axes(spec: ModelSpec, *maps_BChw: Tensor) -> tuple[dict[int, Any], ...]:
    """Of maps of a whole frame: height and width are free, in steps, where a part of it can be encoded."""
    if not spec.frame_multiple:
        return ({},) * len(maps_BChw)
    most = spec.input_size // spec.frame_multiple
    rows, columns = (torch.export.Dim(name, min=1, max=most) for name in ("rows", "columns"))
    steps = (x.shape[-1] * spec.frame_multiple // spec.input_size for x in maps_BChw)
    return tuple({2: step * rows, 3: step * columns} for step in steps)


def decoder_axes(spec: ModelSpec, *inputs: Tensor) -> tuple[tuple[dict[int, Any], ...]]:
    """Numbers of prompts and points are free, and the same in every input that has them."""
    prompts = torch.export.Dim("prompts", min=1, max=MAX_PROMPTS)
    points = torch.export.Dim("points", min=1, max=MAX_POINTS)
    both, first = {0: prompts, 1: points}, {0: prompts}
    return ((*frame_axes(spec, *inputs[: len(spec.embedding_names)]), both, both, first, first),)
