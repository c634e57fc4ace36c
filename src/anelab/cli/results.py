"""Benchmark results on the command line: where one is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from anelab.errors import UsageError
from anelab.workspace import Workspace

if TYPE_CHECKING:
    from anelab.bench.results.schema import Report
    from anelab.tracking.reference import VersionReference


@contextmanager
def opened(workspace: Callable[[], Workspace], reference: str) -> "Iterator[tuple[Report, Path]]":
    """A result and the path of its samples, wherever it is; the workspace is asked for only if it is there. Raises
    UsageError if it is nothing."""
    from anelab import workloads
    from anelab.bench.results.bundle import SAMPLES, opened_bundle
    from anelab.bench.results.report import read_report

    path, (workload, colon, result) = Path(reference), reference.partition(":")
    if path.suffix == ".zip":
        with opened_bundle(path) as bundle:
            yield bundle.report, bundle.samples
    elif path.suffix == ".json":
        beside = path.with_name(SAMPLES)
        yield read_report(path), beside if beside.is_file() else _of_stage(path)
    elif workload in workloads.names() and not colon:
        own = workspace().reports(workload) / "bench.json"
        yield read_report(own), _of_stage(own)
    elif workload in workloads.names() and result:
        from anelab.tracking.benchmarks import opened_result
        from anelab.tracking.store import open_store

        with opened_result(open_store(workspace()), workload, result) as found:
            yield found
    elif (version := _version(reference)) is not None:
        from anelab.tracking.benchmarks import newest_result, opened_result
        from anelab.tracking.commands import workload_of
        from anelab.tracking.models import resolve
        from anelab.tracking.store import open_store

        store = open_store(workspace())
        result = newest_result(store, resolve(store, version.model, version.version))
        with opened_result(store, workload_of(version.model), result) as found:
            yield found
    else:
        raise UsageError(
            f"RESULT must be a bench.json, a bundle (.zip), a workload ({', '.join(workloads.names())}), workload:id, "
            f"or a registered version such as mnist-onnx@champion, but got {reference}"
        )


def _version(reference: str) -> "VersionReference | None":
    """None if it does not name a model of a workload."""
    from anelab.tracking.reference import parse_reference

    found = parse_reference(reference) if reference else Path()
    if isinstance(found, Path):
        return None
    from anelab.tracking.registration import model_names

    return found if found.model in model_names() else None


def _of_stage(report: Path) -> Path:
    """Where the stage keeps the samples of reports/<workload>/bench.json."""
    from anelab.bench.results.bundle import SAMPLES

    folder = report.absolute().parent
    return folder.parent.parent / "models" / folder.name / "bench" / SAMPLES
