"""Post-processing of exported ONNX graphs: strip metadata, fold constants, externalise weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
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
    name = str(value.name)
    wide, widen = _widened(graph, name, "half", half, ir.DataType.FLOAT16)
    _replace(graph, name, value, wide, [widen])


def store_int8(graph: ir.Graph, value: ir.Value, integers: np.ndarray, scale: np.ndarray) -> None:
    """Replace one initializer by 8-bit integers, cast to float32 and multiplied by scales that are stored in
    half precision. A runtime folds this when it loads the graph.
    """
    name = str(value.name)
    wide, widen = _widened(graph, name, "int8", ir.tensor(integers), ir.DataType.INT8)
    factor, widen_scale = _widened(graph, name, "scale", ir.tensor(scale), ir.DataType.FLOAT16)
    product = ir.Node("", "Mul", [wide, factor])
    scaled = product.outputs[0]
    scaled.name, scaled.shape = f"{name}.scaled", wide.shape
    scaled.type = ir.TensorType(ir.DataType.FLOAT)
    _replace(graph, name, value, scaled, [widen, widen_scale, product])


def _widened(
    graph: ir.Graph, name: str, suffix: str, tensor: Any, kind: ir.DataType
) -> tuple[ir.Value, ir.Node]:
    """A new initializer `<name>.<suffix>`, as float32."""
    tensor.name = f"{name}.{suffix}"
    stored = ir.Value(name=tensor.name, shape=tensor.shape, type=ir.TensorType(kind), const_value=tensor)
    graph.initializers[tensor.name] = stored
    widen = ir.Node("", "Cast", [stored], [ir.AttrInt64("to", int(ir.DataType.FLOAT))])
    wide = widen.outputs[0]
    wide.name = f"{tensor.name}.wide" if suffix != "half" else f"{name}.wide"
    wide.shape, wide.type = tensor.shape, ir.TensorType(ir.DataType.FLOAT)
    return wide, widen


def _replace(graph: ir.Graph, name: str, value: ir.Value, by: ir.Value, nodes: Sequence[ir.Node]) -> None:
    ir.convenience.replace_all_uses_with(value, by)
    del graph.initializers[name]
    graph.insert_before(graph[0], nodes)
