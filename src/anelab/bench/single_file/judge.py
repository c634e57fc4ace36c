"""Whether an arm answers as the file's own reference does."""

from dataclasses import dataclass

import numpy as np

from anelab.bench.arms.contract import Arm
from anelab.bench.results.schema import Gate
from anelab.errors import AnelabError
from anelab.export.comparison import absolute_errors, check_outputs, differing_texts, differing_values
from anelab.learning.base import Array, Arrays

MOST_ERROR, MOST_ERROR_HALF = 1e-3, 5e-2
"""Of 32-bit and of 16-bit or quantised arms, relative to the largest value of an output, or to 1."""


@dataclass(frozen=True)
class ReferenceJudge:
    """`expected` are outputs by name, [calls, ...], that `reference` computed."""

    expected: Arrays
    reference: str

    def parity(self, arm: Arm, outputs: Arrays, batch: int) -> Gate:
        try:
            check_outputs(outputs, self.expected, arm.name)
        except AnelabError as misfit:
            return Gate(name="parity", passed=False, detail=str(misfit))
        if differing := differing_texts(differing_values(outputs, self.expected)):
            return Gate(name="parity", passed=False, detail="; ".join(differing))
        error = max((_error(outputs[name], wanted) for name, wanted in self.expected.items()), default=0.0)
        allowed = MOST_ERROR if arm.variant == "fp32" and "coreml" not in arm.kind else MOST_ERROR_HALF
        detail = f"largest error {error:.3g} of the largest value, beside {self.reference} (allowed {allowed:g})"
        return Gate(name="parity", passed=bool(error <= allowed), detail=detail)

    def quality(self, arm: Arm, outputs: Arrays) -> float | None:
        """Nobody knows the right answers."""
        return None


def _error(found: Array, wanted: Array) -> float:
    if not wanted.size:
        return 0.0
    return float(absolute_errors(found, wanted).max()) / max(1.0, float(np.abs(np.nan_to_num(wanted)).max()))
