"""Runs one function of a package, operator by operator, with torch.

A program is prepared once: constants become tensors, arguments are matched to the operators' parameters,
and each value is dropped after its last use. Running it is then a loop over calls.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anelab.errors import AnelabError
from anelab.export.features import declared_inputs
from anelab.export.mil.engine.choice import Computation, on_engine
from anelab.export.mil.labels import class_names
from anelab.export.mil.modes import Finish, Mode, ane_range, finish
from anelab.export.mil.operators import Operator, Value, as_tensor
from anelab.export.mil.ports import Port, port_of
from anelab.export.mil.program import Package, declared_type, largest_value, load_package, reads_of
from anelab.export.mil.states import states_of
from anelab.export.mil.table import OPERATORS
from anelab.interruption import check_not_ended
from anelab.learning.base import Array, Arrays

Values = dict[str, Value]
WIDE = " wide"
"""Behind a variable's name: its value before it was rounded."""
MOST_CALLS, MOST_STACKED_BYTES = 1024, 16 << 20
"""Of one variable of the calls that are made at once."""
Observer = Callable[[Any, Mapping[str, Any], Sequence[Value]], None]
"""Told of each operator that ran: MIL's operation, its arguments, its outputs."""


@dataclass(frozen=True)
class Step:
    """One operator, ready to be called. `wired` are (parameter, variable or variables, converter). `exact`: in mode
    ane, that its outputs are the Neural Engine's own."""

    operation: Any
    run: Callable[..., Any]
    exact: bool
    fixed: Mapping[str, Any]
    wired: tuple[tuple[str, str | tuple[str, ...], Callable[[Value], Any]], ...]
    outputs: tuple[tuple[str, Finish], ...]
    blocks: tuple["Block", ...] | None
    dead: tuple[str, ...]


class Evaluator:
    """A function of a package as a callable: named arrays in, named arrays out, shapes as declared."""

    def __init__(
        self,
        package: Package | Path,
        function: str | None = None,
        mode: Mode = "fp16",
        wide: frozenset[str] = frozenset(),
    ) -> None:
        """`wide` names operations that stay float32, as if the converter had left them so: what one gives to
        another is not rounded, what it gives to the rest is.

        Raises AnelabError if the package cannot be read or has an operator that is not in the table.
        """
        self.package = package if isinstance(package, Package) else load_package(package)
        self.mode = mode
        program = self.package.function(function)
        self.name = next(name for name, item in self.package.program.functions.items() if item is program)
        declared = declared_inputs(self.package.spec.description, self.name)
        self.states = states_of(program)
        given = [one for one in program.inputs.values() if one.name not in self.states]
        self.inputs = tuple(port_of(one, declared.get(one.name)) for one in given)
        self.outputs = tuple(port_of(variable) for variable in program.outputs)
        self.classes = class_names(program)
        self._constants: Values = {}
        where = f"{self.package.path.name}, function {self.name}"
        self._block = Block(program, self._constants, mode, wide, where)
        self.calls_at_once = max(1, min(MOST_CALLS, MOST_STACKED_BYTES // largest_value(program)))

    @torch.inference_mode()
    def __call__(self, arrays: Arrays, observe: Observer | None = None) -> dict[str, np.ndarray[Any, Any]]:
        """Raises AnelabError if an input is missing, unknown, has another shape, or is no image where one is asked.

        A classifier's label and probabilities are arrays, too: see `labels.classify`, and `classes` for their names.
        """
        if unknown := set(arrays) - {port.name for port in self.inputs}:
            raise AnelabError(f"{self._where}: has no input {', '.join(sorted(unknown))}; it takes {self._takes()}")
        given = {port.name: self._accepted(port, self._given(port, arrays)) for port in self.inputs}
        found = self._block.run(self._constants | self.states | given, observe)
        return {port.name: _as_array(value) for port, value in zip(self.outputs, found, strict=True)}

    @torch.inference_mode()
    def stacked(self, arrays: Arrays) -> dict[str, np.ndarray[Any, Any]] | None:
        """Many calls at once: arrays and outputs have one axis more, the calls, in front. None where an operator
        decides by values, which may differ between calls, or where a single call would fail.

        Sums are those of larger products, so a value may differ from a single call's in its last bit. None too with
        states, for then each call needs the one before."""
        if self.states:
            return None
        try:
            given = [torch.stack([self._accepted(port, call) for call in arrays[port.name]]) for port in self.inputs]
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "There is a performance drop")  # where vmap only loops
                found = torch.vmap(self._run_stacked)(*given)
        except (AnelabError, RuntimeError, ValueError, TypeError, LookupError):
            return None
        return {port.name: _as_array(value) for port, value in zip(self.outputs, found, strict=True)}

    def reset_states(self) -> None:
        """To zero, as Core ML makes a new state. Calls in between go on with what the one before left."""
        for state in self.states.values():
            state.value = torch.zeros_like(state.value)

    def _run_stacked(self, *given: torch.Tensor) -> tuple[Value, ...]:
        inputs = {port.name: value for port, value in zip(self.inputs, given, strict=True)}
        return tuple(self._block.run(self._constants | inputs))

    def _given(self, port: Port, arrays: Arrays) -> Array:
        if port.name not in arrays:
            raise AnelabError(f"{self._where}: input {port.name} is missing; it takes {self._takes()}")
        return np.asarray(arrays[port.name])

    def _accepted(self, port: Port, array: Array) -> torch.Tensor:
        if misfit := port.misfit(array):
            raise AnelabError(f"{self._where}: input {port.name} {misfit}; it takes {self._takes()}")
        array = array.astype(np.float32 if port.is_float else np.int32)
        return finish(port.dtype, "fp32" if self.mode == "fp32" else "fp16")(as_tensor(array))

    @property
    def _where(self) -> str:
        return f"{self.package.path}, function {self.name}"

    @property
    def title(self) -> str:
        """The package, and how its images are given as arrays."""
        images = [f"{port.name} is {port.declared.convention}" for port in self.inputs if port.declared.convention]
        return f"{self.package.path}" + (f" ({'; '.join(images)})" if images else "")

    def _takes(self) -> str:
        return ", ".join(map(str, self.inputs))


def _as_array(value: Value) -> np.ndarray[Any, Any]:
    """A copy: the value may be a constant of the program, or the caller's own input."""
    return np.array(value.numpy() if isinstance(value, torch.Tensor) else value)


class Block:
    """A function's or a control operator's body, prepared."""

    def __init__(self, block: Any, constants: Values, mode: Mode, wide: frozenset[str], where: str) -> None:
        self.mode, self.wide, self.where = mode, wide, where
        inputs = block.inputs.values() if isinstance(block.inputs, Mapping) else block.inputs
        self.inputs = tuple(variable.name for variable in inputs)
        self.outputs = tuple(variable.name for variable in block.outputs)
        self.steps = self._prepared(list(block.operations), constants)
        for variable in block.outputs:
            if variable.val is not None and variable.op is not None and variable.op.op_type == "const":
                constants.setdefault(variable.name, as_tensor(variable.val))

    def run(self, values: Values, observe: Observer | None = None) -> list[Value]:
        """`values` by name holds the inputs and constants, and receives what is computed."""
        for step in self.steps:
            arguments, results = self._called(step, values, observe)
            for (name, done), result in zip(step.outputs, results, strict=True):
                values[name] = done(result) if isinstance(result, torch.Tensor) else result
                if step.operation.name in self.wide:
                    values[name + WIDE] = result
            if observe is not None:
                names = [name for name, _ in step.outputs]
                observe(step.operation, arguments, [values.get(name + WIDE, values[name]) for name in names])
            for name in step.dead:
                values.pop(name, None)
                values.pop(name + WIDE, None)
        return [values[name] for name in self.outputs]

    def bound(self, values: Values, observe: Observer | None) -> Callable[[Sequence[Value]], list[Value]]:
        """The block as a function of its inputs; it sees everything outside."""

        def call(arguments: Sequence[Value]) -> list[Value]:
            check_not_ended()
            values.update(zip(self.inputs, arguments, strict=True))
            return self.run(values, observe)

        return call

    def _called(
        self, step: Step, values: Values, observe: Observer | None = None
    ) -> tuple[dict[str, Any], Sequence[Value]]:
        """The operator's arguments and its results."""
        operation, arguments = step.operation, dict(step.fixed)
        try:
            for parameter, source, convert in step.wired:
                found = values[source] if isinstance(source, str) else [values[name] for name in source]
                arguments[parameter] = convert(found)
            if step.blocks is not None:
                arguments["blocks"] = [block.bound(values, observe) for block in step.blocks]
            result = step.run(**arguments)
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            reason = str(error).partition("\n")[0]
            raise AnelabError(f"{self.where}: operator {operation.op_type} {operation.name} failed: {reason}") from None
        results = result if isinstance(result, tuple) else (result,)
        if self.mode == "ane" and not step.exact:
            results = tuple(ane_range(operation.op_type, arguments, one) for one in results)
        return arguments, results

    def _prepared(self, operations: list[Any], constants: Values) -> tuple[Step, ...]:
        running = []
        for operation in operations:
            if operation.op_type.startswith("constexpr_"):
                self._decompress(operation, constants)
            elif operation.op_type != "const":
                running.append(operation)
        last = {item.name: number for number, operation in enumerate(running) for item in operation.outputs}
        made_here = set(last) - set(self.outputs)
        last |= {name: number for number, operation in enumerate(running) for name in reads_of(operation)}
        dead: dict[int, list[str]] = {}
        for name in made_here:
            dead.setdefault(last[name], []).append(name)
        return tuple(
            self._step(number, operation, constants, tuple(dead.get(number, ())))
            for number, operation in enumerate(running)
        )

    def _decompress(self, operation: Any, constants: Values) -> None:
        """Compressed weights are constants like any other: decompressed once, in the type they declare."""
        step = self._step(0, operation, constants, ())
        _, results = self._called(step, constants)
        for (name, done), value in zip(step.outputs, results, strict=True):
            constants[name] = done(value)

    def _step(self, number: int, operation: Any, constants: Values, dead: tuple[str, ...]) -> Step:
        known = self._operator(number, operation)
        fixed: dict[str, Any] = {}
        wired: list[tuple[str, str | tuple[str, ...], Callable[[Value], Any]]] = []
        for parameter, given in operation.inputs.items():
            if given is None or parameter.startswith("_"):
                continue
            if parameter not in known.converters:
                raise AnelabError(
                    f"{self._at(number, operation)}: the evaluator does not support its input {parameter}"
                )
            self._wire(operation, parameter, given, known.converters[parameter], constants, fixed, wired)
        blocks = None
        if known.takes_blocks:
            blocks = tuple(Block(block, constants, self.mode, self.wide, self.where) for block in operation.blocks)
        found = Computation(known.run, exact=False)
        if self.mode == "ane" and operation.name not in self.wide:
            found = on_engine(operation, known.run)
        mode = "fp16" if found.exact else self.mode
        outputs = tuple((item.name, finish(declared_type(item), mode)) for item in operation.outputs)
        return Step(operation, found.run, found.exact, fixed, tuple(wired), outputs, blocks, dead)

    def _source(self, variable: Any, reader: Any) -> str:
        """Where `reader` finds the variable: what a wide operation gave goes to another one as it was."""
        wide = variable.op is not None and variable.op.name in self.wide and reader.name in self.wide
        return str(variable.name + WIDE if wide else variable.name)

    def _wire(
        self,
        operation: Any,
        parameter: str,
        given: Any,
        convert: Callable[[Value], Any],
        constants: Values,
        fixed: dict[str, Any],
        wired: list[tuple[str, str | tuple[str, ...], Callable[[Value], Any]]],
    ) -> None:
        """Constants are converted now, what is computed when it is there."""
        several = isinstance(given, list | tuple)
        variables = list(given) if several else [given]
        for variable in variables:
            if variable.name not in constants and _is_constant(variable):
                constants[variable.name] = _constant(variable)
        if all(variable.name in constants for variable in variables):
            values = [constants[variable.name] for variable in variables]
            fixed[parameter] = convert(values if several else values[0])
        else:
            names = tuple(self._source(variable, operation) for variable in variables)
            wired.append((parameter, names if several else names[0], convert))

    def _operator(self, number: int, operation: Any) -> Operator:
        try:
            return OPERATORS[operation.op_type]
        except KeyError:
            raise AnelabError(
                f"{self._at(number, operation)}: the evaluator has no such operator; it has {len(OPERATORS)}, "
                "see anelab/export/mil"
            ) from None

    def _at(self, number: int, operation: Any) -> str:
        return f"{self.where}, operation {number}: {operation.op_type} ({operation.name})"


def _is_constant(variable: Any) -> bool:
    return variable.op is not None and variable.op.op_type == "const"


def _constant(variable: Any) -> Value:
    value = variable.val
    return value if isinstance(value, str | bool | int | float) else as_tensor(value) if _numeric(value) else value


def _numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) and np.asarray(value).dtype.kind not in "USO"
