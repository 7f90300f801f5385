"""ONNX export: graphs of the encoder and the decoder with external data in one safetensors file.

The same file serves torch (training goes on from it) and the ONNX runtimes. Weights may be stored in half
precision; the graphs cast them when they are loaded, so all arithmetic stays float32. Every export is checked
for parity with the network, or no files are left.

Legend: P prompts, N point columns, S input size, m low-res mask size.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn

from anymask.backends.onnx_io import DECODER_OUTPUTS, ENCODER_INPUT, PROMPT_INPUTS
from anymask.core.spec import ModelSpec
from anymask.errors import StorageError, mapped
from anymask.export.onnx_edit import fold_constants, link_weights, strip_metadata
from anymask.export.parity import check_parity, example_image, example_prompts
from anymask.files import sha256_of, write_atomically
from anymask.hub.card import HEAD_PARTS, ModelFiles, read_card, write_card
from anymask.hub.weights import load_weights, save_weights
from anymask.networks.segmenter import Segmenter

OPSET = 20
MAX_PROMPTS, MAX_POINTS = 4096, 1024  # for the exporter; the graphs have no such limits
POINTS_FAMILIES = ("sam", "mobile_sam")  # with a faster graph for prompts without masks
# Entries of the card that an export writes anew, or (grid: of older exports) drops.
OWN_ENTRIES = ("network", "spec", "weights", "encoder", "decoder", "points", *HEAD_PARTS, "proof", "grid")


class NetworkGraph(nn.Module):
    def __init__(self, network: Segmenter) -> None:
        super().__init__()
        self.network, self.names = network, network.spec.embedding_names


class EncoderGraph(NetworkGraph):
    """Image to the tensors of `spec.embedding_names`, in that order."""

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        embedding = self.network.encode_image(image)
        return tuple(embedding[name] for name in self.names)


class DecoderGraph(NetworkGraph):
    """Embedding tensors and prompts to masks, predicted IoU and, if there is a head, probability logits."""

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The last two tensors, masks and which prompts have one, may be left out."""
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
    kept = {key: value for key, value in facts.items() if key not in OWN_ENTRIES}
    exported = export_model(network, out, half=half, metadata=kept, preset=facts.get("network"))
    ours, theirs = ModelFiles.of(exported), ModelFiles.of(weights)
    if ours.card.resolve() != theirs.card.resolve():
        for part, path in theirs.parts():
            if part in HEAD_PARTS:
                write_atomically(ours.part(part), path.read_bytes())
        complete_card(ours, {})
    return exported


def export_model(
    network: Segmenter,
    out: Path,
    *,
    half: bool = False,
    metadata: Mapping[str, Any] | None = None,
    preset: str | None = None,
) -> Path:
    """Write `<name>.safetensors`, its graphs and the card into `out`, check their parity, return the card.

    `half`: store the weights in half precision. `metadata`: more entries for the card. `preset`: name of the
    network's architecture, where that is not the name in its spec. Raises Failure when the graphs differ from
    the network, StorageError when the files cannot be written.
    """
    stored, state = as_stored(network, half)
    files = ModelFiles.of(out / f"{network.spec.name}.safetensors")
    card = save_weights(state, files.weights, preset or network.spec.name, network.spec, metadata)
    try:
        write_graphs(stored, files)
        complete_card(files, {"proof": check_parity(stored, card)})
    except BaseException:
        for path in (files.encoder, files.decoder, files.points):
            path.unlink(missing_ok=True)
        raise
    return card


def as_stored(network: Segmenter, half: bool) -> tuple[Segmenter, dict[str, Tensor]]:
    """A copy of the network with the stored precision, and the tensors to store.

    Buffers (position frequencies, statistics of normalisation) keep their precision.
    """
    assert isinstance(network, nn.Module)
    stored = copy.deepcopy(network).eval().cpu()
    parameters = {name for name, _ in stored.named_parameters()}
    state = {k: v.half() if half and k in parameters else v for k, v in stored.state_dict().items()}
    stored.load_state_dict(state)  # copies into the network's own precision
    return stored, state


def write_graphs(network: Segmenter, files: ModelFiles) -> None:
    """Encoder, decoder and, where it pays, the decoder for prompts without masks. Raises StorageError."""
    spec, pixels, decoder = network.spec, example_image(network.spec, seed=1), DecoderGraph(network)
    encoder_axes = frame_axes(spec, pixels)
    model = traced(EncoderGraph(network), (pixels,), [ENCODER_INPUT], spec.embedding_names, encoder_axes)
    save_graph(model, files.encoder, files.weights)
    inputs, names = decoder_example(network), [*spec.embedding_names, *PROMPT_INPUTS]
    axes = decoder_axes(spec, *inputs)
    with torch.no_grad():
        outputs = DECODER_OUTPUTS[: len(decoder(*inputs))]
    save_graph(traced(decoder, inputs, names, outputs, (axes,)), files.decoder, files.weights)
    if spec.family in POINTS_FAMILIES:
        model = traced(decoder, inputs[:-2], names[:-2], outputs, (axes[:-2],))
        save_graph(model, files.points, files.weights)


def traced(
    graph: nn.Module, inputs: tuple[Tensor, ...], names: Sequence[str], outputs: Sequence[str], axes: Any
) -> ir.Model:
    """The ONNX model of a graph, with dynamic `axes`, constants folded, without metadata."""
    with quietly(), torch.no_grad():
        program = torch.onnx.export(
            graph.eval(), inputs, dynamo=True, opset_version=OPSET, input_names=list(names),
            output_names=list(outputs), dynamic_shapes=axes, verbose=False,
            optimize=False,  # keeps the names of the weights; the runtimes optimise when they load
        )  # fmt: skip
    assert program is not None
    strip_metadata(program.model)
    fold_constants(program.model)
    return program.model


def save_graph(model: ir.Model, path: Path, weights: Path | None = None) -> None:
    """Write a graph; what the file `weights` beside it holds becomes external data. Raises StorageError."""
    if weights is not None:
        link_weights(model, weights)
    with mapped(OSError, StorageError, f"cannot write {path}"):
        ir.save(model, path)


@contextmanager
def quietly() -> Iterator[None]:
    """Silence the exporter's warnings."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        log.setLevel(level)


def complete_card(files: ModelFiles, metadata: Mapping[str, Any]) -> None:
    """Add checksums of the graphs and other metadata to a card. Raises StorageError."""
    graphs = ((part, path) for part, path in files.parts() if part != "weights")
    card = {**read_card(files.card).facts, **metadata}
    card |= {part: {"sha256": sha256_of(path), "bytes": path.stat().st_size} for part, path in graphs}
    write_card(files.card, card)


def decoder_example(network: Segmenter) -> tuple[Tensor, ...]:
    with torch.no_grad():
        embedding = network.encode_image(example_image(network.spec, seed=1))
    prompts = example_prompts(network.spec, 2, 3)
    maps = (embedding[name] for name in network.spec.embedding_names)
    return *maps, *map(torch.from_numpy, prompts.arrays)


def frame_axes(spec: ModelSpec, *maps_BChw: Tensor) -> tuple[dict[int, Any], ...]:
    """Dynamic axes of maps of a frame: height and width, in steps, where a part of it can be encoded."""
    if not spec.frame_multiple:
        return ({},) * len(maps_BChw)
    steps = spec.input_size // spec.frame_multiple
    rows, columns = (torch.export.Dim(name, min=1, max=steps) for name in ("rows", "columns"))
    cells = (x.shape[-1] // steps for x in maps_BChw)
    return tuple({2: n * rows, 3: n * columns} for n in cells)


def decoder_axes(spec: ModelSpec, *inputs: Tensor) -> tuple[dict[int, Any], ...]:
    """Dynamic axes of the decoder: numbers of prompts and points, too."""
    prompts = torch.export.Dim("prompts", min=1, max=MAX_PROMPTS)
    points = torch.export.Dim("points", min=1, max=MAX_POINTS)
    both, first = {0: prompts, 1: points}, {0: prompts}
    return *frame_axes(spec, *inputs[: len(spec.embedding_names)]), both, both, first, first
