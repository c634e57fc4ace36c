"""What values of real rows come to in a program, and what of that 16 bits or the Neural Engine do not hold."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from anelab.export.findings import Finding, finding
from anelab.export.mil.engine.operators import EXACT
from anelab.export.mil.evaluator import Evaluator
from anelab.export.mil.modes import (
    ANE_LARGEST_LOG,
    ANE_LARGEST_SLICED,
    ANE_LARGEST_SUM,
    ANE_SOFTPLUS_CLIFF,
    MULTIPLIED,
    cuts_into_last_axis,
)
from anelab.export.slabs import Bucket, in_slabs
from anelab.learning.base import Arrays

SUMS = "751K's study of the M6, chapter 8 (one author)"
LOG_SUM = "coremltools#2690"
RANGES = "ane-guide chapter 3 (M1, single-source)"
HALF_LARGEST = 65504.0


def range_findings(evaluator: Evaluator, arrays: Arrays) -> list[Finding]:
    """What the values of real rows come to, computed in float32."""
    found: dict[tuple[str, str], Finding] = {}

    def observe(operation: Any, arguments: Mapping[str, Any], outputs: Sequence[Any]) -> None:
        for one in _ranges(operation, arguments, outputs):
            found.setdefault((one.operator, one.rule), one)

    shapes = {port.name: port.shape for port in evaluator.inputs}
    in_slabs([Bucket(lambda slab: evaluator(slab, observe), shapes)], evaluator.title)(arrays)
    return list(found.values())


def _ranges(operation: Any, arguments: Mapping[str, Any], outputs: Sequence[Any]) -> Iterator[Finding]:
    floats = [one for one in outputs if isinstance(one, torch.Tensor) and one.is_floating_point() and one.numel()]
    largest = float(torch.stack([one.abs().max() for one in floats]).max()) if floats else 0.0  # NaN stays NaN
    kind, keep = operation.op_type, "keep the operator in float32 (export.coreml.fp32_operators), or scale its inputs"
    if math.isnan(largest):
        fix = "change the module or its inputs: no precision mends it"
        yield finding(operation, "not a number", "unsafe", "gives NaN in float32 already", fix, "IEEE 754")
    elif largest > HALF_LARGEST:
        detail = f"reaches {largest:.6g}; 16 bits end at 65504"
        yield finding(operation, "overflow", "unsafe", detail, keep, "IEEE 754")
    elif lost := _lost_sums(operation, arguments, outputs):
        detail = f"{lost} of {outputs[0].numel()} sums reach {ANE_LARGEST_SUM:g} at the end or on the way"
        yield finding(operation, "large sum", "unsafe", f"{detail}, and become infinity", keep, f"{SUMS}; {RANGES}")
    elif cuts_into_last_axis(kind, arguments) and largest > ANE_LARGEST_SLICED:
        detail = f"moves {largest:.6g}; slices inside the last axis overflow above {ANE_LARGEST_SLICED:g}"
        yield finding(operation, "large slice", "unsafe", detail, "slice another axis", RANGES)
    elif kind == "reduce_log_sum_exp" and floats and float(floats[0].max()) > ANE_LARGEST_LOG:
        detail = f"reaches {float(floats[0].max()):.6g}; above {ANE_LARGEST_LOG:.4g} it gave 0"
        yield finding(operation, "log of a sum", "unsafe", detail, "subtract the maximum before", LOG_SUM)
    elif kind == "softplus" and float(arguments["x"].max()) > ANE_SOFTPLUS_CLIFF:
        detail = f"gets {float(arguments['x'].max()):.6g}; above {ANE_SOFTPLUS_CLIFF} it gave 0"
        yield finding(operation, "softplus", "unsafe", detail, "use relu or silu", f"coremltools#2687; {RANGES}")
    elif kind == "log" and float(arguments["x"].min()) < 2.0**-24:
        detail = f"gets {float(arguments['x'].min()):.6g}, which 16 bits hold as 0"
        yield finding(operation, "log of zero", "unsafe", detail, keep, "coremltools#2728")


def _lost_sums(operation: Any, arguments: Mapping[str, Any], outputs: Sequence[Any]) -> int:
    """How many sums of products leave the Neural Engine's accumulator."""
    kind = operation.op_type
    if kind not in MULTIPLIED:
        return 0
    if kind not in EXACT:
        return int((outputs[0].abs() >= ANE_LARGEST_SUM).sum())
    halves = {name: _rounded(value) for name, value in arguments.items()}
    return int(EXACT[kind](**halves).isinf().sum())


def _rounded(value: Any) -> Any:
    return value.half().float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value
