"""Whether an arm's answers for the example rows are the trained module's, and how good they are."""

import math
from dataclasses import dataclass

import numpy as np

from anelab.bench.arms.contract import Arm
from anelab.bench.results.schema import Gate
from anelab.errors import AnelabError
from anelab.export.examples import Examples
from anelab.learning.base import AnyWorkload, Array, Arrays
from anelab.learning.config import WorkloadConfig


@dataclass(frozen=True)
class WorkloadJudge:
    workload: AnyWorkload
    config: WorkloadConfig
    examples: Examples

    def parity(self, arm: Arm, outputs: Arrays, batch: int) -> Gate:
        """Largest error and agreement of decisions, by the tolerance that the file's export was held to."""
        promise = arm.tolerance_of
        if promise is None:
            return Gate(name="parity", passed=None, detail="another answer to the question, not the module's")
        format, executor = promise
        tolerance = self.config.export.tolerance(format, arm.variant, executor)
        expected = self.examples.expected[arm.graph]
        if missing := sorted(expected.keys() - outputs.keys()):
            return Gate(name="parity", passed=False, detail=f"it gave no {', '.join(missing)}")
        error = max(_error(outputs[name], wanted) for name, wanted in expected.items())
        if math.isinf(error):
            return Gate(name="parity", passed=False, detail="it gave numbers that are none, or in another shape")
        agreement = self._agreement(expected, outputs)
        passed = error <= tolerance.max_absolute and agreement >= tolerance.min_agreement
        detail = (
            f"{batch} rows a call: largest error {error:.3g} (allowed {tolerance.max_absolute:g}), "
            f"agreement {agreement:.4g} (at least {tolerance.min_agreement:g})"
        )
        return Gate(name="parity", passed=passed, detail=detail)

    def quality(self, arm: Arm, outputs: Arrays) -> float | None:
        """The headline metric on the example rows; None where they are too few, or no whole test set, for it."""
        if not self.examples.whole:
            return None
        split = self.examples.split
        rows = outputs if arm.tolerance_of is None else self.workload.rows(outputs, split)
        try:
            return self.config.headline(self.workload.metrics(rows, split), "the example rows")
        except AnelabError:
            return None

    def _agreement(self, expected: Arrays, outputs: Arrays) -> float:
        """1 where the workload makes no decision, or none by these rows alone."""
        if not self.examples.whole:
            return 1.0
        wanted, found = (self.workload.rows(each, self.examples.split) for each in (expected, outputs))
        return float((wanted["decision"] == found["decision"]).mean()) if "decision" in wanted else 1.0


def _error(found: Array, wanted: Array) -> float:
    """Infinite if the shapes differ or a number is not one."""
    if found.shape != wanted.shape:
        return math.inf
    error = float(np.abs(found - wanted).max())
    return error if math.isfinite(error) else math.inf
