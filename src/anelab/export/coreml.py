"""Core ML packages from a torch module: a ladder of ways to convert, held to what the module computes.

Every package has a fixed shape a function. Flexible shapes lose the Neural Engine (coremltools#1764,
#2370), so a choice of batch sizes or lengths is a package of several functions instead.
"""

import difflib
import gc
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from anelab.errors import AnelabError, UsageError
from anelab.export.comparison import relative_errors
from anelab.export.conversions import register_conversions
from anelab.export.mil.evaluator import Evaluator
from anelab.export.mlpackage import write_package
from anelab.export.toolkit import forget_names, toolkit
from anelab.learning.base import Arrays, Graph, Tensor
from anelab.learning.config import CoreMLConfig

AUTHOR = "anelab"
"""Packages of several functions need it."""


@dataclass(frozen=True)
class Size:
    """Rows, and the length where the graph has one."""

    rows: int
    length: int | None = None

    @property
    def function(self) -> str:
        """The name of this size's function in a package of several."""
        return f"rows_{self.rows}" + (f"_length_{self.length}" if self.length is not None else "")

    def shape(self, tensor: Tensor) -> tuple[int, ...]:
        known = {"n": self.rows, "L": self.length}
        sizes = [size if isinstance(size, int) else known.get(size) for size in tensor.shape]
        if None in sizes:
            raise AnelabError(f"{tensor.name}: Core ML needs fixed sizes, but its shape is {tensor.shape}")
        return tuple(int(size) for size in sizes if size is not None)


def sizes_of(graph: Graph, rows: Sequence[int]) -> list[Size]:
    """Every combination of batch size and length bucket."""
    return [Size(*pair) for pair in product(rows, graph.buckets or (None,))]


def fixed_size(graph: Graph) -> Size:
    """The one shape of model.mlpackage: a row, at the longest length."""
    return Size(1, max(graph.buckets) if graph.buckets else None)


Rung = tuple[str, Callable[[nn.Module, tuple[torch.Tensor, ...]], Any]]
"""A name, and what gives coremltools a module with example inputs."""


def _exported(module: nn.Module, example: tuple[torch.Tensor, ...]) -> Any:
    """No decompositions: layer_norm and attention stay single operators."""
    return torch.export.export(module, example).run_decompositions({})


def _decomposed(module: nn.Module, example: tuple[torch.Tensor, ...]) -> Any:
    return torch.export.export(module, example).run_decompositions()


def _traced(module: nn.Module, example: tuple[torch.Tensor, ...]) -> Any:
    """Attention's fast path is one fused operator that nothing can convert."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            return torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


LADDER: tuple[Rung, ...] = (
    ("torch.export without decompositions", _exported),
    ("torch.export with default decompositions", _decomposed),
    ("torch.jit.trace", _traced),
)


class Converter:
    """Converts one graph, always by the same rung of the ladder."""

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        graph: Graph,
        config: CoreMLConfig,
        metadata: Mapping[str, str],
    ) -> None:
        """`modules` by precision, "fp32" and "fp16": a module may take another form for 16 bits."""
        self.modules, self.graph, self.config = modules, graph, config
        self.metadata = dict(metadata)
        self._asked: set[str] = set()
        self._models: dict[tuple[str, Size, str], Any] = {}
        """coremltools' models by rung, size and precision: several packages are made of one."""

    def climb(self, probe: Arrays) -> Rung:
        """The first rung that converts every precision, and whose float32 package computes what the module does
        on the rows of `probe`. What 16 bits do to it is for parity to say.

        Raises AnelabError with every rung's reason if none does.
        """
        size, failures = fixed_size(self.graph), []
        if not len(next(iter(probe.values()), ())):
            raise AnelabError(f"{self.graph.name}: a conversion is checked with rows, but there are none")
        with tempfile.TemporaryDirectory() as scratch:
            for rung in LADDER:
                package = Path(scratch, "probe.mlpackage")
                try:
                    for precision in self.modules:
                        self.write(package.with_name(f"{precision}.mlpackage"), rung, size, precision)
                    error = self._error(package.with_name("fp32.mlpackage"), probe)
                except UsageError:
                    raise
                except Exception as reason:  # coremltools and torch raise whatever they like
                    failures.append(f"{rung[0]}: {_first_line(reason)}")
                    continue
                if error <= self.config.fp32_tolerance.max_absolute:
                    self.metadata["converted_by"] = rung[0]
                    return rung
                failures.append(f"{rung[0]}: converts, but is off by {error:.3g}")
        raise AnelabError(f"{self.graph.name}: no way to Core ML works:\n  " + "\n  ".join(failures))

    def _error(self, package: Path, probe: Arrays) -> float:
        """Largest error over the rows of `probe`, relative above one."""
        evaluator, worst = Evaluator(package, mode="fp32"), 0.0
        names = [tensor.name for tensor in self.graph.inputs]
        for row in range(len(probe[names[0]])):
            arrays = {name: probe[name][row : row + 1] for name in names}
            with torch.inference_mode():
                outputs = self.modules["fp32"](
                    *(torch.from_numpy(np.ascontiguousarray(arrays[name])) for name in names)
                )
            expected = outputs if isinstance(outputs, tuple) else (outputs,)
            found = evaluator(arrays)
            for tensor, values in zip(self.graph.outputs, expected, strict=True):
                errors = relative_errors(found[tensor.name], values.float().numpy(), smallest=1)
                worst = max(worst, float(errors.max()))
        return worst

    def write(self, path: Path, rung: Rung, size: Size, precision: str) -> Any:
        """A package of one function `main`; returns coremltools' model of it."""
        wanted = (rung[0], size, precision)
        if wanted not in self._models:
            with toolkit() as ct:
                self._asked.clear()
                with _little_to_collect():
                    model = self._converted(ct, rung, size, precision)
            if precision == "fp16":
                self._check_kept()
            self._models[wanted] = model
        write_package(self._models[wanted], path, self.metadata, self._sign)
        return self._models[wanted]

    def _converted(self, ct: Any, rung: Rung, size: Size, precision: str) -> Any:
        register_conversions()
        forget_names()
        example = tuple(example_of(tensor, size) for tensor in self.graph.inputs)
        inputs = [
            ct.TensorType(name=tensor.name, shape=size.shape(tensor), dtype=_core_type(tensor))
            for tensor in self.graph.inputs
        ]
        outputs = [ct.TensorType(name=tensor.name, dtype=_core_type(tensor)) for tensor in self.graph.outputs]
        model = ct.convert(
            rung[1](self.modules[precision].eval(), example),
            convert_to="mlprogram",
            inputs=inputs,
            outputs=outputs,
            compute_precision=self._precision(ct, precision),
            minimum_deployment_target=getattr(ct.target, self.config.target),
            skip_model_load=True,
        )
        return self._described(model)

    def _precision(self, ct: Any, precision: str) -> Any:
        """fp16 throughout but for the operators that the configuration keeps in float32."""
        if precision == "fp32":
            return ct.precision.FLOAT32
        kept = frozenset(self.config.fp32_operators)
        wide = frozenset(tensor.name for tensor in self.graph.inputs if tensor.float32)
        origins: dict[Any, frozenset[str]] = {}

        def in_half(operation: Any) -> bool:
            names = {operation.op_type, *_saved_names(operation.name)}
            self._asked |= names
            found = _origins(operation, origins)
            return not names & kept and not (found and found <= wide)

        return ct.transform.FP16ComputePrecision(in_half)

    def _check_kept(self) -> None:
        """Raises UsageError if the configuration keeps an operator that there is none of."""
        for name in self.config.fp32_operators:
            if name not in self._asked:
                near = difflib.get_close_matches(name, self._asked, n=3)
                hint = f"; did you mean {' or '.join(near)}?" if near else ""
                raise UsageError(f"export.coreml.fp32_operators: {self.graph.name} has no operator {name}{hint}")

    def _described(self, model: Any) -> Any:
        for tensor in self.graph.inputs:
            model.input_description[tensor.name] = tensor.meaning
        for tensor in self.graph.outputs:
            model.output_description[tensor.name] = tensor.meaning
        return model

    def _sign(self, metadata: Any) -> None:
        """Fill in the protobuf's own fields."""
        metadata.author = AUTHOR
        metadata.license = self.metadata.get("licence", "")
        metadata.versionString = self.metadata.get("input_key", "")[:12]
        metadata.shortDescription = f"{self.metadata.get('workload', 'model')}: {self.graph.name}"

    def write_buckets(self, path: Path, rung: Rung, sizes: Sequence[Size]) -> None:
        """One fp16 package with a function for every size; weights are stored once."""
        with tempfile.TemporaryDirectory() as scratch, toolkit() as ct:
            functions = ct.utils.MultiFunctionDescriptor()
            for size in sizes:
                one = Path(scratch, f"{size.function}.mlpackage")
                self.write(one, rung, size, "fp16")
                functions.add_function(str(one), "main", size.function)
            functions.default_function_name = sizes[0].function
            joined = Path(scratch, "joined.mlpackage")
            ct.utils.save_multifunction(functions, str(joined))
            write_package(ct.models.MLModel(str(joined), skip_model_load=True), path, self.metadata, self._sign)


@contextmanager
def _little_to_collect() -> Iterator[None]:
    """coremltools collects garbage in every conversion; what there was before (torch, MLflow) is not looked through."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _origins(operation: Any, seen: dict[Any, frozenset[str]]) -> frozenset[str]:
    """Names of the program's inputs that an operator's values come from; none for constants."""
    if operation not in seen:
        found: set[str] = set()
        for value in operation.inputs.values():
            for variable in value if isinstance(value, list | tuple) else (value,):
                found |= _origins(variable.op, seen) if variable.op is not None else {variable.name}
        seen[operation] = frozenset(found)
    return seen[operation]


def _saved_names(name: str) -> set[str]:
    """An operator's name while it is converted, and as a saved package has it."""
    plain = re.sub("[^a-zA-Z0-9_]", "_", name)
    return {name, plain, f"op_{plain}"}


def example_of(tensor: Tensor, size: Size) -> torch.Tensor:
    """Zeros of the tensor's type, to export with."""
    return torch.from_numpy(np.zeros(size.shape(tensor), tensor.dtype))


def _core_type(tensor: Tensor) -> Any:
    """Core ML's arrays are float32, float16 or int32."""
    if np.dtype(tensor.dtype).kind == "f":
        return np.float32
    if np.dtype(tensor.dtype).itemsize >= 4:
        return np.int32
    raise AnelabError(f"{tensor.name}: Core ML takes no {tensor.dtype} arrays; leave coreml out of the graph's formats")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
