"""ONNX at exactly the opset that was asked for, equal bytes for equal weights, no path inside."""

import io
import math
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from anelab.errors import AnelabError
from anelab.files import replacing
from anelab.learning.base import Graph, Tensor

TRACE_ROWS = 2


def export_onnx(module: nn.Module, graph: Graph, opset: int, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """Trace `module` into a checked model with the graph's names and a dynamic batch.

    The exporter of torch.export would return opset 18 whatever is asked and embed source paths, so the
    tracing exporter is used. Raises AnelabError if the result is not at `opset`.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated; see above why it is used
        torch.onnx.export(
            module.eval(),
            tuple(_example(tensor, graph) for tensor in graph.inputs),
            buffer,  # type: ignore[arg-type]  # the tracing exporter writes to open files too
            opset_version=opset,
            dynamo=False,
            input_names=[tensor.name for tensor in graph.inputs],
            output_names=[tensor.name for tensor in graph.outputs],
            dynamic_axes={tensor.name: _named_axes(tensor) for tensor in (*graph.inputs, *graph.outputs)},
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    return _finished(model, opset, metadata)


def _example(tensor: Tensor, graph: Graph) -> torch.Tensor:
    length = graph.buckets[0] if graph.buckets else 1
    shape = [TRACE_ROWS, *(size if isinstance(size, int) else length for size in tensor.shape[1:])]
    return torch.from_numpy(np.zeros(shape, tensor.dtype))


def _named_axes(tensor: Tensor) -> dict[int, str]:
    """Those of any size: the rows, and the length where it has one."""
    return {axis: size for axis, size in enumerate(tensor.shape) if isinstance(size, str)}


def _finished(model: onnx.ModelProto, opset: int, metadata: Mapping[str, str]) -> onnx.ModelProto:
    onnx.helper.set_model_props(model, {key: metadata[key] for key in sorted(metadata)})
    onnx.checker.check_model(model, full_check=True)
    if (found := opset_of(model)) != opset:
        raise AnelabError(f"export.opset is {opset} but the exporter returned opset {found}")
    return model


def opset_of(model: onnx.ModelProto) -> int:
    return max(int(item.version) for item in model.opset_import if item.domain in ("", "ai.onnx"))


def write_model(model: onnx.ModelProto, path: Path) -> None:
    with replacing(path) as draft:
        draft.write_bytes(model.SerializeToString(deterministic=True))


def operators(model: onnx.ModelProto) -> dict[str, int]:
    """How often each operator occurs."""
    return dict(sorted(Counter(node.op_type for node in model.graph.node).items()))


def parameters(model: onnx.ModelProto) -> int:
    """How many numbers its weights are."""
    return sum(math.prod(tensor.dims) for tensor in model.graph.initializer)


def signature(graph: Graph) -> dict[str, Any]:
    """Names, dtypes and shapes, as JSON, with quantity and bounds where a tensor has them."""
    both = {"inputs": graph.inputs, "outputs": graph.outputs}
    return {side: [_described(item) for item in tensors] for side, tensors in both.items()}


def _described(item: Tensor) -> dict[str, Any]:
    more: dict[str, Any] = {"quantity": item.quantity} if item.quantity else {}
    if item.bounds is not None:
        more["bounds"] = list(item.bounds)
    return {"dtype": item.dtype, "name": item.name, "shape": list(item.shape), **more}
