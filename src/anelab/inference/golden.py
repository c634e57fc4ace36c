"""Golden vectors: what the manifest says that a file answers, held against what it answers here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from anelab.errors import AnelabError, UsageError
from anelab.export.comparison import absolute_errors
from anelab.inference.model import Model
from anelab.learning.base import Array

TOLERANCE = {"onnx": 1e-4, "coreml": 5e-3}
"""Largest absolute difference, by format: of runtimes on other processors, and of 16-bit hardware, which follows the
evaluator that computed the vectors to within about so much only."""


@dataclass(frozen=True)
class GoldenCheck:
    """One case. `largest` is the largest absolute difference over all outputs; infinite where one of them is no number
    and the other is. `problem` is empty if it passed."""

    case: int
    given: Mapping[str, Any]
    largest: float
    problem: str


def check_golden(model: Model, tolerance: float | None = None) -> Iterator[GoldenCheck]:
    """Every case that the model's manifest has for its file. Raises UsageError if there is none."""
    if model.format == "onnx":  # the evaluator and Core ML name themselves what a package takes and gives
        model.check_outputs()
    cases = model.manifest.get("golden") or []
    entry = model.manifest.get("files", {}).get(model.path.name)
    if not cases or entry is None:
        raise UsageError(f"{model.name}: has no golden vectors; they are in the manifest.json of an export")
    allowed = TOLERANCE[model.format] if tolerance is None else tolerance
    dtypes = {port.name: port.dtype for port in (*model.inputs, *model.outputs)}
    for number, case in enumerate(cases, start=1):
        try:
            inputs = {name: _array(item, dtypes[name]) for name, item in case["inputs"][entry["graph"]].items()}
            expected = {name: _array(item, dtypes[name]) for name, item in case["outputs"][model.path.name].items()}
            given = dict(case["given"])
            if set(expected) != {port.name for port in model.outputs} or not all(one.size for one in expected.values()):
                raise ValueError("it has no values for some outputs")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise AnelabError(f"{model.name}: golden case {number} of its manifest.json is damaged ({error})") from None
        if model.format == "onnx":
            model.check_rows(inputs)
        yield _checked(number, given, expected, model.predict(inputs), allowed)


def _array(item: Mapping[str, Any], dtype: str) -> Array:
    return np.array(item["values"], dtype).reshape(item["shape"])


def _checked(
    number: int, given: Mapping[str, Any], expected: Mapping[str, Array], found: Mapping[str, Array], allowed: float
) -> GoldenCheck:
    largest, problem = 0.0, ""
    for name, want in expected.items():
        if name not in found or found[name].shape != want.shape:
            shape = list(found[name].shape) if name in found else "missing"
            return GoldenCheck(number, given, float("inf"), f"output {name} is {shape}, expected {list(want.shape)}")
        difference = float(absolute_errors(found[name], want).max(initial=0.0))
        if not difference <= allowed and not problem:
            problem = f"output {name} differs by {difference:.3g}, allowed {allowed:g}"
        largest = max(largest, difference)
    return GoldenCheck(number, given, largest, problem)
