"""A Mac's result and a Linux machine's, made up: the Neural Engine wins from 64 rows on."""

from dataclasses import replace as changed
from typing import Any

from anelab.bench.arms.placement import Placement
from anelab.bench.results.samples import Slice
from anelab.bench.results.schema import (
    ArmResult,
    Bound,
    Conditions,
    Ending,
    Energy,
    Estimate,
    Failure,
    Gate,
    Memory,
    Opening,
    Report,
)
from anelab.bench.results.subject import Subject
from anelab.tracking.reading import GateRow, RunRow, VersionRow
from tests.bench.made import SHA, arm, host, timed

CELLS = ("single", "batch_8", "batch_64")
ON_NE = Placement("compute_plan", {"NE": 9, "CPU": 1}, {"NE": 0.9, "CPU": 0.1}, 0.9, None, 2, 0)
ON_CPU = Placement("compute_plan", {"NE": 0, "CPU": 10}, {"CPU": 1.0}, 0.0, None, 0, 4)
BY_ORT = Placement("ort_assignment", {"CPU": 10}, {"CPU": 1.0}, 0.0, 1)


NOT_ASKED = Gate(name="parity", passed=None, detail="it answers by a rule of its own")


def times(single: float, batch_8: float, batch_64: float) -> dict[str, float]:
    return dict(zip(CELLS, (single, batch_8, batch_64), strict=True))


def full(kind: str, placement: Placement, wants_ne: bool = False, **more: Any) -> ArmResult:
    """With all that is recorded apart from samples."""
    return arm(wants_ne, kind=kind).model_copy(
        update={
            "placements": dict.fromkeys((1, 8, 64), placement),
            "gates": [Gate(name="parity", passed=True, detail="largest error 1e-4")],
            "quality": 0.97,
            "openings": [
                Opening(block=None, first=True, compile_ns=80_000_000, load_ns=9_000_000, first_predict_ns=400_000),
                Opening(block=0, first=False, compile_ns=None, load_ns=3_000_000, first_predict_ns=300_000),
            ],
            "memory": Memory(before_bytes=50_000_000, peak_bytes=90_000_000),
            **more,
        }
    )


def mac(sha256: str = SHA, model: str = "Mac16,10") -> tuple[Report, list[Slice]]:
    """`sha256`: of the package that it measured."""
    files = {"model.mlpackage": sha256}
    machine = host("a" * 16).model_copy(
        update={"system": "Darwin", "model": model, "processor": "Apple M4", "neural_engine_cores": 16}
    )
    calm: dict[str, Any] = {
        "load_average": 0.1,
        "other_cpu_cores": 0.0,
        "thermal": "nominal",
        "power": "mains",
        "low_power": False,
    }
    energy = Energy(source="zeus", mj_per_inference=0.42, inferences=2000, seconds=3.0)
    return timed(
        {
            "ort-cpu:fp32": times(20_000, 90_000, 700_000),
            "coreml/cpu_only:fp16": times(60_000, 110_000, 600_000),
            "coreml/cpu_and_ne:fp16": times(120_000, 121_000, 150_000),
        },
        {
            "ort-cpu:fp32": full("ort-cpu", BY_ORT, variant="fp32"),
            "coreml/cpu_only:fp16": full("coreml", ON_CPU, files=files),
            "coreml/cpu_and_ne:fp16": full("coreml", ON_NE, True, device="Core ML", files=files, energy=energy),
        },
        host=machine,
        conditions=[Conditions(block=block, **calm) for block in range(10)],
        subject=Subject(workload="mnist", input_key=SHA, data_digest="", files=files),
    )


def linux() -> tuple[Report, list[Slice]]:
    lost = Failure(
        arm="torch-compile:fp32", block=3, ending=Ending(kind="hang", doing="slice", detail="no answer in 10 s")
    )
    estimate = Estimate(
        file="model.mlpackage", rows=1, macs=1_000_000, bytes_moved=2_000_000, operators=12,
        cpu_ms=Bound(low=0.02, high=0.2), neural_engine_ms=Bound(low=0.1, high=0.9), winner="CPU", worth_a_test=False,
        advice="not worth it", sources=["somebody"],
    )  # fmt: skip
    return timed(
        {"ort-cpu:fp32": times(30_000, 100_000, 800_000), "classical:fp32": times(5_000, 6_000, 20_000)},
        {
            "ort-cpu:fp32": full("ort-cpu", BY_ORT, variant="fp32"),
            "classical:fp32": full("classical", Placement("none"), gates=[NOT_ASKED]),
            "coreml/all:fp16": arm(True, available=False, kind="coreml"),
        },
        seed=1,
        failures=[lost],
        estimates=[estimate],
    )


def version(number: int = 2, **more: Any) -> VersionRow:
    given = {
        "model": "mnist-onnx",
        "workload": "mnist",
        "version": number,
        "variant": "fp32",
        "aliases": ("champion",),
        "sha256": SHA,
        "metric": "max:accuracy",
        "metrics": {"accuracy": 0.97, "nll": 0.1},
        "gates": (
            GateRow("quality", "pass", "accuracy is 0.97, at least 0.9 is asked", {"value": 0.97}),
            GateRow("size", "pass", "the model has 2,000 bytes", {"size_bytes": 2000.0}),
        ),
        "run_id": "r1",
        "input_key": "k",
        "created_ms": 1_763_600_000_000,
        "results": {"0123": "b1"},
    }
    return VersionRow(**{**given, **more})


def run(stage: str = "train", number: int = 1, **more: Any) -> RunRow:
    made = RunRow(
        id=f"{stage}{number}",
        workload="mnist",
        stage=stage,
        key=f"key{number}" * 4,
        started_ms=1_763_600_000_000 + number * 60_000,
        ended_ms=1_763_600_030_000 + number * 60_000,
        failed=False,
        metrics={},
        params={"training.max_epochs": "3"},
        tags={
            "mlflow.source.git.commit": f"{number:040x}",
            "anelab.host": "f" * 16,
            "anelab.packages": '{"torch": "2.13.0"}',
        },
        datasets={"mnist": "d" * 32},
    )
    return changed(made, **more)
