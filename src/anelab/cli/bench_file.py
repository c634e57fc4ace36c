"""`anelab bench run` of one file: its calls, its remarks, and what is known where nothing can be timed."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anelab.errors import UsageError
from anelab.export.formats import EXPORTED_PROGRAM, FORMAT_OF_SUFFIX
from anelab.texts import echo, echo_lines, notify

if TYPE_CHECKING:
    from anelab.bench.arms.contract import Arm
    from anelab.bench.results.schema import Report
    from anelab.bench.single_file.calls import Calls
    from anelab.bench.single_file.formats import ModelFile
    from anelab.bench.single_file.measure import FileSubject
    from anelab.learning.base import Array

SUFFIXES = (".onnx", ".mlpackage", EXPORTED_PROGRAM)
LONGEST_NAME = 64


@dataclass(frozen=True)
class FileCalls:
    """What the command line says of the calls."""

    input: Path | None
    shapes: tuple[str, ...]
    ranges: tuple[str, ...]

    def check_unused(self) -> None:
        """Raises UsageError if anything is said, for only a file takes it."""
        said = {"--input": self.input, "--shape": self.shapes, "--range": self.ranges}
        if given := [name for name, value in said.items() if value]:
            raise UsageError(f"{', '.join(given)}: for a single file only; other models have rows of their own")


def is_file(target: str) -> bool:
    return Path(target).suffix in (*FORMAT_OF_SUFFIX, EXPORTED_PROGRAM)


def run_file(target: str, calls: FileCalls, arms: list[str], thorough: bool, url: str | None) -> "Report | None":
    """Time it; the result becomes a bundle in the working directory. None where this machine has no runtime for it, and
    what is known of it was printed. Raises UsageError, or AnelabError if it cannot be read."""
    from anelab.bench.single_file.formats import opened_file
    from anelab.bench.single_file.measure import arms_for, prepared

    path = _checked(Path(target), url)
    notify(f"anelab: reading {path}")
    file = opened_file(path)
    given = _calls(file, calls)
    notify(f"anelab: inputs are {given.origin}")
    with prepared(file, _name(path), given) as found:
        chosen = arms_for(found.subject, arms)
        reasons = {arm.name: arm.unavailable(found.subject) or "" for arm in chosen}
        if not arms and not any(arm.timeable and not reasons[arm.name] for arm in chosen):
            _print_untimed(file, found, reasons)
            return None
        return _timed(file, found, chosen, thorough, given.origin)


def _checked(path: Path, url: str | None) -> Path:
    if url is not None:
        raise UsageError("--url: for a workload or a registered version only, not for a file")
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: a file that ends in {', '.join(SUFFIXES)} can be timed, but not this one")
    if not path.exists():
        raise UsageError(f"{path}: is not there")
    return path


def _name(path: Path) -> str:
    """In the place of a workload's name."""
    plain = re.sub("[^a-z0-9]+", "_", path.stem.lower()).strip("_")
    return (plain if plain[:1].isalpha() else f"model_{plain}")[:LONGEST_NAME].rstrip("_")


def _calls(file: "ModelFile", calls: FileCalls) -> "Calls":
    from anelab.bench.single_file.calls import calls_of, parse_options, random_calls
    from anelab.cli.packages import read_rows

    options = parse_options(calls.shapes, calls.ranges)
    if calls.input is None:
        return random_calls(file.ports, options)
    if calls.ranges:
        raise UsageError("--range: for random inputs only, but --input gives them")
    arrays = read_rows(calls.input, [port.name for port in file.ports])
    return calls_of(file.ports, arrays, options, f"--input {calls.input}")


def _timed(file: "ModelFile", found: "FileSubject", arms: "list[Arm]", thorough: bool, origin: str) -> "Report":
    import tempfile

    from anelab.bench.results.bundle import write_bundle
    from anelab.bench.single_file.measure import SAMPLES, measure_file
    from anelab.learning.config import BenchConfig

    config = BenchConfig(thorough=thorough)
    with tempfile.TemporaryDirectory(prefix="anelab-samples-") as scratch:
        samples = Path(scratch, SAMPLES)
        remarks = [f"inputs are {origin}; a row of this result is a whole call of these shapes", *file.remarks]
        report = measure_file(found, arms, config, file.reference, remarks, samples, notify)
        bundle = Path(f"{report.subject.workload}-{report.id[:12]}.bench.zip")
        write_bundle(report, samples, bundle)
    notify(f"anelab: kept in {bundle}; see it again with `anelab bench show {bundle}`")
    return report


def _print_untimed(file: "ModelFile", found: "FileSubject", reasons: dict[str, str]) -> None:
    """Of a Core ML package where there is no Core ML: what its program tells."""
    from anelab.export.placement.predicted import package_placements
    from anelab.export.readiness import inspect_package
    from anelab.views.tables import placements_text

    for name, array in found.expected.items():
        echo(f"{name}: {len(array)} calls answered by the evaluator, {_spread(array)}")
    placed = {one.rows: one for one in package_placements(file.path).values()}
    echo_lines(placements_text(placed))
    echo(f"lint: {inspect_package(file.path).verdict} (`anelab model lint {file.path}` says more)")
    for reason in dict.fromkeys(filter(None, reasons.values())):
        echo(f"nothing was timed: {reason}")


def _spread(array: "Array") -> str:
    import numpy as np

    if array.dtype.kind not in "fiub" or not array.size:
        return f"of {array.dtype}"
    finite = array[np.isfinite(array)]
    ends = f"from {finite.min():.6g} to {finite.max():.6g}" if finite.size else "none finite"
    lost = array.size - finite.size
    return f"{ends}; {lost} of {array.size} values are NaN or infinite, try --range" if lost else ends
