"""Whether an arm's answers for the example rows are the trained module's, and how good they are."""

from dataclasses import dataclass

from anelab.bench.arms.contract import Arm
from anelab.bench.results.schema import Gate
from anelab.errors import AnelabError
from anelab.export.comparison import absolute_errors, differing_texts, differing_values
from anelab.export.examples import Examples
from anelab.learning.base import AnyWorkload, Arrays
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
        if misfit := _misfit(outputs, expected):
            return Gate(name="parity", passed=False, detail=misfit)
        error = max(float(absolute_errors(outputs[name], wanted).max()) for name, wanted in expected.items())
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


def _misfit(outputs: Arrays, expected: Arrays) -> str:
    """What forbids a comparison: another shape, or values that are NaN or infinite unlike the module's."""
    for name, wanted in expected.items():
        if outputs[name].shape != wanted.shape:
            return f"it gave {name} in the shape {outputs[name].shape}, the module in {wanted.shape}"
    return "; ".join(differing_texts(differing_values(outputs, expected)))
