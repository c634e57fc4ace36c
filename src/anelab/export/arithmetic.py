"""What the Neural Engine's arithmetic would change in a model's answers: predicted from published rules, not seen."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from anelab.export.mil.engine.coverage import coverage
from anelab.export.mil.predictor import mil_predictor
from anelab.export.parity import compare
from anelab.learning.base import AnyWorkload, Graph, Split
from anelab.learning.config import WorkloadConfig


@dataclass(frozen=True)
class PredictedArithmetic:
    """A package in mode ane against itself in mode fp16, on the test set. `decisions_changed` and `decisions` are None
    where the workload makes none; `operators` are kinds by what is known of them (`mil/engine/coverage.py`)."""

    rows: int
    decisions: int | None
    decisions_changed: int | None
    max_absolute: float
    metric: float
    metric_fp16: float
    operators: dict[str, list[str]]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "kind": "predicted"}

    @property
    def text(self) -> str:
        if self.decisions is None:
            changed = f"outputs change by at most {self.max_absolute:.3g}"
        else:
            changed = f"{self.decisions_changed} of {self.decisions} decisions change"
        return f"{changed}; metric {self.metric:.6g}, {self.metric_fp16:.6g} in 16 bits"


def predict_arithmetic(
    workload: AnyWorkload, config: WorkloadConfig, path: Path, graph: Graph, test: Split
) -> PredictedArithmetic:
    """`path` is a Core ML package of the graph. Raises AnelabError if it cannot be evaluated."""
    inputs, engine = test.inputs[graph.name], mil_predictor(path, "ane")
    halves, found = mil_predictor(path, "fp16")(inputs), engine(inputs)
    parity = compare(workload, config, halves, found, test)
    ours, theirs = workload.rows(halves, test).get("decision"), workload.rows(found, test).get("decision")
    changed = None if ours is None or theirs is None else int((ours != theirs).sum())
    return PredictedArithmetic(
        rows=len(test),
        decisions=None if ours is None else ours.size,
        decisions_changed=changed,
        max_absolute=parity.max_absolute,
        metric=parity.metric,
        metric_fp16=parity.metric_module,
        operators=coverage(engine.programs),
    )
