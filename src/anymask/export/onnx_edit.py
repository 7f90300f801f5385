"""Post-processing of exported ONNX graphs: strip metadata, fold constants, externalise weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx_ir as ir
import onnxscript.optimizer
from onnx_ir.passes.common import RemoveUnusedNodesPass

from anymask.errors import WeightsError

MAX_FOLDED_SIZE = 64  # values; a larger constant is a weight, which must keep its name
NETWORK = "network."  # prefix of the names of weights in graphs
ONNX_KINDS = {"F16": ir.DataType.FLOAT16, "F32": ir.DataType.FLOAT}


def strip_metadata(model: ir.Model) -> None:
    """Remove source lines and paths, which the exporter adds to every node: most of the file, and private."""
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()


def fold_constants(model: ir.Model) -> None:
    """Fold small constants. ONNX Runtime fuses a clipped activation with its convolution only where the
    bounds are plain constants, not casts as exported: otherwise an encoder of ReLU6 takes 1.4 times as long.
    """
    onnxscript.optimizer.fold_constants(
        model,
        input_size_limit=MAX_FOLDED_SIZE,
        output_size_limit=MAX_FOLDED_SIZE,
        should_fold=lambda node: False if node.op_type == "Transpose" else None,  # else weights of any size
    )
    RemoveUnusedNodesPass()(model)


def link_weights(model: ir.Model, weights: Path) -> None:
    """Make the weights of a graph external data in the safetensors file, cast to float32 from half precision.

    Raises WeightsError when a large tensor of the graph is not in the file.
    """
    with weights.open("rb") as file:  # 8 bytes: the length of a JSON header; the tensors follow it
        header_bytes = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(header_bytes))
    for name, value in list(model.graph.initializers.items()):
        entry = header.get(name.removeprefix(NETWORK))
        if entry is None and value.const_value is not None and value.const_value.size > 1 << 16:
            raise WeightsError(f"{name} is not in {weights}: the exporter has renamed it")
        if entry is None or entry["dtype"] not in ONNX_KINDS:
            continue
        (first, last), kind, shape = (
            entry["data_offsets"],
            ONNX_KINDS[entry["dtype"]],
            ir.Shape(entry["shape"]),
        )
        place = weights.name, 8 + header_bytes + first, last - first
        external = ir.ExternalTensor(*place, kind, shape=shape, name=name, base_dir=weights.parent)
        if kind == ir.DataType.FLOAT:
            value.const_value = external
        else:
            store_half(model.graph, value, external)


def store_half(graph: ir.Graph, value: ir.Value, half: Any) -> None:
    """Replace one initializer by a tensor in half precision with a cast to float32."""
    name, shape = str(value.name), half.shape
    half.name = f"{name}.half"
    stored = ir.Value(name=half.name, shape=shape, type=ir.TensorType(ir.DataType.FLOAT16), const_value=half)
    widen = ir.Node("", "Cast", [stored], [ir.AttrInt64("to", int(ir.DataType.FLOAT))])
    wide = widen.outputs[0]
    wide.name, wide.shape, wide.type = f"{name}.wide", shape, ir.TensorType(ir.DataType.FLOAT)
    ir.convenience.replace_all_uses_with(value, wide)
    del graph.initializers[name]
    graph.initializers[half.name] = stored
    graph.insert_before(graph[0], widen)
