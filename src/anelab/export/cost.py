"""What a package's functions cost, read off the program: multiply-adds by operator, and bytes moved."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from anelab.export.mlpackage import WEIGHTS, package_functions, read_spec
from anelab.export.toolkit import toolkit

Shape = tuple[int, ...]
Shapes = Mapping[str, list[Shape]]
"""Shapes of an operator's arguments, by the argument's name."""
SIZES = {"FLOAT16": 2, "FLOAT32": 4, "INT32": 4, "INT16": 2, "INT8": 1, "UINT8": 1, "UINT16": 2, "BOOL": 1}


def _dense(inputs: Shapes, output: Shape) -> int:
    return math.prod(output) * inputs["weight"][0][-1]


def _convolution(inputs: Shapes, output: Shape) -> int:
    return math.prod(output) * math.prod(inputs["weight"][0][1:])


def _transposed(inputs: Shapes, output: Shape) -> int:
    """Every input element meets a kernel of each output channel of its group."""
    return math.prod(inputs["x"][0]) * math.prod(inputs["weight"][0][1:])


def _product(inputs: Shapes, output: Shape) -> int:
    """The length summed over, whichever operand is transposed: rows x K times K x columns."""
    x, y = inputs["x"][0], inputs["y"][0]
    inner = math.isqrt(math.prod(x[-2:]) * math.prod(y[-2:]) // max(1, math.prod(output[-2:])))
    return math.prod(output) * inner


def _attention(inputs: Shapes, output: Shape) -> int:
    """Queries by keys, then weights by values."""
    query, key, value = (inputs[name][0] for name in ("query", "key", "value"))
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _recurrent(inputs: Shapes, output: Shape) -> int:
    """Each step's input and state through all gates; x is [steps, batch, features]."""
    weights = math.prod(inputs["weight_ih"][0]) + math.prod(inputs["weight_hh"][0])
    return math.prod(inputs["x"][0][:2]) * weights


MACS: Mapping[str, Callable[[Shapes, Shape], int]] = {
    "linear": _dense,
    "conv": _convolution,
    "conv_transpose": _transposed,
    "matmul": _product,
    "scaled_dot_product_attention": _attention,
    "lstm": _recurrent,
    "gru": _recurrent,
    "rnn": _recurrent,
}


def package_costs(path: Path) -> dict[str, Any]:
    """For every function: `macs` in all and by operator, `operators` that compute, `weight_bytes` as stored,
    `activation_bytes` in and out of operators, and whether all shapes are known (`static`).

    Loops and branches are counted once. Raises AnelabError if it is no ML program."""
    program = read_spec(path).mlProgram
    weights = path / WEIGHTS
    stored = weights.stat().st_size if weights.is_file() else 0
    return {
        name: _cost(next(iter(program.functions[name].block_specializations.values())), stored, program.functions[name])
        for name in package_functions(path)
    }


def _cost(block: Any, stored: int, function: Any) -> dict[str, Any]:
    known = {item.name: _typed(item.type) for item in function.inputs}
    constants: set[str] = set()
    macs, operators, moved, static = Counter[str](), 0, 0, True
    for operation in _operations(block):
        outputs = {item.name: _typed(item.type) for item in operation.outputs}
        known |= outputs
        static &= all(0 not in shape for shape, _ in outputs.values())
        if operation.type == "const" or operation.type.startswith("constexpr_"):
            constants |= outputs.keys()
            continue
        arguments = {name: [one.name for one in item.arguments if one.name] for name, item in operation.inputs.items()}
        shapes = {name: [known[one][0] for one in names if one in known] for name, names in arguments.items()}
        operators += 1
        if operation.type in MACS:
            macs[operation.type] += MACS[operation.type](shapes, next(iter(outputs.values()))[0])
        passed = [one for names in arguments.values() for one in names if one in known and one not in constants]
        moved += sum(_bytes(*known[one]) for one in passed) + sum(_bytes(*one) for one in outputs.values())
    return {
        "activation_bytes": moved,
        "macs": sum(macs.values()),
        "macs_by_operator": dict(sorted(macs.items())),
        "operators": operators,
        "static": static,
        "weight_bytes": stored,
    }


def _operations(block: Any) -> Iterator[Any]:
    for operation in block.operations:
        yield operation
        for inner in operation.blocks:
            yield from _operations(inner)


def _typed(kind: Any) -> tuple[Shape, int]:
    """Shape, where 0 is a size that is not known, and bytes of an element."""
    with toolkit() as ct:
        names = ct.proto.MIL_pb2.DataType
    tensor = kind.tensorType
    shape = tuple(item.constant.size if item.HasField("constant") else 0 for item in tensor.dimensions)
    return shape, SIZES.get(names.Name(tensor.dataType), 4)


def _bytes(shape: Shape, size: int) -> int:
    return math.prod(shape) * size
