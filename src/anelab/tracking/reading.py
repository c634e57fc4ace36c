"""What a store has to show: runs, versions and benchmarks as plain records. Nothing here writes, so that any store may
be looked at; but a moved folder's addresses are mended as ever.
"""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anelab import workloads
from anelab.bench.results.schema import Report
from anelab.errors import AnelabError
from anelab.files import read_json
from anelab.tracking.query import FINISHED, all_of, is_plain, named, not_tagged, tagged
from anelab.tracking.reference import SCHEME
from anelab.tracking.store import SQLITE, Store, open_store, store_uri
from anelab.workspace import Workspace

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

MOST_RUNS = 200
MOST_HOSTS = 20
PATIENCE_SECONDS = 3.0


@dataclass(frozen=True)
class RunRow:
    """A stage's run, or a trial's."""

    id: str
    workload: str
    stage: str
    key: str
    started_ms: int
    ended_ms: int
    failed: bool
    metrics: dict[str, float]
    params: dict[str, str]
    tags: dict[str, str]
    datasets: dict[str, str]
    """Digests by name."""

    @property
    def commit(self) -> str:
        return self.tags.get("mlflow.source.git.commit", "")

    @property
    def dirty(self) -> bool:
        return self.tags.get("anelab.git_dirty") == "true"

    @property
    def host(self) -> str:
        return self.tags.get("anelab.host", "")

    @property
    def packages(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.tags.get("anelab.packages", "{}"))
        return found


@dataclass(frozen=True)
class GateRow:
    name: str
    verdict: str
    reason: str
    figures: dict[str, float]


@dataclass(frozen=True)
class VersionRow:
    """A registered version. `results` are the runs of its benchmarks by short id."""

    model: str
    workload: str
    version: int
    variant: str
    aliases: tuple[str, ...]
    sha256: str
    metric: str
    metrics: dict[str, float]
    gates: tuple[GateRow, ...]
    run_id: str | None
    input_key: str
    created_ms: int
    results: dict[str, str] = field(default_factory=dict)
    model_id: str = ""
    test_digest: str = ""
    """Of the rows that its metrics are of."""

    @property
    def title(self) -> str:
        return f"{self.model}/{self.version}"

    @property
    def format(self) -> str:
        return self.model.rpartition("-")[2]

    @property
    def metric_name(self) -> str:
        return self.metric.partition(":")[2]

    def direction(self, figure: str) -> int:
        """1 if a figure is better high, -1 if low, 0 if neither or unknown."""
        if figure == self.metric_name:
            return -1 if self.metric.startswith("min:") else 1
        return workloads.direction(self.workload, figure)

    @property
    def value(self) -> float | None:
        """The headline metric on the test set."""
        return self.metrics.get(self.metric_name)

    @property
    def size_bytes(self) -> float | None:
        return next((gate.figures.get("size_bytes") for gate in self.gates if gate.name == "size"), None)

    @property
    def passed(self) -> bool:
        return not any(gate.verdict in ("fail", "not eligible") for gate in self.gates)


def open_existing(workspace: Workspace) -> Store | None:
    """The store, or None if there is none yet. Raises StoreUnreachableError."""
    uri = store_uri(workspace)
    if uri.startswith(SQLITE):
        database = Path(uri.removeprefix(SQLITE))
        if not database.is_file() or not database.stat().st_size:
            return None
    return open_store(workspace, PATIENCE_SECONDS)


def workloads_in(store: Store) -> list[str]:
    """Those that have an experiment."""
    with store.reading():
        there = {item.name for item in store.client.search_experiments()}
    return [name for name in workloads.names() if name in there]


def runs(store: Store, workload: str, stage: str, most: int = MOST_RUNS) -> list[RunRow]:
    """The last finished runs of a stage, oldest first."""
    return _runs(store, workload, all_of(tagged("anelab.stage", stage), FINISHED), most)


def latest_benchmarks(store: Store, workload: str) -> dict[str, RunRow]:
    """The newest benchmark of every host that ever measured, however long ago, by its fingerprint."""
    found: dict[str, RunRow] = {}
    benchmarks = all_of(tagged("anelab.stage", "bench"), FINISHED, not_tagged("anelab.host", ""))
    while len(found) < MOST_HOSTS:
        others = [not_tagged("anelab.host", host) for host in found]
        newest = _runs(store, workload, all_of(benchmarks, *others), 1)
        if not newest or not is_plain(newest[0].host):
            break
        found[newest[0].host] = newest[0]
    return found


def trials(store: Store, search: RunRow) -> list[RunRow]:
    """Of one search, in their order; one that diverged is `failed`."""
    found = _runs(store, search.workload, tagged("mlflow.parentRunId", search.id), 1000)
    return sorted(found, key=lambda run: int(run.tags.get("anelab.trial", 0)))


def run(store: Store, run_id: str) -> RunRow:
    with store.reading():
        return _run_row(store.client.get_run(run_id))


def run_of(store: Store, workload: str, key: str) -> RunRow | None:
    """The run of a stage by its input key."""
    found = _runs(store, workload, all_of(tagged("anelab.input_key", key), FINISHED), 1)
    return found[0] if found else None


def _runs(store: Store, workload: str, query: str, most: int) -> list[RunRow]:
    with store.reading():
        experiment = store.existing_experiment(workload)
        if experiment is None:
            return []
        found = store.client.search_runs([experiment], query, order_by=["attributes.start_time DESC"], max_results=most)
        return [_run_row(one) for one in reversed(found)]


def _run_row(found: "Run") -> RunRow:
    tags = dict(found.data.tags)
    return RunRow(
        id=found.info.run_id,
        workload=tags.get("anelab.workload", ""),
        stage=tags.get("anelab.stage", ""),
        key=tags.get("anelab.input_key", ""),
        started_ms=found.info.start_time,
        ended_ms=found.info.end_time or found.info.start_time,
        failed=found.info.status != "FINISHED",
        metrics=dict(found.data.metrics),
        params=dict(found.data.params),
        tags=tags,
        datasets={one.dataset.name: one.dataset.digest for one in found.inputs.dataset_inputs} if found.inputs else {},
    )


def versions(store: Store, workload: str) -> list[VersionRow]:
    """Of every format, newest first in each."""
    from anelab.tracking.recovery import versions_in
    from anelab.tracking.registration import REGISTERED_FORMATS, registered_model

    found: list[VersionRow] = []
    for model in (registered_model(workload, format) for format in REGISTERED_FORMATS):
        with store.reading():
            holders = {one.name: one.aliases for one in store.client.search_registered_models(named(model))}
            aliases: Mapping[str, Any] = holders.get(model, {})
            found += [_version_row(one, workload, aliases) for one in versions_in(store, model)]
    return found


def _version_row(found: "ModelVersion", workload: str, aliases: Mapping[str, Any]) -> VersionRow:
    from anelab.tracking.benchmarks import RESULT_TAG
    from anelab.tracking.models import RUN_TAG

    tags = found.tags
    return VersionRow(
        model=found.name,
        workload=workload,
        version=int(found.version),
        variant=tags.get("variant", ""),
        aliases=tuple(sorted(alias for alias, number in aliases.items() if str(number) == str(found.version))),
        sha256=tags.get("anelab.sha256", ""),
        metric=tags.get("anelab.metric", ""),
        metrics=_numbers(tags, "metric."),
        gates=tuple(_gates(tags)),
        run_id=tags.get(RUN_TAG) or found.run_id or None,
        input_key=tags.get("anelab.input_key", ""),
        created_ms=found.creation_timestamp,
        results={key.removeprefix(RESULT_TAG): run for key, run in tags.items() if key.startswith(RESULT_TAG)},
        model_id=str(found.source).removeprefix(SCHEME),
        test_digest=tags.get("anelab.test_digest", ""),
    )


def _gates(tags: Mapping[str, str]) -> Iterator[GateRow]:
    for key in sorted(tags):
        if found := re.fullmatch(r"gate\.(\w+)", key):
            figures = _numbers(tags, f"{key}.", but="reason")
            yield GateRow(found[1], tags[key], tags.get(f"{key}.reason", ""), figures)


def _numbers(tags: Mapping[str, str], prefix: str, but: str = "") -> dict[str, float]:
    names = {key: key.removeprefix(prefix) for key in tags if key.startswith(prefix)}
    return {name: float(tags[key]) for key, name in names.items() if name != but}


def files_of(store: Store, version: VersionRow) -> dict[str, int]:
    """Size in bytes of every file of a version, by its path."""
    from anelab.tracking.models import sizes

    with store.reading():
        return sizes(store, version.model, str(version.version))


def artifact(store: Store, run_id: str, name: str) -> Any:
    """A JSON artifact of a run. Raises AnelabError if it is missing or damaged."""
    with downloaded(store, run_id, name) as path:
        try:
            return read_json(path)
        except ValueError as error:
            raise AnelabError(
                f"{name} of run {run_id[:8]} is damaged ({error}); delete it there and run `anelab sync`"
            ) from None


@contextmanager
def downloaded(store: Store, run_id: str, name: str) -> Iterator[Path]:
    """An artifact of a run as a file, for as long as the block lasts. Raises AnelabError if it is missing."""
    import mlflow.artifacts

    with tempfile.TemporaryDirectory() as scratch:
        try:
            found = mlflow.artifacts.download_artifacts(
                run_id=run_id, artifact_path=name, dst_path=scratch, tracking_uri=store.uri
            )
        except Exception as error:  # each artifact store has its own
            reason = str(error).strip().partition("\n")[0]
            raise AnelabError(
                f"{name} of run {run_id[:8]} is not in the store's artifacts ({reason}); run `anelab sync`, "
                "which puts it back where the project still has it"
            ) from None
        yield Path(found)


def benchmark(store: Store, run_id: str) -> Report:
    """Raises AnelabError if the result is missing, damaged or of another schema."""
    from anelab.bench.results.bundle import REPORT
    from anelab.bench.results.report import parse_report

    report = parse_report(artifact(store, run_id, REPORT), f"the benchmark of run {run_id[:8]}")
    imported = run(store, run_id).tags.get("anelab.imported") == "true"
    return report.model_copy(update={"imported": imported})
