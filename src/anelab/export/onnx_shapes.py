"""ONNX files of anyone: their facts, and copies of fixed shapes."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from anelab.errors import AnelabError
from anelab.export.onnx import operators, opset_of, parameters
from anelab.files import inside, linked

QUANTISED = frozenset({"QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "MatMulInteger"})


def write_fixed(source: Path, shapes: Mapping[str, tuple[int, ...]], target: Path) -> None:
    """A copy whose inputs have just these shapes; weights in other files come along. Raises AnelabError if
    they are not in the model's folder."""
    model = onnx.load(source, load_external_data=False)
    for item in model.graph.input:
        if item.name in shapes:
            dims = item.type.tensor_type.shape.dim
            for dim, size in zip(dims, shapes[item.name], strict=True):
                dim.Clear()
                dim.dim_value = size
    del model.graph.value_info[:]  # inferred anew from the inputs
    for item in model.graph.output:
        item.type.tensor_type.ClearField("shape")
    for name in _external_files(model):
        place = target.parent / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            linked(inside(source.parent, name).resolve(), place)  # ONNX Runtime follows no symbolic links
    onnx.save(model, target)


def _external_files(model: onnx.ModelProto) -> set[str]:
    found = {ExternalDataInfo(item).location for item in model.graph.initializer if uses_external_data(item)}
    for name in found:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise AnelabError(
                f"its weights are in {name}, outside of its folder; save the model with its weights again"
            )
    return found


def describe_onnx(path: Path) -> dict[str, Any]:
    """`operators`, `opset`, `parameters`, and by its weights the `variant`: fp32, fp16 or int8."""
    model = onnx.load(path, load_external_data=False)
    found = operators(model)
    kinds = Counter(item.data_type for item in model.graph.initializer for _ in range(len(item.dims) > 1))
    half = kinds[TensorProto.FLOAT16] + kinds[TensorProto.BFLOAT16] > kinds[TensorProto.FLOAT]
    variant = "int8" if QUANTISED & found.keys() else "fp16" if half else "fp32"
    return {"operators": found, "opset": opset_of(model), "parameters": parameters(model), "variant": variant}
