"""A package as a predictor of any number of rows, run by the evaluator."""

from pathlib import Path

from anelab.export.mil.evaluator import Evaluator
from anelab.export.mil.modes import Mode
from anelab.export.mil.program import load_package
from anelab.export.slabs import Bucket, in_slabs
from anelab.learning.base import Predictor


def mil_predictor(path: Path, mode: Mode = "fp16") -> Predictor:
    """All functions of the package, by the rows they take. Raises AnelabError if it cannot be evaluated."""
    package = load_package(path)
    evaluators = [Evaluator(package, name, mode) for name in package.functions]
    buckets = [Bucket(one, {port.name: port.shape for port in one.inputs}) for one in evaluators]
    return in_slabs(buckets, str(path))
