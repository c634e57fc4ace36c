"""Erasing for good what was deleted in MLflow, but nothing that a registered model still needs.

Not by `mlflow gc`: it knows no registered models, and erases every deleted experiment with all that is in it, however
lately it was deleted, even if it is given runs only.
"""

import re
import time
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from typing import Any

from mlflow.entities import Experiment, LoggedModel, ViewType
from mlflow.entities import Run as MlflowRun
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from anelab import workloads
from anelab.errors import AnelabError, UsageError, warn
from anelab.tracking.models import SHA_TAG, training_run
from anelab.tracking.promotion_record import read_promotions
from anelab.tracking.recovery import AT_ONCE, all_pages, database, logged_model_of
from anelab.tracking.reference import CHAMPION
from anelab.tracking.registration import REGISTERED_FORMATS, champion_file, registered_model
from anelab.tracking.store import DELETED, Store, open_store, without_password
from anelab.workspace import Workspace

UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True)
class Needed:
    """Ids that must stay. `runs` trained a model that is champion or challenger, or may be again; `models` are the
    logged models of every registered version and of those models; `origins` are the runs of every version."""

    runs: frozenset[str]
    models: set[str]
    origins: frozenset[str]


@dataclass
class Tally:
    """`failed`: their files could not be erased, of which a warning says more."""

    erased: int = 0
    kept: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Collected:
    runs: Tally = field(default_factory=Tally)
    models: Tally = field(default_factory=Tally)
    experiments: Tally = field(default_factory=Tally)

    def __str__(self) -> str:
        lines = [_line("runs", self.runs, "for champions, challengers and roll-backs")]
        for name, tally in (("logged models", self.models), ("experiments", self.experiments)):
            if tally != Tally():
                lines.append(_line(name, tally, "because registered versions come from them, or they were restored"))
        return "\n".join(lines)


def _line(name: str, tally: Tally, why_kept: str) -> str:
    failed = f", {tally.failed} could not be erased" if tally.failed else ""
    return f"deleted {name}: {tally.erased} erased, {tally.kept} kept {why_kept}{failed}"


def collect_garbage(workspace: Workspace, older_than: str) -> Collected:
    """Erase runs, logged models and experiments that were deleted at least so long ago, but those that are needed.

    Raises UsageError if `older_than` is no duration, AnelabError if the store is a server or a record of promotions
    is damaged or not in this workspace."""
    age_ms = _duration_ms(older_than)
    store = open_store(workspace)
    backend = database(store)
    if backend is None:
        raise AnelabError(
            f"collecting needs the database behind {without_password(store.uri)}; run it where the server runs, "
            "with MLFLOW_TRACKING_URI set to the server's own database"
        )
    with store.writing():
        return _Collector(backend, needed(store, backend, workspace), age_ms).collect()


def _duration_ms(text: str) -> int:
    match = re.fullmatch(r"(\d+)([dhms])", text)
    if match is None:
        raise UsageError(f"--older-than takes a number and d, h, m or s, like 30d, but got {text}")
    return int(match[1]) * UNIT_MS[match[2]]


def needed(store: Store, backend: Any, workspace: Workspace) -> Needed:
    """What the registry's versions and aliases and the workspace's records of promotions hold on to."""
    client = store.client
    versions = list(all_pages(lambda token: client.search_model_versions(None, AT_ONCE, None, token)))
    models = list(all_pages(lambda token: client.search_registered_models(None, AT_ONCE, None, token)))
    aliased = {(model.name, str(number)) for model in models for number in model.aliases.values()}
    promoted = _promoted(workspace, {model.name for model in models if CHAMPION in model.aliases})
    vital = [one for one in versions if (one.name, str(one.version)) in aliased or one.tags.get(SHA_TAG) in promoted]
    logged = {one.model_id: one for one in _logged_models(backend)}
    registered = {logged_model_of(one) for one in versions}
    recorded = {model_id for model_id, one in logged.items() if one.tags.get(SHA_TAG) in promoted}
    chosen = recorded | {logged_model_of(one) for one in vital}
    sources = [logged[model_id].source_run_id for model_id in chosen if model_id in logged]
    runs = frozenset(one for one in (*map(training_run, vital), *sources) if one)
    origins = frozenset(one for one in map(training_run, versions) if one)
    return Needed(runs, registered | recorded, runs | origins)


def _promoted(workspace: Workspace, with_champion: Set[str]) -> set[str]:
    """sha256 of every model that is, may become or may again be champion. Raises AnelabError if the store has a
    champion that this workspace has no record of: it alone says what a roll-back needs."""
    found = set[str]()
    for workload in workloads.names():
        path = champion_file(workspace, workload)
        for model in (registered_model(workload, format) for format in REGISTERED_FORMATS):
            record = read_promotions(path, model)
            if record.champion is None and model in with_champion:
                raise AnelabError(
                    f"{path}: has no record of {model}, which has a champion in this store, so it is not known what a "
                    "roll-back needs; run this in the clone that has the record, or name it with --workspace"
                )
            promotions = (record.champion, record.challenger, *record.former)
            found |= {promotion.sha256 for promotion in promotions if promotion is not None}
    return found


def _logged_models(backend: Any) -> Iterator[LoggedModel]:
    """Every one, of whatever experiment, deleted or not."""
    experiments = [one.experiment_id for one in _experiments(backend, ViewType.ALL)]
    yield from all_pages(lambda token: backend.search_logged_models(experiments, page_token=token))
    yield from _deleted_models(backend, 0)


def _deleted_models(backend: Any, age_ms: int) -> Iterator[LoggedModel]:
    for model_id in backend._get_deleted_logged_models(older_than=age_ms):
        yield backend.get_logged_model(model_id, allow_deleted=True)


def _experiments(backend: Any, view: int) -> Iterator[Experiment]:
    yield from all_pages(lambda token: backend.search_experiments(view, AT_ONCE, page_token=token))


@dataclass(frozen=True)
class _Collector:
    """`backend` is MLflow's access to its database, which alone tells when something was deleted, and can erase."""

    backend: Any
    needed: Needed
    age_ms: int

    def collect(self) -> Collected:
        done = Collected()
        for experiment in self._old_experiments():
            _count(done.experiments, self._erase_experiment(experiment, done))
        for model in list(_deleted_models(self.backend, self.age_ms)):
            _count(done.models, None if model.model_id in self.needed.models else self._erase_model(model))
        for run_id in self.backend._get_deleted_runs(older_than=self.age_ms):
            kept = run_id in self.needed.runs
            _count(done.runs, None if kept else self._erase_run(self.backend.get_run(run_id)))
        return done

    def _old_experiments(self) -> list[Experiment]:
        until = time.time() * 1000 - self.age_ms
        deleted = _experiments(self.backend, ViewType.DELETED_ONLY)
        return [one for one in deleted if one.last_update_time is not None and one.last_update_time <= until]

    def _erase_experiment(self, experiment: Experiment, done: Collected) -> bool | None:
        """With all that is in it; None if something in it is needed or was restored."""
        ids = [experiment.experiment_id]
        backend = self.backend
        runs = list(all_pages(lambda token: backend.search_runs(ids, "", ViewType.ALL, AT_ONCE, page_token=token)))
        deleted = [one for one in _deleted_models(backend, 0) if one.experiment_id == experiment.experiment_id]
        models = [*all_pages(lambda token: backend.search_logged_models(ids, page_token=token)), *deleted]
        if self._is_needed(runs, models):
            return None
        erased = [(done.models, self._erase_model(one)) for one in models]
        erased += [(done.runs, self._erase_run(one)) for one in runs]
        for tally, gone in erased:
            _count(tally, gone)
        if all(gone for _, gone in erased):
            backend._hard_delete_experiment(experiment.experiment_id)
            return True
        return False

    def _is_needed(self, runs: Iterable[MlflowRun], models: Iterable[LoggedModel]) -> bool:
        return any(
            run.info.run_id in self.needed.origins or run.info.lifecycle_stage != DELETED for run in runs
        ) or any(model.model_id in self.needed.models for model in models)

    def _erase_run(self, run: MlflowRun) -> bool:
        if not _erase_files(run.info.artifact_uri):
            return False
        self.backend._hard_delete_run(run.info.run_id)
        return True

    def _erase_model(self, model: LoggedModel) -> bool:
        if not _erase_files(model.artifact_location):
            return False
        self.backend._hard_delete_logged_model(model.model_id)
        return True


def _count(tally: Tally, erased: bool | None) -> None:
    """None: it is kept on purpose."""
    if erased is None:
        tally.kept += 1
    elif erased:
        tally.erased += 1
    else:
        tally.failed += 1


def _erase_files(address: str) -> bool:
    """Whether they are gone. What points at files that stay is not erased, so that the next collection finds them."""
    try:
        get_artifact_repository(address).delete_artifacts()  # type: ignore[no-untyped-call]
    except Exception as error:  # each artifact store has its own
        warn(f"{address}: cannot be erased ({error}), so what it belongs to is kept")
        return False
    return True
