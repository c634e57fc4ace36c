"""Products of 8-bit integers: a linear layer or a convolution of what was quantised, by weights that are.

Source: 751K/Apple-Neural-Engine-Microarchitecture-Study-M6 (MIT), chapter 8; M6 only. The sum is an exact signed
integer of 32 bits, infinite from 2^31 on, and is scaled afterwards; it may then be beyond 32768. How a bias is added
was not tested: here after the scale.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anelab.export.mil.engine.half import to_half
from anelab.export.mil.program import declared_type

LIMIT = 2.0**31
KINDS = ("conv", "linear")


def integer_product(operation: Any, run: Callable[..., Tensor]) -> Callable[..., Tensor] | None:
    """The operator on integers, if its input and its weights are quantised to 8 bits, symmetrically. `run` computes it
    on floats of any dtype."""
    if operation.op_type not in KINDS:
        return None
    input_scale, weight_scale = _input_scale(operation.inputs["x"].op), _weight_scale(operation.inputs["weight"].op)
    if input_scale is None or weight_scale is None:
        return None
    rank = 1 if operation.op_type == "linear" else len(operation.inputs["x"].shape) - 1
    scales = torch.from_numpy(weight_scale).double()

    def product(x: Tensor, weight: Tensor, bias: Tensor | None = None, **options: Any) -> Tensor:
        by_output = scales.reshape(-1, *(1,) * (weight.dim() - 1))
        found = run((x.double() / input_scale).round(), (weight.double() / by_output).round(), **options)
        found = torch.where(found.abs() >= LIMIT, found.sign() * torch.inf, found)
        shape = (-1, *(1,) * (rank - 1))
        found = found * (scales * input_scale).reshape(shape)
        return to_half(found if bias is None else found + bias.double().reshape(shape))

    return product


def _input_scale(operation: Any) -> float | None:
    """Of a tensor that was dequantised as a whole from int8."""
    if operation is None or operation.op_type != "dequantize" or not _symmetric(operation.inputs.get("zero_point")):
        return None
    scale = operation.inputs["scale"].val
    int8 = declared_type(operation.inputs["input"]) == "int8"
    return float(scale) if int8 and scale is not None and np.size(scale) == 1 else None


def _weight_scale(operation: Any) -> Any:
    """float32 of one or of as many values as outputs; None if the weights are no symmetric int8."""
    kind = "" if operation is None else operation.op_type
    if kind == "constexpr_affine_dequantize":
        data, offset = operation.inputs["quantized_data"], operation.inputs["zero_point"]
        whole = np.size(operation.inputs["scale"].val) == 1 or int(operation.inputs["axis"].val) == 0
    elif kind == "constexpr_blockwise_shift_scale":
        data, offset = operation.inputs["data"], operation.inputs.get("offset")
        whole = np.size(operation.inputs["scale"].val) == np.shape(operation.inputs["scale"].val)[0]
    else:
        return None
    int8 = np.asarray(data.val).dtype == np.int8
    return np.float32(operation.inputs["scale"].val).ravel() if int8 and whole and _symmetric(offset) else None


def _symmetric(offset: Any) -> bool:
    return offset is None or (offset.val is not None and not np.any(offset.val))
