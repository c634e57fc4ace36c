"""The nodes of an ONNX graph with the shapes, types and constants that are known of their inputs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from anelab.errors import AnelabError
from anelab.export.runtime import simplified
from anelab.learning.base import Array

Shape = tuple[int | None, ...]
NO_CONSTANT_AT = 1 << 16
"""Constants of more values are weights, whose values no rule reads."""
DEFAULT_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True)
class Value:
    """An input or output of a node. A size of None is free; `shape` is None where nothing is known. `constant` is
    empty for weights, whose values nobody asks for; None if the value is computed."""

    name: str
    dtype: str = ""
    shape: Shape | None = None
    constant: Array | None = None

    @property
    def rank(self) -> int:
        return -1 if self.shape is None else len(self.shape)

    @property
    def static(self) -> bool:
        return self.shape is not None and None not in self.shape


@dataclass(frozen=True)
class Node:
    """`since` is the version of the operator set that defined this form of the operator. An input that is left out is
    None."""

    kind: str
    name: str
    domain: str
    since: int
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    attributes: Mapping[str, Any]

    def input(self, place: int) -> Value | None:
        return self.inputs[place] if place < len(self.inputs) else None

    @property
    def first(self) -> Value:
        return self.inputs[0] or Value("")


def read_graph(path: Path, rows: int | None = None) -> list[Node]:
    """In the file's order, as ONNX Runtime has simplified it before a provider is asked; subgraphs left out. `rows`:
    what a free first axis of the inputs is fixed to.

    Raises AnelabError if the file is no ONNX model, or contradicts itself."""
    try:
        model = onnx.load(path, load_external_data=False)
        model = _fixed(model, rows) if rows is not None else model
        model = onnx.load_model_from_string(simplified(model.SerializeToString()))
        model = shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # onnx, protobuf and the file system raise without a common base
        reason = str(error).partition("\n")[0][:200]
        raise AnelabError(f"{path}: cannot be read as an ONNX model: {reason}") from None
    if not model.graph.node:
        raise AnelabError(f"{path}: cannot be read as an ONNX model: it has no nodes")
    return _nodes(model)


def _fixed(model: onnx.ModelProto, rows: int) -> onnx.ModelProto:
    """Names of sizes stand for one size each, wherever they are."""
    weights = {item.name for item in model.graph.initializer}
    firsts = [_dims(item)[:1] for item in model.graph.input if item.name not in weights]
    names = {dims[0].dim_param for dims in firsts if dims and dims[0].dim_param}
    unnamed = [dims[0] for dims in firsts if dims and not dims[0].HasField("dim_value") and not dims[0].dim_param]
    for item in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in _dims(item):
            if dim.dim_param in names or any(dim is one for one in unnamed):
                dim.dim_value = rows
    for dim in unnamed:
        dim.dim_value = rows
    return model


def _dims(item: Any) -> Any:
    return item.type.tensor_type.shape.dim


def _nodes(model: onnx.ModelProto) -> list[Node]:
    graph = model.graph
    versions = {item.domain: int(item.version) for item in model.opset_import}
    known = {item.name: _value(item) for item in (*graph.input, *graph.output, *graph.value_info)}
    known |= {item.name: _weight(item) for item in graph.initializer}
    nodes = []
    for number, node in enumerate(graph.node):
        attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        if node.op_type == "Constant" and node.domain in DEFAULT_DOMAINS:
            known[node.output[0]] = _constant(node.output[0], attributes)
            continue
        nodes.append(
            Node(
                node.op_type,
                node.name or f"{node.op_type}_{number}",
                node.domain,
                _since(node, versions),
                tuple(known.get(name, Value(name)) if name else None for name in node.input),
                tuple(known.get(name, Value(name)) for name in node.output if name),
                attributes,
            )
        )
    return nodes


def _since(node: Any, versions: Mapping[str, int]) -> int:
    domain = "" if node.domain in DEFAULT_DOMAINS else node.domain
    version = versions.get(domain, versions.get("ai.onnx", 1))
    try:
        return int(onnx.defs.get_schema(node.op_type, version, domain).since_version)
    except onnx.defs.SchemaError:
        return 1


def _value(item: Any) -> Value:
    kind = item.type.tensor_type
    if not kind.HasField("shape"):
        return Value(item.name, _dtype(kind.elem_type))
    shape = tuple(int(dim.dim_value) if dim.HasField("dim_value") else None for dim in kind.shape.dim)
    return Value(item.name, _dtype(kind.elem_type), shape)


def _weight(item: TensorProto) -> Value:
    shape = tuple(int(size) for size in item.dims)
    small = int(np.prod(shape)) <= NO_CONSTANT_AT and item.data_location != TensorProto.EXTERNAL
    values = numpy_helper.to_array(item) if small else np.zeros(0)
    return Value(item.name, _dtype(item.data_type), shape, values)


def _constant(name: str, attributes: Mapping[str, Any]) -> Value:
    given = attributes.get("value")
    if given is not None:
        return replace(_weight(given), name=name)
    values = np.asarray(next(iter(attributes.values()), 0))
    return Value(name, str(values.dtype), values.shape, values)


def _dtype(kind: int) -> str:
    """NumPy's name, or ONNX's where NumPy has none."""
    name = str(TensorProto.DataType.Name(kind)).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)
