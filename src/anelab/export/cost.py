"""What a package's functions cost, read off the program: multiply-adds by operator, and bytes moved."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from anelab.export.mlpackage import WEIGHTS
from anelab.export.operations import Operation, Tensor, package_operations


def _shape(operation: Operation, name: str) -> tuple[int, ...]:
    return operation.inputs[name][0].shape


def _dense(operation: Operation) -> int:
    return operation.outputs[0].elements * _shape(operation, "weight")[-1]


def _convolution(operation: Operation) -> int:
    return operation.outputs[0].elements * math.prod(_shape(operation, "weight")[1:])


def _transposed(operation: Operation) -> int:
    """Every input element meets a kernel of each output channel of its group."""
    return operation.inputs["x"][0].elements * math.prod(_shape(operation, "weight")[1:])


def _product(operation: Operation) -> int:
    """The length summed over, whichever operand is transposed: rows x K times K x columns."""
    x, y, output = _shape(operation, "x"), _shape(operation, "y"), operation.outputs[0]
    inner = math.isqrt(math.prod(x[-2:]) * math.prod(y[-2:]) // max(1, math.prod(output.shape[-2:])))
    return output.elements * inner


def _attention(operation: Operation) -> int:
    """Queries by keys, then weights by values."""
    query, key, value = (_shape(operation, name) for name in ("query", "key", "value"))
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _recurrent(operation: Operation) -> int:
    """Each step's input and state through all gates; x is [steps, batch, features]."""
    weights = operation.inputs["weight_ih"][0].elements + operation.inputs["weight_hh"][0].elements
    return math.prod(_shape(operation, "x")[:2]) * weights


MACS: Mapping[str, Callable[[Operation], int]] = {
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
    weights = path / WEIGHTS
    stored = weights.stat().st_size if weights.is_file() else 0
    return {name: _cost(operations, stored) for name, operations in package_operations(path).items()}


def _cost(operations: Sequence[Operation], stored: int) -> dict[str, Any]:
    macs = Counter[str]()
    for operation in operations:
        if operation.kind in MACS:
            macs[operation.kind] += MACS[operation.kind](operation)
    moved = [one for operation in operations for one in (*operation.tensors, *operation.outputs) if not one.constant]
    return {
        "activation_bytes": sum(one.size_bytes for one in moved),
        "macs": sum(macs.values()),
        "macs_by_operator": dict(sorted(macs.items())),
        "operators": len(operations),
        "static": all(_is_static(one) for operation in operations for one in operation.outputs),
        "weight_bytes": stored,
    }


def _is_static(tensor: Tensor) -> bool:
    return 0 not in tensor.shape
