"""Core ML itself, by the adapter, on each set of compute units."""

import sys
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from anelab.bench.arms import Arm, Call, Opened, Subject, UnavailableError
from anelab.bench.placement import Placement
from anelab.export.apple import COMPUTE_UNITS, NEEDS_MACOS, Apple, CoreMLRuntime, Loaded
from anelab.export.apple import Placement as Plan
from anelab.learning.base import Arrays, Split

NATIVE = "anelab.export.apple:native"


def adapter(name: str) -> Apple:
    module, _, function = name.partition(":")
    made: Apple = getattr(import_module(module), function)()
    return made


@dataclass(frozen=True)
class CoreML(Arm):
    """The package of a variant; batches of more than one row by the functions of the package of all sizes, which
    only the fp16 variant has."""

    kind: ClassVar[str] = "coreml"
    options: ClassVar[tuple[str, ...]] = ("cpu_and_ne", *(unit for unit in COMPUTE_UNITS if unit != "cpu_and_ne"))
    variant_default: ClassVar[str] = "fp16"

    @property
    def device(self) -> str:
        return "CPU" if self.option == "cpu_only" else "Core ML"

    @property
    def threads(self) -> int | None:
        return None

    @property
    def wants_ne(self) -> bool:
        return self.option == "cpu_and_ne"

    @property
    def tolerance_of(self) -> tuple[str, str] | None:
        return "coreml", f"coreml_{self.option}"

    @classmethod
    def variants(cls, subject: Subject) -> list[str]:
        return subject.variants("coreml")

    def files(self, subject: Subject) -> list[str]:
        return [subject.file("coreml", self.variant), *self._several(subject)]

    def _several(self, subject: Subject) -> list[str]:
        """The package of all batch sizes, if the variant has one."""
        return [
            name
            for name, entry in subject.manifest["files"].items()
            if (entry["format"], entry["variant"], entry["primary"]) == ("coreml", self.variant, False)
        ]

    def unavailable(self, subject: Subject) -> str | None:
        if subject.apple == NATIVE and sys.platform != "darwin":
            return NEEDS_MACOS.format(sys.platform.capitalize())
        return super().unavailable(subject)

    def load_libraries(self, subject: Subject) -> None:
        adapter(subject.apple)

    def open(self, subject: Subject, observe: bool = False) -> Opened:
        runtime = CoreMLRuntime(adapter(subject.apple), subject.cache / "coreml" / self.option)
        package = subject.folder / subject.file("coreml", self.variant)
        one = runtime.load(package, self.option)

        def prepare(rows: Split) -> Call:
            loaded = one if len(rows) == 1 else self._of_size(runtime, subject, len(rows))
            given = {name: _array(array) for name, array in rows.inputs[self.graph].items()}
            return partial(loaded.model.predict, given)

        def read(found: dict[str, Any]) -> Arrays:
            return {name: np.asarray(value) for name, value in found.items()}

        return Opened(prepare, read, one.load_ns, one.compile_ns, lambda: _placement(runtime, package, self.option))

    def _of_size(self, runtime: CoreMLRuntime, subject: Subject, rows: int) -> Loaded:
        from anelab.export.mlpackage import package_functions

        for file in self._several(subject):
            if f"rows_{rows}" in package_functions(subject.folder / file):
                return runtime.load(subject.folder / file, self.option, f"rows_{rows}")
        raise UnavailableError(f"no package of {self.variant} takes {rows} rows at once (export.coreml.buckets)")


def _array(array: Any) -> Any:
    return np.ascontiguousarray(array, np.float32 if array.dtype.kind == "f" else np.int32)


def _placement(runtime: CoreMLRuntime, package: Path, unit: str) -> Placement:
    """Core ML's plan. What it weighs is the estimated cost, or where it estimates none, the operators."""
    plan: Plan = runtime.placement(package, unit)
    share = plan.cost or plan.operator_share
    return Placement(
        source="compute_plan",
        operators=plan.operators,
        share=share,
        ne_share=share.get("NE"),
        switches=plan.switches,
        supported_not_preferred=plan.supported_not_preferred,
    )


ARMS = (CoreML,)
