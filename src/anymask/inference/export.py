"""A network as ONNX: encoder and decoder graphs that read their weights from one safetensors file beside them.

The same file serves PyTorch (fine-tuning, the torch backend) and the ONNX runtimes: every initializer that is a weight,
unchanged, points into it. Weights may be stored in half precision; the graphs widen them when they are loaded, so all
arithmetic stays float32. An export proves itself: the graphs must answer as the network does.

Legend: P prompts, N point columns, S input size, m low-res mask size.
"""

from __future__ import annotations

import copy
import hashlib
import json
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from anymask.core.spec import ModelSpec
from anymask.errors import Failure
from anymask.inference.backend import DecodeInput
from anymask.inference.model_files import ModelFiles
from anymask.inference.onnx_backend import OnnxBackend
from anymask.inference.onnx_names import DECODER_OUTPUTS, PROMPT_INPUTS
from anymask.model.checkpoints import load_weights, save_weights
from anymask.model.segmenter import Segmenter

OPSET = 20
INLINE_BELOW = 256  # elements; smaller constants stay in the graph
TOLERANCE = 1e-3  # of the largest value
PROOF_SIZES = ((1, 1), (2, 3), (5, 2), (3, 7))  # prompts, points


class EncoderGraph(nn.Module):
    """image -> the tensors of `spec.embedding_names`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network.encode_image(image).values())


class DecoderGraph(nn.Module):
    """Embedding tensors, then prompts -> low-res masks, predicted IoU and, where there is a head, probability logits."""

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        self.network, self.names = network, spec.embedding_names

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        embedding = dict(zip(self.names, tensors, strict=False))
        return tuple(t for t in self.network.decode(embedding, *tensors[len(self.names) :]) if t is not None)


def export_model(
    network: Segmenter, out: Path, *, half: bool = False, facts: dict[str, Any] | None = None, kind: str | None = None
) -> Path:
    """Write `<name>.safetensors`, `.json`, `.encoder.onnx`, `.decoder.onnx` into `out` and prove them; returns the card.

    `half`: store weights in half precision. `facts`: more entries for the card. `kind`: the preset the network was
    built from, where the spec's name is another. Raises Failure when the graphs answer differently, StorageError.
    """
    spec = network.spec
    assert isinstance(network, nn.Module)
    stored = copy.deepcopy(network).eval().cpu()
    state = stored_state(stored, half)
    stored.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    weights = out / f"{spec.name}.safetensors"
    card = save_weights(state, weights, kind or spec.name, spec, facts)
    files = ModelFiles.of(card)
    embedding = _example_embedding(stored, spec)
    _export(EncoderGraph(stored), (torch.zeros(1, 3, spec.input_size, spec.input_size),), ["image"],
            list(spec.embedding_names), None, files.encoder, weights)  # fmt: skip
    example = (*embedding, *example_prompts(spec, 2, 3))
    _export(DecoderGraph(stored, spec), example, [*spec.embedding_names, *PROMPT_INPUTS], list(DECODER_OUTPUTS),
            _dynamic(len(embedding)), files.decoder, weights)  # fmt: skip
    prove(stored, card)
    return card


def stored_state(network: nn.Module, half: bool) -> dict[str, Tensor]:
    """Parameters, in half precision when asked; buffers (position frequencies) keep theirs."""
    parameters = {name for name, _ in network.named_parameters()}
    return {k: v.half() if half and k in parameters else v for k, v in network.state_dict().items()}


def example_prompts(spec: ModelSpec, prompts: int, points: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Random positive and negative clicks, every other prompt with a previous mask."""
    draw = torch.Generator().manual_seed(seed)
    m = spec.low_res_size
    xy = torch.rand(prompts, points, 2, generator=draw) * spec.input_size
    labels = torch.randint(-1, 2, (prompts, points), generator=draw).float()
    has_mask = (torch.arange(prompts) % 2).float()
    masks = torch.randn(prompts, 1, m, m, generator=draw) * 4 * has_mask[:, None, None, None]
    return xy, labels, masks, has_mask


def _example_embedding(network: nn.Module, spec: ModelSpec) -> tuple[Tensor, ...]:
    pixels = torch.randn(1, 3, spec.input_size, spec.input_size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return tuple(network.encode_image(pixels).values())


def _dynamic(embedding_tensors: int) -> tuple[tuple[dict[int, Any], ...]]:
    """Prompt and point counts are free; the names tie equal axes together."""
    prompts, points = torch.export.Dim("prompts", min=1, max=4096), torch.export.Dim("points", min=1, max=512)
    both, first = {0: prompts, 1: points}, {0: prompts}
    return ((*({},) * embedding_tensors, both, both, first, first),)


def _export(
    graph: nn.Module, example: tuple[Tensor, ...], inputs: list[str], outputs: list[str],
    dynamic: Any, path: Path, weights: Path,
) -> None:  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        program = torch.onnx.export(
            graph.eval(), example, dynamo=True, opset_version=OPSET, input_names=inputs,
            output_names=outputs[: _output_count(graph, example)], dynamic_shapes=dynamic, verbose=False,
        )  # fmt: skip
    assert program is not None
    strip_notes(program.model)
    link_weights(program.model, weights)
    program.save(str(path))


def _output_count(graph: nn.Module, example: tuple[Tensor, ...]) -> int:
    with torch.no_grad():
        return len(graph(*example))


def link_weights(model: Any, weights: Path) -> None:
    """Replace initializers that are stored weights, reshaped or transposed, by references into the file (ONNX IR)."""
    places = tensor_places(weights)
    known = {}
    for name, tensor in load_file(weights).items():
        wide = tensor.float().numpy()
        known[digest(wide)] = (name, False)
        if wide.ndim == 2 and 1 not in wide.shape:
            known[digest(wide.T)] = (name, True)
    for value in list(model.graph.initializers.values()):
        if value.const_value is None or value.const_value.size < INLINE_BELOW:
            continue
        name, transposed = known.get(digest(value.const_value.numpy()), (None, False))
        if name is not None:
            refer(model.graph, value, places[name], transposed, weights)


def strip_notes(model: Any) -> None:
    """The exporter notes source lines and file paths on every node: nobody's business, and most of the file."""
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()


def digest(array: np.ndarray) -> bytes:
    """Of the values in row order; the shape does not count."""
    return hashlib.sha256(np.ascontiguousarray(array, np.float32).tobytes()).digest()


def refer(graph: Any, value: Any, place: Place, transposed: bool, weights: Path) -> None:
    """Let one initializer read its values from the weights file, widened and transposed where need be."""
    shape = list(value.const_value.shape)
    stored_shape = ir.Shape(shape[::-1] if transposed else shape)
    kind = ir.DataType.FLOAT16 if place.half else ir.DataType.FLOAT
    name = f"{value.name}.stored"
    outside = ir.ExternalTensor(
        weights.name, place.start, place.length, kind, shape=stored_shape, name=name, base_dir=weights.parent
    )
    current = ir.Value(name=name, shape=stored_shape, type=ir.TensorType(kind), const_value=outside)
    graph.initializers[name] = current
    nodes = []
    if place.half:
        nodes.append(ir.Node("", "Cast", [current], [ir.AttrInt64("to", int(ir.DataType.FLOAT))]))
        current = nodes[-1].outputs[0]
    if transposed:
        nodes.append(ir.Node("", "Transpose", [current], [ir.AttrInt64s("perm", [1, 0])]))
        current = nodes[-1].outputs[0]
    for number, node in enumerate(nodes):
        node.outputs[0].name, node.outputs[0].type = f"{value.name}.{number}", ir.TensorType(ir.DataType.FLOAT)
    current.shape = ir.Shape(shape)
    ir.convenience.replace_all_uses_with(value, current)
    del graph.initializers[value.name]
    if nodes:
        graph.insert_before(graph[0], nodes)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor lies in a safetensors file, in bytes."""

    start: int
    length: int
    half: bool


def tensor_places(weights: Path) -> dict[str, Place]:
    with weights.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    spans = {name: (t["data_offsets"], t["dtype"]) for name, t in header.items()}
    return {n: Place(8 + length + first, last - first, kind == "F16") for n, ((first, last), kind) in spans.items()}


def prove(network: nn.Module, card: Path) -> dict[str, float]:
    """Largest relative difference between the network and its graphs over several prompt and point counts.

    Raises Failure when one is above tolerance.
    """
    backend, spec = OnnxBackend(card, 2), network.spec
    pixels = torch.randn(1, 3, spec.input_size, spec.input_size, generator=torch.Generator().manual_seed(2))
    embedding = backend.encode(pixels.numpy())
    off: dict[str, float] = {}
    with torch.no_grad():
        expected = network.encode_image(pixels)
        _compare(off, {k: (v.numpy(), embedding[k]) for k, v in expected.items()})
        for prompts, points in PROOF_SIZES:
            arrays = example_prompts(spec, prompts, points, seed=prompts)
            answer = backend.decode(embedding, DecodeInput(*(a.numpy() for a in arrays)))
            wanted = network.decode(expected, *arrays)
            got = (answer.low_res_masks_P4mm, answer.iou_P4, answer.probability_logits_P5)
            pairs = zip(DECODER_OUTPUTS, wanted, got, strict=True)
            _compare(off, {n: (w.numpy(), g) for n, w, g in pairs if w is not None and g is not None})
    if worst := {k: v for k, v in off.items() if v > TOLERANCE}:
        raise Failure(f"the exported graphs of {spec.name} answer differently: {worst} (allowed {TOLERANCE})")
    return off


def _compare(off: dict[str, float], pairs: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    for name, (wanted, got) in pairs.items():
        difference = float(np.abs(wanted - got).max() / max(np.abs(wanted).max(), 1e-6))
        off[name] = max(off.get(name, 0.0), difference)


def export_weights(weights: Path, out: Path, *, half: bool = False) -> Path:
    """Export a safetensors, .pth or .pt file. Raises WeightsError, Failure, StorageError."""
    network = load_weights(weights)
    return export_model(network, out, half=half)
