"""Arithmetic, comparisons and functions of one element."""

from collections.abc import Callable

import torch
from torch import Tensor

from anelab.export.mil.operators import operator

TYPES = {
    "fp16": torch.float32,  # the evaluator rounds outputs to their declared type
    "fp32": torch.float32,
    "int8": torch.int8,
    "uint8": torch.uint8,
    "int16": torch.int16,
    "uint16": torch.int32,
    "int32": torch.int32,
    "uint32": torch.int32,
    "int64": torch.int32,
    "bool": torch.bool,
}

UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs,
    "acos": torch.acos,
    "asin": torch.asin,
    "atan": torch.atan,
    "atanh": torch.atanh,
    "ceil": torch.ceil,
    "cos": torch.cos,
    "cosh": torch.cosh,
    "erf": torch.erf,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "floor": torch.floor,
    "round": torch.round,
    "sign": torch.sign,
    "sin": torch.sin,
    "sinh": torch.sinh,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "tan": torch.tan,
    "tanh": torch.tanh,
}
BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "equal": torch.eq,
    "floor_div": torch.floor_divide,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "less": torch.lt,
    "less_equal": torch.le,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "mod": torch.remainder,
    "mul": torch.mul,
    "not_equal": torch.ne,
    "pow": torch.pow,
    "sub": torch.sub,
}


def _enter_unary(name: str) -> None:
    function = UNARY[name]

    @operator(name)
    def unary(x: Tensor) -> Tensor:
        return function(x)


def _enter_binary(name: str) -> None:
    function = BINARY[name]

    @operator(name)
    def binary(x: Tensor, y: Tensor) -> Tensor:
        return function(x, y)


for _name in UNARY:
    _enter_unary(_name)
for _name in BINARY:
    _enter_binary(_name)


@operator()
def real_div(x: Tensor, y: Tensor) -> Tensor:
    """Of integers too, rounded down: MIL's output has the type of its inputs."""
    return torch.true_divide(x, y) if x.is_floating_point() else torch.floor_divide(x, y)


@operator()
def logical_not(x: Tensor) -> Tensor:
    return torch.logical_not(x)


@operator()
def rsqrt(x: Tensor, epsilon: float = 1e-12) -> Tensor:
    return torch.rsqrt(x + epsilon)


@operator()
def inverse(x: Tensor, epsilon: float = 1e-4) -> Tensor:
    return 1 / (x + epsilon)


@operator()
def log(x: Tensor, epsilon: float = 1e-45) -> Tensor:
    return torch.log(x + epsilon)


@operator()
def clip(x: Tensor, alpha: float = -3.4028235e38, beta: float = 3.4028235e38) -> Tensor:
    return torch.clamp(x, alpha, beta)


@operator()
def threshold(x: Tensor, alpha: float) -> Tensor:
    return torch.clamp(x, min=alpha)


@operator()
def cast(x: Tensor, dtype: str) -> Tensor:
    return x.to(TYPES[dtype])


@operator()
def identity(x: Tensor) -> Tensor:
    return x


@operator()
def select(cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(cond.bool(), a, b)
