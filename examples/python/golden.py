"""Checks model.onnx in the folder of an export against its golden cases, then times it.

It needs onnxruntime and numpy only. Run it with the folder:

    python golden.py models/mnist/export
"""

import json
import sys
import time
from math import inf, isnan
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

FILE = "model.onnx"
PROVIDER = "CPUExecutionProvider"
TOLERANCE = 1e-4
BATCHES = (1, 64)
WARM_UP_CALLS, TIMED_CALLS = 10, 100

Array = npt.NDArray[np.float32]
Arrays = dict[str, Array]


class Case(NamedTuple):
    inputs: Arrays
    outputs: Arrays


def read_cases(folder: Path) -> list[Case]:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    graph = manifest["files"][FILE]["graph"]
    cases = [
        Case(read_arrays(case["inputs"][graph]), read_arrays(case["outputs"][FILE])) for case in manifest["golden"]
    ]
    if not cases or not all(case.outputs for case in cases):
        raise ValueError(f"manifest.json has no golden outputs for {FILE}")
    return cases


def read_arrays(named: dict[str, Any]) -> Arrays:
    return {name: read_array(item["shape"], item["values"]) for name, item in named.items()}


def read_array(shape: list[int], values: list[float | str]) -> Array:
    """JSON has no number for nan, inf and -inf: the manifest has them as texts."""
    return np.array([float(value) for value in values], np.float32).reshape(shape)


def run(session: ort.InferenceSession, inputs: Arrays, names: list[str]) -> Arrays:
    return dict(zip(names, session.run(names, inputs), strict=True))


def array_difference(found: Array, expected: Array) -> float:
    """The largest absolute difference; infinite if the shapes differ."""
    if found.shape != expected.shape:
        return inf
    return max(map(difference, found.ravel().tolist(), expected.ravel().tolist()), default=0.0)


def difference(found: float, expected: float) -> float:
    """0 if both are nan, or the same infinity; infinite if only one of them is."""
    if found == expected or (isnan(found) and isnan(expected)):
        return 0.0
    return inf if isnan(found - expected) else abs(found - expected)


def check_case(session: ort.InferenceSession, case: Case) -> tuple[float, str]:
    """The output that differs most: by how much, and its name."""
    found = run(session, case.inputs, list(case.outputs))
    return max((array_difference(found[name], expected), name) for name, expected in case.outputs.items())


def check_cases(session: ort.InferenceSession, cases: list[Case], folder: Path) -> bool:
    differences = [check_case(session, case) for case in cases]
    for number, (largest, name) in enumerate(differences, start=1):
        if largest > TOLERANCE:
            report_failure(folder, number, name, largest)
    failed = sum(largest > TOLERANCE for largest, _ in differences)
    most = max(largest for largest, _ in differences)
    print(f"golden: {len(cases) - failed} of {len(cases)} cases agree, largest difference {most:.3g}")
    return not failed


def report_failure(folder: Path, number: int, output: str, largest: float) -> None:
    what = f'golden case {number}: output "{output}" differs by {largest:.3g}, allowed {TOLERANCE:g}'
    fix = f"check that manifest.json and {FILE} are from the same export"
    print(f"{folder}: {what}; {fix}", file=sys.stderr)


def microseconds_per_row(session: ort.InferenceSession, inputs: Arrays, rows: int) -> float:
    batch = {name: np.repeat(array[:1], rows, axis=0) for name, array in inputs.items()}
    times = []
    for _ in range(WARM_UP_CALLS + TIMED_CALLS):
        started = time.perf_counter()
        session.run(None, batch)
        times.append(time.perf_counter() - started)
    return median(times[WARM_UP_CALLS:]) / rows * 1e6


def check_and_time(folder: Path) -> bool:
    cases = read_cases(folder)
    session = ort.InferenceSession(folder / FILE, providers=[PROVIDER])
    print(f"{folder / FILE}: {', '.join(session.get_providers())}, ONNX Runtime {ort.__version__}")
    if not check_cases(session, cases, folder):
        return False
    for rows in BATCHES:
        time_per_row = microseconds_per_row(session, cases[0].inputs, rows)
        print(f"batch of {rows}: {time_per_row:.2f} us per row, median of {TIMED_CALLS} calls")
    return True


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python golden.py FOLDER (of an export, such as models/mnist/export)", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    try:
        return 0 if check_and_time(folder) else 1
    except Exception as error:  # ONNX Runtime's errors have no common type of their own
        what = f"cannot check {FILE} with manifest.json ({type(error).__name__}: {error})"
        print(f"{folder}: {what}; give the unchanged folder of an export", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
