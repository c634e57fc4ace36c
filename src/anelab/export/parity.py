"""Does an artifact compute what the trained module computes? On every row of the test set."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from anelab.learning.base import AnyWorkload, Arrays, Split
from anelab.learning.config import Tolerance, WorkloadConfig

WORST = 3
SMALLEST = 1e-3
"""Relative errors are relative to the value, or to this where the value is smaller."""


@dataclass(frozen=True)
class Parity:
    """One artifact against the module. `agreement` is None where the workload makes no decision."""

    rows: int
    max_absolute: float
    mean_absolute: float
    max_relative: float
    agreement: float | None
    metric: float
    metric_module: float
    worst_rows: list[int]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def breaches(self, tolerance: Tolerance, sign: int) -> list[str]:
        """One text for each limit that is broken."""
        loss = sign * (self.metric_module - self.metric)
        checks = [
            (
                self.max_absolute <= tolerance.max_absolute,
                "max_absolute",
                self.max_absolute,
                "at most",
                tolerance.max_absolute,
            ),
            (loss <= tolerance.max_metric_loss, "metric loss", loss, "at most", tolerance.max_metric_loss),
        ]
        if tolerance.max_relative is not None:
            limit = tolerance.max_relative
            checks.append((self.max_relative <= limit, "max_relative", self.max_relative, "at most", limit))
        if self.agreement is not None:
            least = tolerance.min_agreement
            checks.append((self.agreement >= least, "agreement", self.agreement, "at least", least))
        return [f"{name} is {value:.6g}, allowed {how} {limit:g}" for ok, name, value, how, limit in checks if not ok]


def compare(workload: AnyWorkload, config: WorkloadConfig, module: Arrays, artifact: Arrays, split: Split) -> Parity:
    """`module` and `artifact` are outputs by name, row by row, for the same split."""
    errors = [np.abs(artifact[name] - module[name]).reshape(len(split), -1) for name in module]
    scales = [np.maximum(np.abs(module[name]), SMALLEST).reshape(len(split), -1) for name in module]
    absolute = np.concatenate(errors, axis=1)
    relative = absolute / np.concatenate(scales, axis=1)
    ours, theirs = workload.rows(module, split), workload.rows(artifact, split)
    agreement = float((ours["decision"] == theirs["decision"]).mean()) if "decision" in ours else None
    return Parity(
        rows=len(split),
        max_absolute=float(absolute.max()),
        mean_absolute=float(absolute.mean()),
        max_relative=float(relative.max()),
        agreement=agreement,
        metric=config.headline(workload.metrics(theirs, split), "the test set"),
        metric_module=config.headline(workload.metrics(ours, split), "the test set"),
        worst_rows=np.argsort(-absolute.max(axis=1), kind="stable")[:WORST].tolist(),
    )


def worst_examples(name: str, parity: Parity, module: Arrays, artifact: Arrays) -> str:
    """A line for each output of the rows that are furthest off."""
    return "\n".join(
        f"  test row {row}, {output}: module {_short(module[output][row])}, {name} {_short(artifact[output][row])}"
        for row in parity.worst_rows
        for output in module
    )


def _short(values: np.ndarray[Any, Any]) -> str:
    return np.array2string(values.ravel()[:6], precision=5, separator=", ")
