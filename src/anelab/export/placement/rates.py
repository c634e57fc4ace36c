"""How long Core ML's segmenter estimates an operator to take: by the sizes of its tensors and a chip's rates.

These are the planner's numbers, not times that anything took. Source: the analytics that Core ML's compiler writes,
read by 751K/Apple-Neural-Engine-Microarchitecture-Study-M6 (MIT; chapter 5; M4, macOS 27.0.1, fp16). The rates were
fitted to 82 of its models, with a largest error of 3.1e-4. An operation is one addition or multiplication.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from anelab.errors import UsageError
from anelab.export.operations import Operation, Tensor
from anelab.export.placement.segments import Estimate
from anelab.export.placement.support import refusal

GIB = 2**30


@dataclass(frozen=True)
class Rate:
    """Giga-operations a second on the Neural Engine, and on the CPU by BNNS, the faster of its two libraries."""

    engine: float
    cpu: float


@dataclass(frozen=True)
class Chip:
    """`own` are the rates that the source lists for the chip; all others are the M4's."""

    name: str
    engine_gib_s: float
    cpu_gib_s: float
    rates: Mapping[str, Rate]
    own: frozenset[str]


ROOFLINE = "roofline"
M4_RATES = {
    ROOFLINE: Rate(19400, 754.5),
    "relu": Rate(50, 50),
    "add": Rate(35.98, 21.12),
    "mul": Rate(43.0, 11.50),
    "concat": Rate(100, 11.50),
    "transpose": Rate(34.44, 43.74),
    "transpose of the first axis": Rate(22.86, 1.875),
    "gather": Rate(math.inf, 11.50),
    "upsample_bilinear": Rate(79.31, 0.52467),
    "conv, high intensity": Rate(16152, 754.5),
    "conv, middle intensity": Rate(7161, 388.1),
    "conv, low intensity": Rate(471.2, 27.08),
    "conv_transpose, 2-D": Rate(15205, 63.14),
    "conv_transpose, 1-D or 3-D": Rate(37832, 211.6),
    "linear, wide": Rate(5291, 167.8),
    "linear, narrow": Rate(580.5, 22.54),
    "linear, low intensity": Rate(106.9, 68.8),
}
M4 = Chip("M4", 68.0, 68 / 1.2, M4_RATES, frozenset(M4_RATES))


def _chip(name: str, own: Mapping[str, Rate], engine_gib_s: float = 68.0, cpu_gib_s: float = 68 / 1.2) -> Chip:
    return Chip(name, engine_gib_s, cpu_gib_s, {**M4_RATES, **own}, frozenset(own))


CHIPS: Mapping[str, Chip] = {
    "M4": M4,
    "M6": replace(M4, name="M6"),  # its compiler gives the same estimates to the byte
    "H13G": _chip(
        "H13G",
        {
            ROOFLINE: Rate(12000, 729.24),
            "conv, high intensity": Rate(11582.16, 729.2),
            "conv, middle intensity": Rate(5980.88, 298.1),
            "add": Rate(32.949, 14.555),
            "transpose": Rate(31.021, 29.167),
        },
    ),
    "H17G": _chip(
        "H17G",
        {
            ROOFLINE: Rate(11245.81, 359.26),
            "conv, high intensity": Rate(8609.55, 1192.74),
            "conv, middle intensity": Rate(5484.96, 243.1),
        },
    ),
    "H19": _chip(
        "H19",
        {
            ROOFLINE: Rate(16900, 968),
            "conv, middle intensity": Rate(3491.17, 286.67),
            "add": Rate(30, 9.2017),
        },
        engine_gib_s=58.0,
        cpu_gib_s=51.0,
    ),
}
"""H13G is the M1's engine, H16G the M4's, H18G the M6's. Those of other chips come out of the compiler on an M4."""


def check_chip(name: str) -> Chip:
    """Raises UsageError if its rates are not known."""
    if name not in CHIPS:
        raise UsageError(f"--chip must be one of {', '.join(CHIPS)} but got {name}")
    return CHIPS[name]


@dataclass(frozen=True)
class Work:
    """What one operator does: operations at a rate, and bytes that a roofline moves."""

    rate: str
    operations: float
    bytes_moved: float = 0.0

    def times_ms(self, chip: Chip) -> tuple[float, float]:
        """On the Neural Engine and on the CPU."""
        rate = chip.rates[self.rate]
        return (
            1e3 * max(self.operations / (rate.engine * 1e9), self.bytes_moved / (chip.engine_gib_s * GIB)),
            1e3 * max(self.operations / (rate.cpu * 1e9), self.bytes_moved / (chip.cpu_gib_s * GIB)),
        )


def estimate(operation: Operation, chip: Chip = M4) -> Estimate:
    engine, cpu = work_of(operation).times_ms(chip)
    if operation.kind == "gather":  # the CPU has a rate of its own, the Neural Engine the roofline's
        engine = Work(ROOFLINE, 0, _moved(operation)).times_ms(chip)[0]
    return Estimate(None if refusal(operation) else engine, cpu)


def work_of(operation: Operation) -> Work:
    return WORK.get(operation.kind, _roofline)(operation)


def _input_elements(operation: Operation) -> int:
    return sum(one.elements for one in operation.tensors if len(one.shape) > 0)


def _moved(operation: Operation) -> int:
    return sum(one.size_bytes for one in (*operation.tensors, *operation.outputs))


def _roofline(operation: Operation) -> Work:
    return Work(ROOFLINE, 0, _moved(operation))


def _unary(rate: str) -> Callable[[Operation], Work]:
    """Two operations for each element of each input."""
    return lambda operation: Work(rate, 2 * _input_elements(operation))


def _gather(operation: Operation) -> Work:
    return Work("gather", _input_elements(operation) + 3)


def _upsample(operation: Operation) -> Work:
    return Work("upsample_bilinear", operation.outputs[0].elements)


def _one_way(operation: Operation) -> Work:
    """One input and one output count: of norms without their parameters, of stack and split without the others."""
    return Work(ROOFLINE, 0, _data(operation).size_bytes + operation.outputs[0].size_bytes)


def _data(operation: Operation) -> Tensor:
    """What is worked on; the arguments of a program have no order."""
    return (operation.inputs.get("x") or operation.inputs["values"])[0]


def _pool(operation: Operation) -> Work:
    window = math.prod(operation.numbers.get("kernel_sizes", ()))
    return Work(ROOFLINE, window * operation.outputs[0].elements, _moved(operation))


def _product(operation: Operation) -> Work:
    x, y, output = operation.inputs["x"][0], operation.inputs["y"][0], operation.outputs[0]
    inner = math.isqrt(math.prod(x.shape[-2:]) * math.prod(y.shape[-2:]) // max(1, math.prod(output.shape[-2:])))
    return Work(ROOFLINE, 2 * output.elements * inner, _moved(operation))


def _transpose(operation: Operation) -> Work:
    axes = operation.numbers.get("perm", (0,))
    rate = "transpose" if axes[0] == 0 else "transpose of the first axis"
    return Work(rate, 2 * _data(operation).elements)


def _intensity(operations: float, *parts: int) -> float:
    """Operations a byte, as the classes are stated: millions of operations a MiB."""
    return operations / 1e6 / (sum(parts) / 2**20)


def _conv(operation: Operation) -> Work:
    """Between the classes nothing was seen (10 to 11 and 59 to 70): the middle divides them."""
    weight, output = operation.inputs["weight"][0], operation.outputs[0]
    dilated = math.prod(operation.numbers.get("dilations", ()))
    dense = 2 * output.elements * math.prod(weight.shape[1:]) / dilated
    at = _intensity(dense, operation.inputs["x"][0].size_bytes, output.size_bytes, weight.size_bytes)
    level = "high" if at > 64.5 else "middle" if at > 10.5 else "low"
    return Work(f"conv, {level} intensity", dense)


def _conv_transpose(operation: Operation) -> Work:
    weight, output = operation.inputs["weight"][0], operation.outputs[0]
    kernel = math.prod(weight.shape[2:])
    rate = "conv_transpose, 2-D" if len(weight.shape) == 4 else "conv_transpose, 1-D or 3-D"
    groups = math.prod(operation.numbers.get("groups", ()))
    return Work(rate, 2 * output.elements * kernel * weight.shape[0] / groups)


def _linear(operation: Operation) -> Work:
    """Charged by the width of the input alone, as if the output were as wide.

    Which of the rates holds was seen for eight shapes only: 64 to 64 with few rows; 128 to 128, 256 to 256 and 514 to
    514; 256 to 512, 512 to 512 and 1024 to 1024. Where the classes end is a guess."""
    x, weight, output = operation.inputs["x"][0], operation.inputs["weight"][0], operation.outputs[0]
    width = weight.shape[-1]
    dense = 2 * x.elements * width
    if _intensity(2 * output.elements * width, x.size_bytes, output.size_bytes, weight.size_bytes) < 13.5:
        return Work("linear, low intensity", dense)
    return Work("linear, wide" if weight.shape[0] >= 512 and weight.shape[0] % 64 == 0 else "linear, narrow", dense)


WORK: Mapping[str, Callable[[Operation], Work]] = {
    "relu": _unary("relu"),
    "add": _unary("add"),
    "sub": _unary("add"),
    "mul": _unary("mul"),
    "concat": _unary("concat"),
    "transpose": _transpose,
    "gather": _gather,
    "upsample_bilinear": _upsample,
    "layer_norm": _one_way,
    "batch_norm": _one_way,
    "stack": _one_way,
    "split": _one_way,
    "avg_pool": _pool,
    "max_pool": _pool,
    "l2_pool": _pool,
    "matmul": _product,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "linear": _linear,
}
