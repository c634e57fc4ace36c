"""Operators of a package's functions as plain records, read off its specification: names, shapes and types."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anelab.export.mlpackage import package_functions, read_spec
from anelab.export.toolkit import toolkit

Shape = tuple[int, ...]
TYPES = {"FLOAT16": "fp16", "FLOAT32": "fp32", "FLOAT64": "fp64", "STRING": "string"}
SIZES = {"fp16": 2, "fp32": 4, "fp64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "uint16": 2, "bool": 1}
"""Bytes of an element."""


@dataclass(frozen=True)
class Tensor:
    """0 is a size that is not known. `constant`: stored in the package, or a literal, which has no name."""

    shape: Shape
    dtype: str
    constant: bool = False
    name: str = ""

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        return self.elements * SIZES.get(self.dtype, 4)


@dataclass(frozen=True)
class Operation:
    """`kind` is MIL's name without the version of its operator set. `inputs` by argument; several where the argument
    is a list. `numbers` are the integer arguments that are constants, such as strides and groups."""

    kind: str
    name: str
    inputs: Mapping[str, tuple[Tensor, ...]]
    outputs: tuple[Tensor, ...]
    numbers: Mapping[str, tuple[int, ...]]

    @property
    def tensors(self) -> list[Tensor]:
        return [one for many in self.inputs.values() for one in many]

    def first(self, name: str) -> Tensor | None:
        return next(iter(self.inputs.get(name, ())), None)


def package_operations(path: Path) -> dict[str, list[Operation]]:
    """By function: what computes, in the order of the program; operators of loops and branches follow theirs, once.
    Raises AnelabError if it is no ML program."""
    program = read_spec(path).mlProgram
    with toolkit() as ct:
        types = ct.proto.MIL_pb2.DataType
    return {name: _Reader(program.functions[name], types).operations() for name in package_functions(path)}


class _Reader:
    """Of one function; `types` are coremltools' numbers of element types."""

    def __init__(self, function: Any, types: Any) -> None:
        self._types = types
        self._block = next(iter(function.block_specializations.values()))
        self._tensors = {item.name: self._tensor(item.type, False, item.name) for item in function.inputs}
        self._numbers: dict[str, tuple[int, ...]] = {}

    def operations(self) -> list[Operation]:
        return list(self._computing(self._block))

    def _computing(self, block: Any) -> Iterator[Operation]:
        for operation in block.operations:
            constant = operation.type == "const" or operation.type.startswith("constexpr_")
            outputs = tuple(self._tensor(item.type, constant, item.name) for item in operation.outputs)
            self._tensors |= {item.name: one for item, one in zip(operation.outputs, outputs, strict=True)}
            if constant:
                if operation.type == "const" and "val" in operation.attributes:
                    self._numbers[operation.outputs[0].name] = _integers(operation.attributes["val"])
            else:
                yield self._operation(operation, outputs)
            for inner in operation.blocks:
                self._tensors |= {item.name: self._tensor(item.type, False, item.name) for item in inner.inputs}
                yield from self._computing(inner)

    def _operation(self, operation: Any, outputs: tuple[Tensor, ...]) -> Operation:
        inputs: dict[str, tuple[Tensor, ...]] = {}
        numbers: dict[str, tuple[int, ...]] = {}
        for name, given in operation.inputs.items():
            inputs[name] = tuple(
                self._tensors[one.name] if one.name in self._tensors else self._tensor(one.value.type, True)
                for one in given.arguments
            )
            found = [self._numbers.get(one.name, ()) if one.name else _integers(one.value) for one in given.arguments]
            numbers[name] = tuple(number for many in found for number in many)
        kind = operation.type.rpartition(".")[2]
        name = operation.outputs[0].name if operation.outputs else kind
        return Operation(kind, name, inputs, outputs, {key: found for key, found in numbers.items() if found})

    def _tensor(self, kind: Any, constant: bool, called: str = "") -> Tensor:
        tensor = kind.tensorType
        shape = tuple(item.constant.size if item.HasField("constant") else 0 for item in tensor.dimensions)
        name = self._types.Name(tensor.dataType)
        return Tensor(shape, TYPES.get(name, name.lower()), constant, called)


def _integers(value: Any) -> tuple[int, ...]:
    """Of a literal; none if it holds no integers, or lies in the file of weights."""
    tensor = value.immediateValue.tensor
    for kind in ("ints", "longInts"):
        if found := getattr(tensor, kind).values:
            return tuple(int(one) for one in found)
    return ()
