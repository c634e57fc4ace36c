"""A package as a predictor of any number of rows, run by the evaluator."""

from pathlib import Path

from anelab.export.mil.evaluator import Evaluator
from anelab.export.mil.modes import Mode
from anelab.export.mil.program import load_package
from anelab.export.slabs import Bucket, in_slabs
from anelab.interruption import watched
from anelab.learning.base import Arrays, Predictor


class PackagePredictor:
    """All functions of a package, by the rows they take. `classes` are a classifier's, in the order of their
    probabilities, by the output that holds these."""

    def __init__(self, path: Path, mode: Mode, timeout_s: float | None) -> None:
        package = load_package(path)
        evaluators = [Evaluator(package, name, mode) for name in package.functions]
        shapes = [{port.name: port.shape for port in one.inputs} for one in evaluators]
        buckets = [Bucket(_limited(one, timeout_s), taken) for one, taken in zip(evaluators, shapes, strict=True)]
        self.classes = {name: classes for one in evaluators for name, classes in one.classes.items()}
        self._predict = in_slabs(buckets, evaluators[0].title)

    def __call__(self, arrays: Arrays) -> Arrays:
        return self._predict(arrays)


def _limited(evaluator: Evaluator, timeout_s: float | None) -> Predictor:
    def run(arrays: Arrays) -> Arrays:
        with watched(evaluator.title, timeout_s):
            return evaluator(arrays)

    return run


def mil_predictor(path: Path, mode: Mode = "fp16", timeout_s: float | None = None) -> PackagePredictor:
    """`timeout_s`: how long a call of a function may take. Raises AnelabError if the package cannot be evaluated."""
    return PackagePredictor(path, mode, timeout_s)
