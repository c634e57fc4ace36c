"""Core ML itself, on macOS: all that is called of it is the adapter `Apple`; the rest runs anywhere.

Written against the documented API of coremltools 9 (with its documentation's mistakes corrected in
place) and tested with a fake of the adapter: no Mac has run it for this project yet.
"""

import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from anelab.errors import AnelabError, UsageError
from anelab.export.features import check_arrays_only
from anelab.export.mlpackage import default_function, package_content, package_functions
from anelab.export.slabs import Bucket, in_slabs
from anelab.export.toolkit import toolkit
from anelab.files import replacing, sha256_text
from anelab.learning.base import Array, Arrays, Predictor

COMPUTE_UNITS = ("cpu_only", "cpu_and_ne", "cpu_and_gpu", "all")
"""coremltools' ComputeUnit, lower case. A permission: where operators ran is another question."""
DEVICES = ("NE", "GPU", "CPU")
NEEDS_MACOS = "Core ML runs on macOS only, and this is {}; `anelab model eval` evaluates a package on any host"


@dataclass(frozen=True)
class Device:
    """A compute device of this Mac; `cores` are known of the Neural Engine only."""

    kind: str
    cores: int | None = None


@dataclass(frozen=True)
class PlannedOperator:
    """What Core ML plans for one operator: names of DEVICES. `cost` is its estimated share of the model."""

    kind: str
    preferred: str | None
    supported: tuple[str, ...]
    cost: float | None


class Model(Protocol):
    """A loaded model. `predict` takes and gives named arrays."""

    def predict(self, data: dict[str, Any]) -> dict[str, Any]: ...


class Apple(Protocol):
    """The adapter: the whole of what needs macOS."""

    def os_build(self) -> str:
        """Such as 24A335: compiled models belong to it."""

    def devices(self) -> list[Device]: ...

    def compile(self, package: Path, compiled: Path) -> None:
        """Write the .mlmodelc of a .mlpackage."""

    def load(self, compiled: Path, unit: str, function: str | None) -> Model: ...

    def plan(self, compiled: Path, unit: str, function: str | None) -> list[PlannedOperator]: ...


def native() -> Apple:
    """This Mac's Core ML. Raises AnelabError elsewhere, or if coremltools' native part is missing."""
    if sys.platform != "darwin":
        raise AnelabError(NEEDS_MACOS.format(platform.system()))
    with toolkit():
        try:
            import coremltools.libcoremlpython  # noqa: F401
        except ImportError as error:
            raise AnelabError(
                f"the compiled part of coremltools is missing on this Mac ({error}); use Python 3.11 to 3.13 on arm64, "
                "and install what requirements.lock names; `anelab doctor` shows more"
            ) from None
    return CoreMLTools()


class CoreMLTools:
    """The adapter by coremltools 9."""

    def os_build(self) -> str:
        done = subprocess.run(["/usr/bin/sw_vers", "-buildVersion"], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def devices(self) -> list[Device]:
        with toolkit() as ct:
            found = ct.models.compute_device.MLComputeDevice.get_all_compute_devices()
        return [Device(_kind(device), getattr(device, "total_core_count", None)) for device in found]

    def compile(self, package: Path, compiled: Path) -> None:
        with toolkit() as ct:
            ct.models.utils.compile_model(str(package), str(compiled))

    def load(self, compiled: Path, unit: str, function: str | None) -> Model:
        with toolkit() as ct:
            model: Model = ct.models.CompiledMLModel(str(compiled), _unit(ct, unit), function)
        return model

    def plan(self, compiled: Path, unit: str, function: str | None) -> list[PlannedOperator]:
        """From macOS 14.4 on. The functions are at `program.functions`; the documentation says otherwise."""
        with toolkit() as ct:
            plan = ct.models.compute_plan.MLComputePlan.load_from_path(str(compiled), _unit(ct, unit))
        program = plan.model_structure.program
        if program is None:
            raise AnelabError(f"{compiled}: is not an ML program, so Core ML gives no plan of its operators")
        name = function or next(iter(program.functions))
        return [_planned(plan, operation) for operation in _operations(program.functions[name].block)]


def check_unit(unit: str) -> None:
    """Raises UsageError if it is none of COMPUTE_UNITS."""
    if unit not in COMPUTE_UNITS:
        raise UsageError(f"compute unit must be one of {', '.join(COMPUTE_UNITS)} but got {unit}")


def _unit(ct: Any, unit: str) -> Any:
    return getattr(ct.ComputeUnit, unit.upper())


def _kind(device: Any) -> str:
    """By the class's name, so that a proxy and a fake need not be the same class."""
    name = type(device).__name__
    return "NE" if "NeuralEngine" in name else "GPU" if "GPU" in name else "CPU"


def _operations(block: Any) -> Iterator[Any]:
    for operation in block.operations:
        yield operation
        for inner in operation.blocks:
            yield from _operations(inner)


def _planned(plan: Any, operation: Any) -> PlannedOperator:
    usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
    cost = plan.get_estimated_cost_for_mlprogram_operation(operation)
    return PlannedOperator(
        kind=operation.operator_name,
        preferred=_kind(usage.preferred_compute_device) if usage else None,
        supported=tuple(_kind(device) for device in usage.supported_compute_devices) if usage else (),
        cost=cost.weight if cost else None,
    )


@dataclass(frozen=True)
class Placement:
    """Where Core ML plans to run a function's operators. A plan is no trace: an operator may still move at
    load. Constants, which run nowhere, are left out."""

    operators: dict[str, int]
    cost: dict[str, float]
    """Estimated share of the whole, by device; empty where Core ML estimates none."""
    switches: int
    supported_not_preferred: int
    """Operators that the Neural Engine could run, planned elsewhere."""
    source: str = "compute_plan"
    devices: tuple[tuple[str, str], ...] = ()
    """Kind and planned device of every operator, in order."""

    @property
    def operator_share(self) -> dict[str, float]:
        total = sum(self.operators.values())
        return {device: count / total for device, count in self.operators.items()} if total else {}


def placement_of(plan: Sequence[PlannedOperator]) -> Placement:
    placed = [one for one in plan if one.preferred is not None]
    order = [one.preferred for one in placed]
    operators = [one for one in placed if one.cost is not None]
    whole = sum(one.cost or 0 for one in operators)
    return Placement(
        operators={device: order.count(device) for device in DEVICES},
        cost={device: _share(operators, device, whole) for device in DEVICES} if whole else {},
        switches=sum(before != after for before, after in pairwise(order)),
        supported_not_preferred=sum("NE" in one.supported and one.preferred != "NE" for one in placed),
        devices=tuple((one.kind, str(one.preferred)) for one in placed),
    )


def _share(operators: Sequence[PlannedOperator], device: str, whole: float) -> float:
    return sum(one.cost or 0 for one in operators if one.preferred == device) / whole


@dataclass(frozen=True)
class Loaded:
    """A model in memory, and what it took. `compile_ns` is None if the compiled model was in the cache."""

    model: Model
    compiled: Path
    unit: str
    compile_ns: int | None
    load_ns: int
    buffers: dict[str, Array] = field(default_factory=dict, repr=False)

    def predict(self, arrays: Arrays) -> Arrays:
        """Inputs go in through buffers that live as long as the model: coremltools rewrites 16-bit inputs in the
        caller's dictionary, and lets go of arrays on a thread of its own up to a second after the call, which
        crashes if that was their last owner (coremltools#2827)."""
        for name, array in arrays.items():
            kind = np.float32 if np.asarray(array).dtype.kind == "f" else np.int32
            if name not in self.buffers or self.buffers[name].shape != np.shape(array):
                self.buffers[name] = np.empty(np.shape(array), kind)
            np.copyto(self.buffers[name], array, casting="unsafe")
        given = {name: self.buffers[name] for name in arrays}
        return {name: np.array(value) for name, value in self.model.predict(given).items()}


class CoreMLRuntime:
    """Loads packages through a fixed compiled path each: Core ML keeps what it specialises by that path, so
    a temporary one would be specialised anew in every process."""

    def __init__(self, apple: Apple, cache: Path | None = None) -> None:
        self.apple = apple
        self.cache = cache or Path.home() / "Library" / "Caches" / "anelab" / "coreml"

    def compiled(self, package: Path) -> tuple[Path, int | None]:
        """The package's .mlmodelc, and how long compiling took if it was not there. The path follows from what
        the package computes and the system's build, so neither a new model nor an update finds an old one."""
        key = sha256_text(f"{package_content(package)} {self.apple.os_build()}")
        target = self.cache / key / "model.mlmodelc"
        if target.is_dir():
            return target, None
        started = time.perf_counter_ns()
        with replacing(target) as draft:
            try:
                self.apple.compile(package, draft)
            except Exception as error:  # Core ML's errors arrive as whatever pybind makes of them
                raise AnelabError(f"{package}: Core ML cannot compile it: {error}") from None
        return target, time.perf_counter_ns() - started

    def load(self, package: Path, unit: str, function: str | None = None) -> Loaded:
        check_unit(unit)
        compiled, compile_ns = self.compiled(package)
        started = time.perf_counter_ns()
        try:
            model = self.apple.load(compiled, unit, function)
        except Exception as error:
            raise AnelabError(f"{package}: Core ML cannot load it for {unit}: {error}") from None
        return Loaded(model, compiled, unit, compile_ns, time.perf_counter_ns() - started)

    def placement(self, package: Path, unit: str, function: str | None = None) -> Placement:
        """What Core ML plans; of the package's default function if none is named."""
        check_unit(unit)
        compiled, _ = self.compiled(package)
        try:
            plan = self.apple.plan(compiled, unit, function or default_function(package))
        except Exception as error:
            raise AnelabError(
                f"{package}: Core ML gives no compute plan (this needs macOS 14.4 or later): {error}"
            ) from None
        return placement_of(plan)

    def predictor(self, package: Path, unit: str) -> Predictor:
        """All functions of the package, by the rows they take. Raises AnelabError if they take or give anything but
        arrays."""
        functions = package_functions(package)
        check_arrays_only(functions, str(package))
        several = len(functions) > 1
        buckets = [
            Bucket(
                self.load(package, unit, name if several else None).predict,
                {item["name"]: tuple(item["shape"]) for item in ports["inputs"]},
            )
            for name, ports in functions.items()
        ]
        return in_slabs(buckets, f"{package} on {unit}")
