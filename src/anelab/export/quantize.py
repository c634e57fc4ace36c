"""Static INT8: QDQ, weights per channel in seven bits, activation ranges from training rows.

With eight bits, answers would depend on the processor: x86 without VNNI adds pairs of products in 16 bits, and a sum of
255 * 127 * 2 does not fit. 255 * 64 * 2 does.
"""

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from anelab.learning.base import Array, Arrays, Graph

ROWS_AT_ONCE = 64
LAYERS = frozenset(
    {"Conv", "ConvTranspose", "Gemm", "MatMul", "Relu", "MaxPool", "AveragePool", "GlobalAveragePool"}
    | {"Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze"}
)
"""ONNX operators with weights, and what lies between two of them in 8 bits alike."""


class _Rows(CalibrationDataReader):  # type: ignore[misc]  # the base is untyped
    def __init__(self, arrays: Arrays) -> None:
        rows = len(next(iter(arrays.values())))
        slabs = [slice(start, start + ROWS_AT_ONCE) for start in range(0, rows, ROWS_AT_ONCE)]
        self._batches = iter([{name: array[slab] for name, array in arrays.items()} for slab in slabs])

    def get_next(self) -> dict[str, Array] | None:
        return next(self._batches, None)


def calibration_rows(arrays: Arrays, count: int, seed: int) -> dict[str, Array]:
    """`count` rows drawn without replacement, or all there are."""
    rows = len(next(iter(arrays.values())))
    chosen = np.sort(np.random.default_rng([seed, 2]).permutation(rows)[:count])
    return {name: array[chosen] for name, array in arrays.items()}


def quantize_int8(
    model: onnx.ModelProto, graph: Graph, calibration: Arrays, metadata: Mapping[str, str]
) -> onnx.ModelProto:
    """An INT8 model with the same names, shapes and opset.

    Inputs on a grid keep it. Rounded to a grid of its own, a Phred score would be off by a third, and by
    the same for each base of that score, which no mean over the read takes out again.

    Arithmetic between layers stays float, and so does what the graph calls precise: it costs little, and in 8 bits a
    final Sigmoid alone would round every probability to 1/256.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, ready, done = (Path(folder, f"{name}.onnx") for name in ("float", "ready", "int8"))
        onnx.save(model, source)  # a path, because the pre-processing empties a model that it is given
        quant_pre_process(source, ready, skip_symbolic_shape=True)
        _quietly(ready, done, calibration, _float_nodes(onnx.load(ready), graph), _grids(graph))
        result = onnx.load(done)
    onnx.helper.set_model_props(result, {key: metadata[key] for key in sorted(metadata)})
    onnx.checker.check_model(result, full_check=True)
    return result


def _float_nodes(model: onnx.ModelProto, graph: Graph) -> list[str]:
    """Names of the nodes that are no layers, and of those in modules that the graph calls precise."""
    return [
        node.name
        for node in model.graph.node
        if node.op_type not in LAYERS or any(module in node.name.split("/") for module in graph.precise)
    ]


def _grids(graph: Graph) -> dict[str, list[dict[str, Any]]]:
    """Scale and zero point of each input that is on a grid, as ONNX Runtime's quantiser takes them."""
    return {
        tensor.name: [
            {
                "quant_type": QuantType.QUInt8,
                "scale": np.array(tensor.grid[1], np.float32),
                "zero_point": np.array(round(-tensor.grid[0] / tensor.grid[1]), np.uint8),
            }
        ]
        for tensor in graph.inputs
        if tensor.grid
    }


def _quietly(
    ready: Path, done: Path, calibration: Arrays, kept: list[str], grids: dict[str, list[dict[str, Any]]]
) -> None:
    options: dict[str, Any] = {"quant_format": QuantFormat.QDQ, "per_channel": True, "reduce_range": True}
    options["extra_options"] = {"TensorQuantOverrides": grids}
    types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        quantize_static(ready, done, _Rows(calibration), nodes_to_exclude=kept, **options, **types)
    finally:
        logging.disable(before)
