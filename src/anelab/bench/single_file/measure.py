"""Times one model file: the folder of an export is made of it, and measured as such."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from anelab.bench.arms.catalog import parse_arm
from anelab.bench.arms.contract import Arm, Subject
from anelab.bench.measuring.run import arms_of, effective, run_benchmark, write_result
from anelab.bench.results.schema import Report
from anelab.bench.single_file.calls import Calls
from anelab.bench.single_file.formats import ModelFile
from anelab.bench.single_file.judge import ReferenceJudge
from anelab.export.examples import EXAMPLES, Examples
from anelab.export.manifest_file import MANIFEST
from anelab.files import write_json
from anelab.learning.base import Arrays, Split
from anelab.learning.config import BenchConfig

KINDS = {
    "onnx": ("ort-cpu", "ort-coreml", "ort-cuda"),
    "coreml": ("coreml", "coreml-evaluator"),
    "pt2": ("torch-export",),
}
"""Arms that run a file of that format."""
OLDER_FORMAT = "_nn"
SAMPLES = "bench_samples.parquet"
SEED = 0


@dataclass(frozen=True)
class FileConfig:
    """In the place of a workload's: a file alone has no metric."""

    metric: str = "none"


@dataclass(frozen=True)
class FileSubject:
    """A folder that arms run the file from, and what they should answer. `manifest` is also its manifest.json."""

    subject: Subject
    expected: Arrays
    manifest: Mapping[str, Any]


@contextmanager
def prepared(file: ModelFile, name: str, calls: Calls) -> Iterator[FileSubject]:
    """The folder is there while the block lasts. `name` takes the place of a workload's. Raises AnelabError if the file
    does not answer the calls."""
    expected = file.expected(calls)
    with tempfile.TemporaryDirectory(prefix="anelab-file-") as scratch:
        folder = Path(scratch)
        manifest = {"files": file.write_into(folder, calls), "metadata": {}, "companions": {}, "schema": 2}
        write_json(folder / MANIFEST, manifest)
        count = len(next(iter(calls.arrays.values())))
        rows = Split({"model": calls.arrays}, {}, np.arange(count))
        Examples(rows, {"model": expected}, whole=False).write(folder / EXAMPLES)
        subject = Subject.of(name, FileConfig(), folder, whole_calls=True)  # type: ignore[arg-type]
        yield FileSubject(subject, expected, manifest)


def arms_for(subject: Subject, names: Sequence[str]) -> list[Arm]:
    """Those of the names, in the file's only variant if none is said; by default every kind that runs the file. Raises
    UsageError for a name that is none."""
    formats = {entry["format"] for entry in subject.manifest["files"].values()}
    kinds = {kind for format in formats for kind in KINDS[format]}
    if not names:
        every = [arm for arm in arms_of(subject) if arm.kind in kinds and not arm.option.endswith(OLDER_FORMAT)]
        return sorted(every, key=lambda arm: (not arm.timeable, arm.device != "CPU"))  # the first is the reference
    return [_of_the_variant(parse_arm(name), subject, variant_named=":" in name) for name in names]


def _of_the_variant(arm: Arm, subject: Subject, variant_named: bool) -> Arm:
    there = arm.variants(subject)
    return arm if variant_named or arm.variant in there or len(there) != 1 else replace(arm, variant=there[0])


def measure_file(
    prepared: FileSubject,
    arms: Sequence[Arm],
    config: BenchConfig,
    reference: str,
    remarks: Sequence[str],
    samples: Path,
    on_progress: Callable[[str], None],
) -> Report:
    """`reference` says what computed the expected answers. Raises AnelabError if no arm could be timed."""
    judge = ReferenceJudge(prepared.expected, reference)
    config = effective(config)
    scenarios = [one for one in config.scenarios if one not in BATCHED]
    config = config.model_copy(update={"scenarios": scenarios, "thorough": False})
    report, slices = run_benchmark(prepared.subject, arms, config, SEED, lambda: judge, on_progress)
    report = report.model_copy(update={"warnings": [*remarks, *report.warnings]})
    return write_result(report, slices, samples)


BATCHED = ("batch", "offline")
"""Scenarios of several rows a call: what a call of the file holds, its shape says."""
