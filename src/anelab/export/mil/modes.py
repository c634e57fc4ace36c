"""What becomes of an operator's output, by mode.

fp32  semantics: float32 throughout, over the weights as the package stores them.
fp16  every output rounded to its declared type; sums are wide, as on Apple's hardware.
ane   what is declared 16 bits as the Neural Engine computes it, as far as that was published: sums of products, add,
      sub and mul bit for bit (an M4 and an M6, `engine/`), functions from tables nearly so, every output rounded with
      ties away from zero. Other operators: 16 bits, with the ranges that one author measured on an M1
      (sbryngelson/ane-guide, chapter 3), which warn and prove nothing.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor

from anelab.errors import UsageError
from anelab.export.mil.engine.half import to_half

Mode = Literal["fp32", "fp16", "ane"]
MODES: tuple[str, ...] = get_args(Mode)

Finish = Callable[[Tensor], Tensor]
"""Applied to an output that the operator computed in float32 or integers."""

INTEGERS = {
    "int8": torch.int32,
    "uint8": torch.int32,
    "int16": torch.int32,
    "uint16": torch.int32,
    "int32": torch.int32,
    "bool": torch.bool,
}
MULTIPLIED = frozenset({"linear", "matmul", "conv", "conv_transpose", "einsum", "scaled_dot_product_attention"})
ANE_LARGEST_SUM = 32768.0
ANE_LARGEST_SLICED = 4094.0
ANE_LOG_OF_ZERO = -45440.0
ANE_LARGEST_LOG = math.log(65504.0)
"""Of a sum of exponentials: where the sum leaves 16 bits, the Neural Engine gave 0 (coremltools#2690: 32 channels,
from 11.10 to 0 in one step; the maximum is not subtracted first)."""
HALF_SMALLEST = 2.0**-24
"""A 16-bit float's smallest: an epsilon below it is none."""
ANE_SOFTPLUS_CLIFF = 10.4
"""coremltools#2687 saw it independently, on an M4: beyond it softplus is 0."""


def check_mode(text: str) -> Mode:
    """Raises UsageError if it is none."""
    if text not in MODES:
        raise UsageError(f"--mode must be one of {', '.join(MODES)} but got {text}")
    return cast("Mode", text)


def _as_float(value: Tensor) -> Tensor:
    return value.float()


def _rounded(value: Tensor) -> Tensor:
    return value.half().float()


def finish(declared: str, mode: Mode) -> Finish:
    """What to do with an output of the declared MIL type."""
    if declared == "fp16" and mode != "fp32":
        return to_half if mode == "ane" else _rounded
    if declared in ("fp16", "fp32"):
        return _as_float
    target = INTEGERS.get(declared, torch.int32)
    return lambda value: value.to(target)


def ane_range(kind: str, inputs: Mapping[str, Any], value: Tensor) -> Tensor:
    """An output as the Neural Engine's range would have it; `inputs` are the operator's own. For operators whose
    arithmetic is not known bit for bit."""
    if not value.is_floating_point():
        return value
    value = _determinate(value, inputs)
    if kind in MULTIPLIED:
        value = torch.where(value.abs() >= ANE_LARGEST_SUM, value.sign() * math.inf, value)
    elif cuts_into_last_axis(kind, inputs):
        value = torch.where(value.abs() > ANE_LARGEST_SLICED, value.sign() * math.inf, value)
    elif kind == "log":
        lost = inputs.get("epsilon", 0.0) < HALF_SMALLEST
        value = torch.where((value == -math.inf) | (lost & (inputs["x"] == 0)), ANE_LOG_OF_ZERO, value)
    elif kind == "reduce_log_sum_exp":
        value = torch.where(value > ANE_LARGEST_LOG, 0.0, value)
    elif kind == "softplus":
        value = torch.where(inputs["x"] > ANE_SOFTPLUS_CLIFF, 0.0, value)
    return value


def _determinate(value: Tensor, inputs: Mapping[str, Any]) -> Tensor:
    """Indeterminate forms give +0: what is NaN without a NaN among the inputs."""
    lost = value.isnan()
    for given in inputs.values():
        if isinstance(given, Tensor) and given.is_floating_point():
            lost = lost & ~given.isnan().any()
    return torch.where(lost, 0.0, value)


def cuts_into_last_axis(kind: str, inputs: Mapping[str, Any]) -> bool:
    """Whether it is a slice that begins elsewhere than at the border of the last axis."""
    if kind not in ("slice_by_index", "slice_by_size") or not inputs["begin"]:
        return False
    mask = inputs.get("begin_mask")
    return bool(inputs["begin"][-1] != 0 and not (mask and mask[-1]))
