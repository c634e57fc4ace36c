"""Where Core ML was measured to compute something else than it documents, or refuses what the evaluator takes.

Each rule names who measured it; docs/core-ml-differences.md has the reports, and what else was looked at.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from anelab.export.conversions import Windows
from anelab.export.findings import Finding, Rule, finding, numbers
from anelab.export.mil.program import declared_type, static_shape

OVERHANG = "coremltools#2772, pull request 2844"
LARGE_AVERAGE = "coremltools#1901 (reporter and maintainer, 2023)"
TRANSPOSED = "coremltools#2281, #2324; onnxruntime pull request 21416"
ATTENTION = "coremltools#2650 (macOS 26.2)"
PADS = "coremltools#2571, #2576, pull request 2701"
PRODUCTS = "coremltools#2575"
LARGE_KERNEL = 7
"""The kernel of the average that was wrong in 16 bits; with 3 it was right."""
LEAST_BATCH = 10
"""From which on fused attention was wrong on the GPU."""


def _overhang(operation: Any) -> Iterator[Finding]:
    """The evaluator follows the measurement, so parity sees it, too; conversion by anelab writes no such pooling."""
    excluded = numbers(operation, "exclude_padding_from_average")
    if operation.op_type != "avg_pool" or not any(numbers(operation, "ceil_mode")) or any(excluded):
        return
    if _hangs_over(operation):
        detail = "has ceil_mode, and divides windows that hang over the edge by the whole kernel, unlike torch"
        fix = "let anelab convert the module, or pad, average whole windows and scale each by a constant"
        yield finding(operation, "average over the edge", "differs", detail, fix, OVERHANG)


def _hangs_over(operation: Any) -> bool:
    """Whether a window ends beyond the padding; yes if sizes are not known."""
    kernel = numbers(operation, "kernel_sizes")
    strides, pads = (
        numbers(operation, "strides") or [1] * len(kernel),
        numbers(operation, "pad") or [0] * len(kernel) * 2,
    )
    axes = zip(static_shape(operation.inputs["x"])[2:], kernel, strides, pads[::2], strict=True)
    return any(size is None or Windows(size, *rest).overhang for size, *rest in axes)


def _large_averages(operation: Any) -> Iterator[Finding]:
    padded = any(numbers(operation, "pad")) and not any(numbers(operation, "exclude_padding_from_average"))
    if operation.op_type != "avg_pool" or not padded or declared_type(operation.outputs[0]) != "fp16":
        return
    if max(numbers(operation, "kernel_sizes")) >= LARGE_KERNEL:
        detail = "pads; with kernel 7, stride 4 and padding 3, 16 bits gave a 49th of the average, with 3, 2 and 1 not"
        fix = "check it on a Mac, or keep the operator in float32 (export.coreml.fp32_operators)"
        yield finding(operation, "padded average", "differs", detail, fix, LARGE_AVERAGE)


def _transposed(operation: Any) -> Iterator[Finding]:
    shape = operation.inputs.get("output_shape")
    if operation.op_type == "conv_transpose" and shape is not None:
        detail = "has an output_shape, with which compute units gave different results, and 16 bits shifted ones"
        fix = "leave output_shape out, and cut the output with a slice, as coremltools' torch converter does"
        yield finding(operation, "output shape", "differs", detail, fix, TRANSPOSED)


def _attention(operation: Any) -> Iterator[Finding]:
    """A product, a sum, a softmax and a product are what Core ML fuses on the GPU."""
    if operation.op_type != "softmax":
        return
    batch, source = (static_shape(operation.outputs[0]) or (None,))[0], operation.inputs["x"].op
    if batch is None or batch < LEAST_BATCH or source is None or source.op_type != "add":
        return
    before = (variable.op for variable in (source.inputs["x"], source.inputs["y"]))
    products = (one is not None and one.op_type == "matmul" for one in (*before, *operation.outputs[0].child_ops))
    if sum(products) >= 2:
        detail = f"is attention over a batch of {batch}; from {LEAST_BATCH} on the GPU gave wrong results"
        fix = "use the Neural Engine or the CPU, or batches below ten"
        yield finding(operation, "attention on the GPU", "differs", detail, fix, ATTENTION)


def _pads(operation: Any) -> Iterator[Finding]:
    """Only the last two axes may be padded by anything but a constant."""
    mode = operation.inputs.get("mode")
    if operation.op_type != "pad" or mode is None or mode.val in (None, "constant"):
        return
    pairs = list(pairwise(numbers(operation, "pad")))[::2]
    if any(any(pair) for pair in pairs[:-2]):
        detail = f"pads more than the last two axes by {mode.val}; Core ML does not load it"
        yield finding(operation, "padding", "differs", detail, "transpose, and pad the last axes", PADS)


def _products(operation: Any) -> Iterator[Finding]:
    if operation.op_type == "matmul" and declared_type(operation.outputs[0]) == "int32":
        detail = "multiplies whole numbers; Core ML does not load it"
        yield finding(operation, "integer product", "differs", detail, "cast to floats before", PRODUCTS)


DIFFERENCES: tuple[Rule, ...] = (_overhang, _large_averages, _transposed, _attention, _pads, _products)
