"""A package as a predictor of any number of rows, run by the evaluator."""

from pathlib import Path

import numpy as np

from anelab.export.mil.evaluator import Evaluator
from anelab.export.mil.modes import Mode
from anelab.export.mil.program import load_package
from anelab.export.slabs import Bucket, in_slabs
from anelab.interruption import watched
from anelab.learning.base import Arrays


class PackagePredictor:
    """All functions of a package, by the rows they take. `classes` are a classifier's, in the order of their
    probabilities, by the output that holds these."""

    def __init__(self, path: Path, mode: Mode, timeout_s: float | None) -> None:
        package = load_package(path)
        self.programs = list(package.program.functions.values())
        functions = [_Function(Evaluator(package, name, mode), timeout_s) for name in package.functions]
        self.classes = {name: classes for one in functions for name, classes in one.evaluator.classes.items()}
        self._predict = in_slabs([one.bucket() for one in functions], functions[0].evaluator.title)
        self._functions = functions

    def __call__(self, arrays: Arrays) -> Arrays:
        """States are zero before the first of the calls that it takes, and go on from call to call."""
        for function in self._functions:
            function.evaluator.reset_states()
        return self._predict(arrays)


class _Function:
    """An evaluator whose calls end after `timeout_s`, and that makes many calls at once where it can."""

    def __init__(self, evaluator: Evaluator, timeout_s: float | None) -> None:
        self.evaluator, self._timeout_s = evaluator, timeout_s
        self._stacks = True

    def bucket(self) -> Bucket:
        return Bucket(self._run, {port.name: port.shape for port in self.evaluator.inputs}, self._run_many)

    def _run(self, arrays: Arrays) -> Arrays:
        with watched(self.evaluator.title, self._timeout_s):
            return self.evaluator(arrays)

    def _run_many(self, arrays: Arrays) -> Arrays:
        calls, together = len(next(iter(arrays.values()))), self.evaluator.calls_at_once
        parts = [
            self._run_stacked({name: array[start : start + together] for name, array in arrays.items()})
            for start in range(0, calls, together)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _run_stacked(self, arrays: Arrays) -> Arrays:
        with watched(self.evaluator.title, self._timeout_s):
            found = self.evaluator.stacked(arrays) if self._stacks else None
        if found is not None:
            return found
        self._stacks = False
        calls = len(next(iter(arrays.values())))
        alone = [self._run({name: array[call] for name, array in arrays.items()}) for call in range(calls)]
        return {name: np.stack([one[name] for one in alone]) for name in alone[0]}


def mil_predictor(path: Path, mode: Mode = "fp16", timeout_s: float | None = None) -> PackagePredictor:
    """`timeout_s`: how long a call of a function may take. Raises AnelabError if the package cannot be evaluated."""
    return PackagePredictor(path, mode, timeout_s)
