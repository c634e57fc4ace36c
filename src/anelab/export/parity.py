"""Does an artifact compute what the trained module computes? On every row of the test set."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from anelab.errors import AnelabError
from anelab.export.comparison import (
    absolute_errors,
    check_outputs,
    differing_texts,
    differing_values,
    relative_errors,
    shared_values,
)
from anelab.learning.base import AnyWorkload, Arrays, Split
from anelab.learning.config import Tolerance, WorkloadConfig

WORST = 3
SMALLEST = 1e-3
"""Relative errors are relative to the value, or to this where the value is smaller."""


UNDEFINED = {"max_absolute": math.inf, "mean_absolute": math.inf, "max_relative": math.inf, "metric": math.nan}
"""What null in JSON stands for, which has no number that is not finite."""


@dataclass(frozen=True)
class Parity:
    """One artifact against the module. `agreement` is None where the workload makes no decision.

    By output, `not_finite` counts values that are NaN or infinite in one of the two and not the same in the other:
    their error is infinite. `shared_not_finite` counts those that are the same in both, which is no error.
    """

    rows: int
    max_absolute: float
    mean_absolute: float
    max_relative: float
    agreement: float | None
    metric: float
    metric_module: float
    worst_rows: list[int]
    not_finite: dict[str, int] = field(default_factory=dict)
    shared_not_finite: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        figures = asdict(self)
        return figures | {name: None for name in UNDEFINED if not math.isfinite(figures[name])}

    @classmethod
    def from_json(cls, figures: Mapping[str, Any]) -> "Parity":
        return cls(**{**figures, **{name: value for name, value in UNDEFINED.items() if figures[name] is None}})

    def breaches(self, tolerance: Tolerance, sign: int) -> list[str]:
        """One text for each limit that is broken. A figure that is no number breaks its limit."""
        loss = sign * (self.metric_module - self.metric)
        checks = [
            (self.max_absolute <= tolerance.max_absolute, "max_absolute", self.max_absolute, tolerance.max_absolute),
            (loss <= tolerance.max_metric_loss, "metric loss", loss, tolerance.max_metric_loss),
        ]
        if tolerance.max_relative is not None:
            limit = tolerance.max_relative
            checks.append((self.max_relative <= limit, "max_relative", self.max_relative, limit))
        broken = [f"{name} is {value:.6g}, allowed at most {limit:g}" for ok, name, value, limit in checks if not ok]
        least = tolerance.min_agreement
        if self.agreement is not None and not self.agreement >= least:
            broken.append(f"agreement is {self.agreement:.6g}, allowed at least {least:g}")
        return [*differing_texts(self.not_finite), *broken]

    def remarks(self) -> list[str]:
        """What is no breach, and should be known all the same."""
        return [
            f"{count} values of {name} are NaN or infinite, as the module's are"
            for name, count in self.shared_not_finite.items()
        ]


def compare(workload: AnyWorkload, config: WorkloadConfig, module: Arrays, artifact: Arrays, split: Split) -> Parity:
    """`module` and `artifact` are outputs by name, row by row, for the same split.

    Raises AnelabError if an output is missing or has another shape."""
    check_outputs(artifact, module, "artifact")
    absolute = _by_row({name: absolute_errors(artifact[name], module[name]) for name in module}, len(split))
    relative = _by_row({name: relative_errors(artifact[name], module[name], SMALLEST) for name in module}, len(split))
    ours, theirs = workload.rows(module, split), workload.rows(artifact, split)
    agreement = float((ours["decision"] == theirs["decision"]).mean()) if "decision" in ours else None
    differing = differing_values(artifact, module)
    return Parity(
        rows=len(split),
        max_absolute=float(absolute.max()),
        mean_absolute=float(absolute.mean()),
        max_relative=float(relative.max()),
        agreement=agreement,
        metric=_metric(workload, config, theirs, split, bool(differing)),
        metric_module=config.headline(workload.metrics(ours, split), "the test set"),
        worst_rows=np.argsort(-absolute.max(axis=1), kind="stable")[:WORST].tolist(),
        not_finite=differing,
        shared_not_finite=shared_values(artifact, module),
    )


def _by_row(errors: Mapping[str, np.ndarray[Any, Any]], rows: int) -> np.ndarray[Any, Any]:
    return np.concatenate([error.reshape(rows, -1) for error in errors.values()], axis=1)


def _metric(workload: AnyWorkload, config: WorkloadConfig, rows: Arrays, split: Split, broken: bool) -> float:
    """The headline metric; NaN if it is undefined because the artifact's outputs are `broken`."""
    try:
        return config.headline(workload.metrics(rows, split), "the test set")
    except (AnelabError, ValueError, IndexError):
        if broken:
            return math.nan
        raise


def worst_examples(name: str, parity: Parity, module: Arrays, artifact: Arrays) -> str:
    """A line for each output of the rows that are furthest off."""
    return "\n".join(
        f"  test row {row}, {output}: module {_short(module[output][row])}, {name} {_short(artifact[output][row])}"
        for row in parity.worst_rows
        for output in module
    )


def _short(values: np.ndarray[Any, Any]) -> str:
    return np.array2string(values.ravel()[:6], precision=5, separator=", ")
