"""Which registered versions a benchmark timed.

Of an SQLite store by queries, so that MLflow need not be imported.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anelab.bench.results.metrics import TIMED_FILES
from anelab.bench.results.schema import Report
from anelab.errors import AnelabError, warn
from anelab.tracking.lookup import IS_CHAMPION, TAGS
from anelab.tracking.reference import CHAMPION
from anelab.tracking.store import SQLITE, Store, open_store, store_uri
from anelab.workspace import Workspace

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from anelab.tracking.reading import RunRow, VersionRow

MOST_RUNS = 1000
QUERY = f"""
select version.name, version.version, version.run_id, {IS_CHAMPION}
from model_versions as version
join model_version_tags as tag on tag.name = version.name and tag.version = version.version
where tag.key = 'anelab.sha256' and tag.value = ? and version.current_stage <> 'Deleted_Internal'
"""
RUN_TAGS = "select key, value from tags where run_uuid = ?"


@dataclass(frozen=True)
class TimedVersion:
    """A registered version of which a benchmark timed a file. `value`: its headline metric, called `metric`, on the
    test set; None if it has none. `commit` is "" if it is not known."""

    model: str
    version: int
    variant: str
    is_champion: bool
    commit: str
    metric: str
    value: float | None
    sha256: str

    @property
    def title(self) -> str:
        return f"{self.model}/{self.version}"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def timed_versions(workspace: Workspace, report: Report) -> list[TimedVersion]:
    """By the sha256 of the files that the report's arms ran, champions first. Empty if there is no store; a server that
    does not answer is warned of."""
    uri = store_uri(workspace)
    try:
        if uri.startswith(SQLITE):
            database = Path(uri.removeprefix(SQLITE))
            found = _queried(database, report) if database.is_file() and database.stat().st_size else []
        else:
            found = _asked(workspace, report)
    except (AnelabError, sqlite3.Error) as error:
        warn(f"which versions were timed is not known: {error}")
        return []
    return in_order(found)


def versions_by_run(
    versions: Iterable["VersionRow"], trainings: Iterable["RunRow"], benchmarks: Iterable["RunRow"]
) -> dict[str, list[TimedVersion]]:
    """What every benchmark timed, and what came of every training, by the id of its run, champions first."""
    runs, timed, found = {one.id: one for one in trainings}, defaultdict(set), defaultdict(list)
    for one in benchmarks:
        for sha256 in filter(None, one.params.get(TIMED_FILES, "").split(",")):
            timed[sha256].add(one.id)
    for version in versions:
        run = runs.get(version.run_id or "")
        row = TimedVersion(
            model=version.model,
            version=version.version,
            variant=version.variant,
            is_champion=CHAMPION in version.aliases,
            commit=_commit({} if run is None else run.tags),
            metric=version.metric_name,
            value=version.value,
            sha256=version.sha256,
        )
        for run_id in {*version.results.values(), *timed[version.sha256], version.run_id or ""} - {""}:
            found[run_id].append(row)
    return {run_id: in_order(many) for run_id, many in found.items()}


def with_versions(store: Store, workload: str, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results as `benchmarks.list_results` gives them, with `versions`: what each of them timed."""
    from anelab.tracking import reading

    runs = (reading.runs(store, workload, stage, MOST_RUNS) for stage in ("train", "bench"))
    timed = versions_by_run(reading.versions(store, workload), *runs)
    return [{**one, "versions": [version.as_json() for version in timed.get(one["run"], [])]} for one in results]


def in_order(found: Iterable[TimedVersion]) -> list[TimedVersion]:
    """Champions first, then by name."""
    return sorted(found, key=lambda one: (not one.is_champion, one.model, one.version))


def _queried(database: Path, report: Report) -> list[TimedVersion]:
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        sha256s, models = report.timed_files(), f"{report.subject.workload}-"
        rows = [row for sha256 in sha256s for row in connection.execute(QUERY, (sha256,)).fetchall()]
        found = [row for row in rows if row[0].startswith(models)]
        return [
            _timed(name, number, bool(is_champion), tags, _of_run(connection, tags.get("anelab.run_id") or run_id))
            for name, number, run_id, is_champion in found
            for tags in [dict(connection.execute(TAGS, (name, number)).fetchall())]
        ]


def _of_run(connection: sqlite3.Connection, run_id: str | None) -> dict[str, str]:
    return dict(connection.execute(RUN_TAGS, (run_id,)).fetchall())


def _asked(workspace: Workspace, report: Report) -> list[TimedVersion]:
    from anelab.tracking.benchmarks import versions_of
    from anelab.tracking.models import aliases_of

    store = open_store(workspace)
    with store.reading():
        return [
            _timed(one.name, int(one.version), CHAMPION in aliases_of(store, one), one.tags, _run_tags(store, one))
            for one in versions_of(store, report)
        ]


def _run_tags(store: Store, version: "ModelVersion") -> Mapping[str, str]:
    from anelab.tracking.models import training_run
    from anelab.tracking.recovery import has_run

    run_id = training_run(version)
    return dict(store.client.get_run(run_id).data.tags) if run_id and has_run(store, run_id) else {}


def _timed(
    model: str, number: int, is_champion: bool, tags: Mapping[str, str], run_tags: Mapping[str, str]
) -> TimedVersion:
    metric = tags.get("anelab.metric", "").partition(":")[2]
    value = tags.get(f"metric.{metric}")
    return TimedVersion(
        model=model,
        version=number,
        variant=tags.get("variant", ""),
        is_champion=is_champion,
        commit=_commit(run_tags),
        metric=metric,
        value=float(value) if value else None,
        sha256=tags.get("anelab.sha256", ""),
    )


def _commit(run_tags: Mapping[str, str]) -> str:
    commit = run_tags.get("mlflow.source.git.commit", "")[:8]
    return f"{commit} with changes" if commit and run_tags.get("anelab.git_dirty") == "true" else commit
