"""Core ML itself, by the adapter, on each set of compute units."""

import sys
import time
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from anelab.bench.arms.contract import Arm, Call, Opened, Subject, UnavailableError
from anelab.bench.arms.placement import Placement
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
    asks_for: ClassVar[str] = "Core ML"
    options: ClassVar[tuple[str, ...]] = ("cpu_and_ne", *(unit for unit in COMPUTE_UNITS if unit != "cpu_and_ne"))
    variant_default: ClassVar[str] = "fp16"

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
        one = runtime.load(subject.folder / subject.file("coreml", self.variant), self.option)
        loaded: dict[int, Loaded] = {1: one}

        def prepare(rows: Split) -> Call:
            if len(rows) not in loaded:
                loaded[len(rows)] = runtime.load(*self._of_size(subject, len(rows)))
            given = {name: _array(array) for name, array in subject.feed(rows, self.graph).items()}
            return partial(loaded[len(rows)].model.predict, given)

        def read(found: dict[str, Any]) -> Arrays:
            return {name: np.asarray(value) for name, value in found.items()}

        def placement(rows: int) -> Placement:
            return _placement(runtime.placement(*self._of_size(subject, rows)))

        return Opened(prepare, read, one.load_ns, one.compile_ns, placement)

    def _of_size(self, subject: Subject, rows: int) -> tuple[Path, str, str | None]:
        """Package, compute units and function of a batch size."""
        from anelab.export.mlpackage import package_functions

        if rows == 1:
            return subject.folder / subject.file("coreml", self.variant), self.option, None
        for file in self._several(subject):
            if f"rows_{rows}" in package_functions(subject.folder / file):
                return subject.folder / file, self.option, f"rows_{rows}"
        raise UnavailableError(f"no package of {self.variant} takes {rows} rows at once (export.coreml.buckets)")


def _array(array: Any) -> Any:
    return np.ascontiguousarray(array, np.float32 if array.dtype.kind == "f" else np.int32)


def _placement(plan: Plan) -> Placement:
    """Core ML's plan. What it weighs is the estimated cost, or where it estimates none, the operators."""
    share = plan.cost or plan.operator_share
    return Placement(
        source="compute_plan",
        operators=plan.operators,
        share=share,
        ne_share=share.get("NE"),
        switches=plan.switches,
        supported_not_preferred=plan.supported_not_preferred,
    )


@dataclass(frozen=True)
class CoreMLEvaluator(Arm):
    """anelab's evaluator of ML programs, on any host: it shows that a package is right, and is never timed."""

    kind: ClassVar[str] = "coreml-evaluator"
    variant_default: ClassVar[str] = "fp16"

    @property
    def timeable(self) -> bool:
        return False

    @property
    def tolerance_of(self) -> tuple[str, str] | None:
        return "coreml", "evaluator_fp16"

    @classmethod
    def variants(cls, subject: Subject) -> list[str]:
        return subject.variants("coreml")

    def files(self, subject: Subject) -> list[str]:
        return [subject.file("coreml", self.variant)]

    def load_libraries(self, subject: Subject) -> None:
        import anelab.export.mil.predictor  # noqa: F401

    def open(self, subject: Subject, observe: bool = False) -> Opened:
        from anelab.export.mil.predictor import mil_predictor

        started = time.perf_counter_ns()
        predict = mil_predictor(subject.folder / subject.file("coreml", self.variant))
        load_ns = time.perf_counter_ns() - started
        return Opened(lambda rows: partial(predict, subject.feed(rows, self.graph)), lambda found: dict(found), load_ns)


ARMS = (CoreML, CoreMLEvaluator)
