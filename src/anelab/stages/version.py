"""A registered version as the subject of a benchmark: what a machine can measure that has neither data nor module."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from anelab.bench.arms.catalog import parse_arm
from anelab.bench.arms.contract import Subject
from anelab.bench.measuring.run import arms_of, run_benchmark, write_result
from anelab.bench.results.samples import Slice
from anelab.bench.results.schema import Report
from anelab.config import Params
from anelab.learning.config import BenchConfig
from anelab.stages.bench import SAMPLES, judge_of
from anelab.tracking.commands import workload_of
from anelab.tracking.models import Version, download, resolve
from anelab.tracking.reference import parse_version
from anelab.tracking.store import Store


@dataclass(frozen=True)
class Measurement:
    report: Report
    samples: Path


@contextmanager
def measured_version(
    store: Store,
    params: Params,
    version: Version,
    config: BenchConfig,
    on_progress: Callable[[str], None],
    arms: Sequence[str] = (),
) -> Iterator[Measurement]:
    """Time the version by the arms of those names, or by every one that this machine has for it; the samples are
    there while the block lasts. Raises AnelabError if its files are gone or none of the arms could be timed."""
    workload = workload_of(version.name)
    with tempfile.TemporaryDirectory(prefix="anelab-version-") as scratch:
        folder = download(store, version, Path(scratch, "model"))
        with measured_folder(folder, workload, params, config, on_progress, arms, version) as found:
            yield found


@contextmanager
def measured_folder(
    folder: Path,
    workload: str,
    params: Params,
    config: BenchConfig,
    on_progress: Callable[[str], None],
    arms: Sequence[str] = (),
    version: Version | None = None,
) -> Iterator[Measurement]:
    """As `measured_version`, of a folder that holds a model's files and its example rows."""
    section = params.section(workload)
    subject = Subject.of(workload, section, folder, url=config.url)
    named = [parse_arm(text).resolved(subject) for text in arms] or arms_of(subject)
    report, slices = run_benchmark(subject, named, config, section.seed, partial(judge_of, subject), on_progress)
    with tempfile.TemporaryDirectory(prefix="anelab-samples-") as scratch:
        yield _written(report, slices, version, Path(scratch, SAMPLES))


def _written(found: Report, slices: list[Slice], version: Version | None, samples: Path) -> Measurement:
    if version is not None:
        named = found.subject.model_copy(update={"model": version.name, "version": str(version.version)})
        found = found.model_copy(update={"subject": named})
    return Measurement(write_result(found, slices, samples), samples)


def find_version(store: Store, reference: str) -> Version:
    """The version that `reference` names in the registry. Raises UsageError or AnelabError."""
    found = parse_version(reference)
    workload_of(found.model)
    return resolve(store, found.model, found.version)
