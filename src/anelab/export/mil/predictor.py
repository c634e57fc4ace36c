"""A package as a predictor of any number of rows, run by the evaluator."""

from pathlib import Path

from anelab.export.mil.evaluator import Evaluator
from anelab.export.mil.modes import Mode
from anelab.export.mil.program import load_package
from anelab.export.slabs import Bucket, in_slabs
from anelab.learning.base import Arrays


class PackagePredictor:
    """All functions of a package, by the rows they take. `classes` are a classifier's, in the order of their
    probabilities, by the output that holds these."""

    def __init__(self, path: Path, mode: Mode) -> None:
        package = load_package(path)
        evaluators = [Evaluator(package, name, mode) for name in package.functions]
        buckets = [Bucket(one, {port.name: port.shape for port in one.inputs}) for one in evaluators]
        self.classes = {name: classes for one in evaluators for name, classes in one.classes.items()}
        self._predict = in_slabs(buckets, evaluators[0].title)

    def __call__(self, arrays: Arrays) -> Arrays:
        return self._predict(arrays)


def mil_predictor(path: Path, mode: Mode = "fp16") -> PackagePredictor:
    """Raises AnelabError if the package cannot be evaluated."""
    return PackagePredictor(path, mode)
