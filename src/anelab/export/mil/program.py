"""A saved package as functions of operators, loaded by coremltools on any host."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from anelab.errors import AnelabError
from anelab.export.mlpackage import check_package
from anelab.export.toolkit import toolkit


@dataclass(frozen=True)
class Package:
    """`program.functions[name]` has inputs, operations and outputs; `spec` is the model's protobuf."""

    path: Path
    spec: Any
    program: Any

    @property
    def functions(self) -> tuple[str, ...]:
        return tuple(sorted(self.program.functions))

    def function(self, name: str | None = None) -> Any:
        """The named function, the default one, or the only one. Raises AnelabError that lists them."""
        chosen = name or self.spec.description.defaultFunctionName or "main"
        if name is None and len(self.functions) == 1:
            chosen = self.functions[0]
        if chosen in self.program.functions:
            return self.program.functions[chosen]
        raise AnelabError(f"{self.path}: has no function {chosen}; its functions are {', '.join(self.functions)}")


def load_package(path: Path) -> Package:
    """Raises AnelabError if it is no ML program, damaged, or has an operator that coremltools lacks."""
    if not path.exists():
        raise AnelabError(f"{path}: there is no such package")
    check_package(path)
    with toolkit() as ct:
        from coremltools.converters.mil.frontend.milproto.load import load

        try:
            model = ct.models.MLModel(str(path), skip_model_load=True)
            spec = model.get_spec()
            kind = spec.WhichOneof("Type")
            if kind is None:
                raise AnelabError(f"{path}: its model is empty or damaged; export it again or restore it")
            if kind != "mlProgram":
                raise AnelabError(f"{path}: is a Core ML {kind}; only an ML program (mlProgram) can be evaluated")
            program = load(spec, spec.specificationVersion, model.weights_dir)
        except AnelabError:
            raise
        except Exception as error:  # coremltools' own errors have no common base
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise AnelabError(f"{path}: coremltools cannot read it ({reason}); export it again or restore it") from None
    return Package(path, spec, program)


def infinite_constants(block: Any) -> Iterator[tuple[str, str]]:
    """(operator, constant) where a stored constant has infinities; constants of operators' blocks too."""
    for operation in block.operations:
        for given in operation.inputs.values():
            for variable in given if isinstance(given, list | tuple) else [given]:
                value = getattr(variable, "val", None)
                if isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "f" and np.isinf(value).any():
                    yield operation.name, variable.name
        for inner in operation.blocks:
            yield from infinite_constants(inner)


def declared_type(variable: Any) -> str:
    """MIL's name of a variable's element type, such as fp16."""
    from coremltools.converters.mil.mil import types

    return str(types.builtin_to_string(variable.dtype)) if variable.dtype is not None else "unknown"


def static_shape(variable: Any) -> tuple[int | None, ...]:
    """None is an axis of any size."""
    return tuple(int(size) if isinstance(size, int) or hasattr(size, "item") else None for size in variable.shape)


def largest_value(program: Any) -> int:
    """Bytes of the largest variable that is computed; an axis of any size counts as 1."""
    computed = (operation for operation in program.operations if operation.op_type != "const")
    return max((_bytes_of(variable) for operation in computed for variable in operation.outputs), default=1)


def _bytes_of(variable: Any) -> int:
    try:
        return 4 * prod(size or 1 for size in static_shape(variable))
    except ValueError:  # a list has no shape
        return 1


def reads_of(operation: Any) -> set[str]:
    """Every variable that the operation or its blocks use."""
    names = set()
    for given in operation.inputs.values():
        for variable in given if isinstance(given, list | tuple) else [given]:
            if variable is not None:
                names.add(variable.name)
    for block in operation.blocks:
        names |= {variable.name for variable in block.outputs}
        for inner in block.operations:
            names |= reads_of(inner)
    return names
