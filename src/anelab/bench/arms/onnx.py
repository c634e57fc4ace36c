"""Arms of ONNX Runtime, an execution provider each. None may fall back to another silently."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from anelab.bench.arms.contract import Arm, Call, Opened, Subject
from anelab.bench.arms.placement import UNAVAILABLE, Placement
from anelab.errors import AnelabError
from anelab.export.apple import COMPUTE_UNITS
from anelab.learning.base import Arrays, Split

UNITS = {"all": "ALL", "cpu_only": "CPUOnly", "cpu_and_ne": "CPUAndNeuralEngine", "cpu_and_gpu": "CPUAndGPU"}
"""ONNX Runtime's names of Core ML's compute units."""
UNITS_NE_FIRST = ("cpu_and_ne", *(unit for unit in COMPUTE_UNITS if unit != "cpu_and_ne"))
OLDER = "_nn"


@dataclass(frozen=True)
class OnnxArm(Arm):
    provider: ClassVar[str]
    fixed_rows: ClassVar[bool] = False
    """Whether the provider wants a session of its own for every batch size."""

    @classmethod
    def variants(cls, subject: Subject) -> list[str]:
        return subject.variants("onnx")

    def provider_options(self, subject: Subject, file: str) -> Mapping[str, str]:
        return {}

    def files(self, subject: Subject) -> list[str]:
        return [subject.file("onnx", self.variant)]

    def unavailable(self, subject: Subject) -> str | None:
        from anelab.export.runtime import providers

        if self.provider not in providers():
            return f"this build of ONNX Runtime has no {self.provider}; it has {', '.join(providers())}"
        return super().unavailable(subject)

    def load_libraries(self, subject: Subject) -> None:
        import anelab.export.runtime  # noqa: F401

    def open(self, subject: Subject, observe: bool = False) -> Opened:
        from anelab.export.runtime import SessionPlan, open_session

        (file,) = self.files(subject)
        options = self.provider_options(subject, file)
        sessions: dict[int | None, Any] = {}

        def session_for(rows: int) -> Any:
            fixed = rows if self.fixed_rows else None
            if fixed not in sessions:
                plan = SessionPlan(self.provider, options, self.threads or 1, fixed, observe)
                sessions[fixed] = open_session(subject.folder / file, plan)
            return sessions[fixed]

        started = time.perf_counter_ns()
        first = session_for(1)
        load_ns = time.perf_counter_ns() - started
        inputs = [item.name for item in first.get_inputs()]
        outputs = [item.name for item in first.get_outputs()]

        def prepare(rows: Split) -> Call:
            given = subject.feed(rows, self.graph)
            feed = {name: np.ascontiguousarray(given[name]) for name in inputs}
            return partial(session_for(len(rows)).run, outputs, feed)

        def read(found: list[Any]) -> Arrays:
            return dict(zip(outputs, found, strict=True))

        def placement(rows: int) -> Placement:
            return _placement(session_for(rows), self.provider, observe)

        return Opened(prepare, read, load_ns, placement=placement)


def _placement(session: Any, provider: str, observed: bool) -> Placement:
    """By execution provider. Which device Core ML uses inside its part, ONNX Runtime does not tell."""
    from anelab.export.runtime import CPU, assignment_of

    if not observed:
        return UNAVAILABLE
    found = assignment_of(session)
    if provider not in found.operators:
        raise AnelabError(f"ONNX Runtime fell back: none of the model's operators went to {provider}")
    on_cpu = set(found.operators) == {CPU}
    total = sum(found.operators.values())
    return Placement(
        source="ort_assignment",
        operators=found.operators,
        share={"NE": 0.0, "GPU": 0.0, "CPU": 1.0}
        if on_cpu
        else {name: count / total for name, count in found.operators.items()},
        ne_share=0.0 if on_cpu else None,
        partitions=found.partitions,
    )


@dataclass(frozen=True)
class OrtCpu(OnnxArm):
    """ONNX Runtime on the CPU, on as many threads as the option says; `raw` is the graph that takes bytes."""

    kind: ClassVar[str] = "ort-cpu"
    options: ClassVar[tuple[str, ...]] = ("threads",)
    provider: ClassVar[str] = "CPUExecutionProvider"

    @classmethod
    def variants(cls, subject: Subject) -> list[str]:
        raw = any(entry["graph"] == "raw" for entry in subject.manifest["files"].values())
        return [*subject.variants("onnx"), *(["raw"] if raw else [])]


@dataclass(frozen=True)
class OrtCoreML(OnnxArm):
    """ONNX Runtime's Core ML provider: fixed shapes, and a cache for every model, which it never invalidates. An
    option that ends in _nn is of the older model format, NeuralNetwork, which the newer one is not always as right as
    (onnxruntime#32569)."""

    kind: ClassVar[str] = "ort-coreml"
    options: ClassVar[tuple[str, ...]] = (*UNITS_NE_FIRST, *(f"{unit}{OLDER}" for unit in UNITS_NE_FIRST))
    asks_for: ClassVar[str] = "Core ML"
    provider: ClassVar[str] = "CoreMLExecutionProvider"
    fixed_rows: ClassVar[bool] = True

    def provider_options(self, subject: Subject, file: str) -> Mapping[str, str]:
        cache = subject.cache / "ort-coreml" / self.option / subject.manifest["files"][file]["sha256"]
        cache.mkdir(parents=True, exist_ok=True)
        return {
            "ModelFormat": "NeuralNetwork" if self.option.endswith(OLDER) else "MLProgram",
            "MLComputeUnits": UNITS[self.option.removesuffix(OLDER)],
            "RequireStaticInputShapes": "1",
            "ModelCacheDirectory": str(cache),
        }

    def unavailable(self, subject: Subject) -> str | None:
        if sys.platform != "darwin":
            return "ONNX Runtime has its Core ML provider on macOS only"
        return super().unavailable(subject)


@dataclass(frozen=True)
class OrtCuda(OnnxArm):
    kind: ClassVar[str] = "ort-cuda"
    asks_for: ClassVar[str] = "GPU"
    provider: ClassVar[str] = "CUDAExecutionProvider"


ARMS = (OrtCpu, OrtCoreML, OrtCuda)
