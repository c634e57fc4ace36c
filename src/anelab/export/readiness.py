"""Could a package run on the Neural Engine, and is it safe in 16 bits? Read from the program, so the answer
is "could", never "does": where operators ran is for Core ML to say, on a Mac.

Every rule names its source. "Apple" is Apple's own guidance for its models; "ane-guide" is one author's
measurements on an M1, so what it says is marked as single-source. What Core ML's compiler took or refused on an M4
(`placement/support.py`) is the second source; where the two disagree, both are named.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from anelab.export.differences import DIFFERENCES
from anelab.export.findings import SEVERITIES, Finding, Rule, finding, numbers, sizes_text
from anelab.export.mil.blame import MASK_ADVICE
from anelab.export.mil.evaluator import Evaluator
from anelab.export.mil.modes import (
    MULTIPLIED,
)
from anelab.export.mil.program import declared_type, load_package, static_shape
from anelab.export.operations import package_operations
from anelab.export.ranges import HALF_LARGEST, range_findings
from anelab.export.refusals import weighed
from anelab.learning.base import Arrays

APPLE = "Apple, coreai-models: neural_engine_rules"
TYPED = "coremltools guide, typed execution"
SHAPES = "coremltools#1764, #2370"
RECURRENT_ISSUE = "coremltools#1780 (maintainer)"
GUIDE = "ane-guide chapter 17 (M1, single-source)"
OLD_LISTS = "hollance/neural-engine (older models, single-source)"

RECURRENT = frozenset({"lstm", "gru", "rnn", "while_loop", "cond", "make_list", "list_write", "list_read"})
INDEXED = frozenset({"gather", "gather_along_axis", "gather_nd", "scatter", "scatter_along_axis", "scatter_nd"})
SORTED = frozenset({"argsort", "topk", "non_zero", "non_maximum_suppression", "one_hot", "cumsum", "classify"})
SMOOTH = frozenset({2, 3})
ALIGNED_BYTES = 64
LARGEST_RANK = 5
LARGEST_SIDE, LARGEST_CHANNELS, LARGEST_ARGMAX = 16384, 65536, 2048
LARGEST_KERNEL, LARGE_KERNEL = 13, 9
WORKING_SET = 2 * 2**20


@dataclass(frozen=True)
class Readiness:
    """`checked` operators, constants and the casts at the borders left out."""

    function: str
    checked: int
    off: int
    ranges_checked: bool
    findings: list[Finding] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Findings by severity."""
        found = Counter(one.severity for one in self.findings)
        return {severity: found[severity] for severity in SEVERITIES}

    @property
    def verdict(self) -> str:
        if self.off == self.checked:
            where = "could not run on the Neural Engine"
        elif self.off:
            where = f"could run on the Neural Engine in part: {self.checked - self.off} of {self.checked} operators"
        else:
            where = f"could run on the Neural Engine: all {self.checked} operators"
        if differs := self.counts["differs"]:
            where += f"; Core ML was measured to differ: {_findings_text(differs)}"
        if unsafe := self.counts["unsafe"]:
            return f"{where}; unsafe in 16 bits: {_findings_text(unsafe)}"
        return f"{where}; {'no range beyond 16 bits seen' if self.ranges_checked else 'ranges not checked'}"

    def by_rule(self) -> dict[tuple[str, str, str, str], list[Finding]]:
        """Findings of one severity, rule, fix and source together."""
        groups: dict[tuple[str, str, str, str], list[Finding]] = {}
        for one in self.findings:
            groups.setdefault((one.severity, one.rule, one.fix, one.source), []).append(one)
        return groups

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "counts": self.counts, "verdict": self.verdict}


def _findings_text(count: int) -> str:
    return f"{count} finding{'s' if count > 1 else ''}"


def inspect_package(path: Path, arrays: Arrays | None = None, function: str | None = None) -> Readiness:
    """`arrays` are real rows, in any number: their values decide what the ranges are. Raises AnelabError if the
    package cannot be read, or its function does not take the arrays."""
    package = load_package(path)
    program = package.function(function)
    name = next(name for name, item in package.program.functions.items() if item is program)
    operations = [one for one in _operations(program) if not _is_border(one)]
    findings = [found for one in operations for rule in (*DIFFERENCES, *RULES) for found in rule(one)]
    findings = list(weighed(operations, findings, package_operations(path)[name], frozenset((GUIDE, OLD_LISTS))))
    findings += [found for variable in program.inputs.values() for found in _input_shape(variable)]
    if arrays is not None:
        findings += range_findings(Evaluator(package, name, "fp32"), arrays)
    off = {found.operator for found in findings if found.severity == "off"}
    count = sum(one.name in off for one in operations)
    return Readiness(name, len(operations), count, arrays is not None, findings)


def _operations(block: Any) -> Iterator[Any]:
    for operation in block.operations:
        if operation.op_type != "const" and not operation.op_type.startswith("constexpr_"):
            yield operation
        for inner in operation.blocks:
            yield from _operations(inner)


def _is_border(operation: Any) -> bool:
    """A cast right after an input or before an output: Core ML does those itself."""
    if operation.op_type != "cast":
        return False
    given, made = operation.inputs["x"], operation.outputs[0]
    return given.op is None or not made.child_ops


def _types(operation: Any) -> Iterator[Finding]:
    for output in operation.outputs:
        dtype = declared_type(output)
        if dtype == "fp32":
            fix = "convert with compute_precision fp16 (model.mlpackage), or take it out of fp32_operators"
            yield finding(operation, "float32", "off", "computes in float32", fix, f"{APPLE}; {TYPED}")
        elif dtype in ("int32", "uint32") and operation.op_type not in INDEXED:
            fix = "keep integers out of the graph, or in 16 bits"
            yield finding(operation, "int32", "off", "gives 32-bit integers", fix, APPLE)


def _ranks(operation: Any) -> Iterator[Finding]:
    for output in operation.outputs:
        shape = static_shape(output)
        if None in shape:
            fix = "export a fixed shape, or a package of one function a shape"
            yield finding(operation, "dynamic shape", "off", f"has the shape {sizes_text(shape)}", fix, SHAPES)
        if len(shape) > LARGEST_RANK:
            fix = "merge axes until five are left"
            yield finding(operation, "rank", "off", f"has {len(shape)} axes", fix, APPLE)


def _input_shape(variable: Any) -> Iterator[Finding]:
    shape = static_shape(variable)
    if None in shape:
        fix = "export a fixed shape, or a package of one function a shape"
        yield Finding("dynamic shape", "off", variable.name, "input", f"has the shape {sizes_text(shape)}", fix, SHAPES)


def _sizes(operation: Any) -> Iterator[Finding]:
    for output in operation.outputs:
        shape = [size or 0 for size in static_shape(output)]
        if len(shape) >= 3 and (max(shape[2:]) > LARGEST_SIDE or shape[1] > LARGEST_CHANNELS):
            limits = f"sides up to {LARGEST_SIDE} and {LARGEST_CHANNELS} channels are taken"
            yield finding(operation, "size", "off", f"gives {sizes_text(shape)}; {limits}", "cut it into parts", GUIDE)
        size = 2 * math.prod(shape)
        if size > WORKING_SET:
            detail = f"gives {size / 2**20:.1f} MiB; beyond {WORKING_SET // 2**20} MiB tensors leave the fast memory"
            yield finding(operation, "working set", "slow", detail, "work on smaller parts", GUIDE)


def _alignment(operation: Any) -> Iterator[Finding]:
    """The last axis is stored in steps of 64 bytes."""
    if operation.op_type not in MULTIPLIED | {"softmax", "layer_norm", "batch_norm", "max_pool", "avg_pool"}:
        return
    last = (static_shape(operation.outputs[0]) or (0,))[-1]
    if last and (last * 2) % ALIGNED_BYTES:
        stored = math.ceil(last * 2 / ALIGNED_BYTES) * ALIGNED_BYTES
        detail = f"last axis {last} is {last * 2} bytes, stored as {stored}: {stored / (last * 2):.3g} x the memory"
        fix = "put a long axis last: (batch, channels, 1, sequence)"
        yield finding(operation, "alignment", "slow", detail, fix, APPLE)


def _layout(operation: Any) -> Iterator[Finding]:
    if operation.op_type == "linear":
        fix = "a 1 x 1 convolution over (batch, channels, 1, sequence) suits the Neural Engine better"
        yield finding(operation, "layout", "slow", "is a linear layer", fix, APPLE)


def _convolutions(operation: Any) -> Iterator[Finding]:
    if operation.op_type not in ("conv", "conv_transpose"):
        return
    kernel = [size or 0 for size in static_shape(operation.inputs["weight"])[2:]]
    if max(kernel) > LARGEST_KERNEL:
        fix = f"stack smaller ones; up to {LARGEST_KERNEL} is taken"
        yield finding(operation, "kernel", "off", f"has a kernel of {sizes_text(kernel)}", fix, GUIDE)
    elif max(kernel) > LARGE_KERNEL:
        yield finding(
            operation, "kernel", "slow", f"has a kernel of {sizes_text(kernel)}", "stack 5 x 5 kernels", APPLE
        )
    dilations = numbers(operation, "dilations")
    if max(dilations, default=1) > 2:
        fix = "stack dilations of 2: 8 is 2 x 2 x 2"
        yield finding(operation, "dilation", "slow", f"has dilations of {sizes_text(dilations)}", fix, APPLE)
    yield from _strides(operation, "strides", SMOOTH)


def _pools(operation: Any) -> Iterator[Finding]:
    if operation.op_type in ("max_pool", "avg_pool", "l2_pool"):
        yield from _strides(operation, "strides", {2})


def _strides(operation: Any, name: str, factors: set[int] | frozenset[int]) -> Iterator[Finding]:
    strides = numbers(operation, name)
    if any(not _made_of(stride, factors) for stride in strides):
        fix = f"use strides made of the factors {', '.join(map(str, sorted(factors)))}"
        yield finding(operation, "stride", "slow", f"has strides of {sizes_text(strides)}", fix, APPLE)


def _made_of(number: int, factors: set[int] | frozenset[int]) -> bool:
    for factor in factors:
        while number > 1 and number % factor == 0:
            number //= factor
    return number == 1


def _kinds(operation: Any) -> Iterator[Finding]:
    kind = operation.op_type
    if kind in RECURRENT:
        fix = "use convolutions or attention instead of recurrence and loops"
        yield finding(operation, "recurrence", "off", "never runs there", fix, RECURRENT_ISSUE)
    elif kind in INDEXED:
        fix = "use slices, or a product with a one-hot matrix"
        yield finding(operation, "indexing", "off", "is not known to run there", fix, OLD_LISTS)
    elif kind in SORTED:
        yield finding(operation, "sorting", "off", "is not known to run there", "do it after the model", OLD_LISTS)
    elif kind in ("reduce_argmax", "reduce_argmin"):
        (axis,) = numbers(operation, "axis") or [-1]
        size = static_shape(operation.inputs["x"])[axis] or 0
        if size > LARGEST_ARGMAX:
            detail = f"looks through {size} values; up to {LARGEST_ARGMAX} are taken"
            yield finding(operation, "argmax", "off", detail, "do it after the model", GUIDE)


def _masks(operation: Any) -> Iterator[Finding]:
    """Constants that 16 bits hold as infinity, such as masks."""
    for given in operation.inputs.values():
        for variable in given if isinstance(given, list | tuple) else [given]:
            value = getattr(variable, "val", None)
            array = np.asarray(value) if isinstance(value, np.ndarray | np.generic) else None
            if array is None or array.dtype.kind != "f" or not array.size:
                continue
            with np.errstate(invalid="ignore"):
                beyond = np.abs(array.astype(np.float64)) > HALF_LARGEST
            if beyond.any() and operation.op_type not in ("clip", "log", "cast"):
                detail = f"has the constant {variable.name} with {array.flat[int(beyond.argmax())]:g}"
                yield finding(operation, "mask", "unsafe", detail, MASK_ADVICE, APPLE)


RULES: tuple[Rule, ...] = (
    _types,
    _ranks,
    _sizes,
    _alignment,
    _layout,
    _convolutions,
    _pools,
    _kinds,
    _masks,
)
