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
    tell: Callable[[str], None],
    arms: Sequence[str] = (),
) -> Iterator[Measurement]:
    """Time the version by the arms of those names, or by every one that this machine has for it; the samples are
    there while the block lasts. Raises AnelabError if its files are gone or none of the arms could be timed."""
    workload = workload_of(version.name)
    section = params.section(workload)
    with tempfile.TemporaryDirectory(prefix="anelab-version-") as scratch:
        folder = download(store, version, Path(scratch))
        subject = Subject.of(workload, section, folder, url=config.url)
        named = [parse_arm(text).resolved(subject) for text in arms] or arms_of(subject)
        judge = partial(judge_of, subject)
        found, slices = run_benchmark(subject, named, config, section.seed, judge, tell)
        yield _written(found, slices, version, Path(scratch, SAMPLES))


def _written(found: Report, slices: list[Slice], version: Version, samples: Path) -> Measurement:
    named = found.subject.model_copy(update={"model": version.name, "version": str(version.version)})
    return Measurement(write_result(found.model_copy(update={"subject": named}), slices, samples), samples)


def find(store: Store, reference: str) -> Version:
    """The version that MODEL, MODEL@alias or MODEL/number names. Raises AnelabError."""
    model, at, alias = reference.partition("@")
    name, _, number = model.partition("/")
    workload_of(name)
    return resolve(store, name, alias if at else number or "champion")
