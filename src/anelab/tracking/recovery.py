"""What was deleted in MLflow but is recorded in files, or is what a registered version comes from: brought back.

MLflow deletes in two steps. What is deleted can be restored under its old id; what was erased (`mlflow gc`) is made
anew from the files, by whoever publishes them. A logged model has its version's tags, so that a deleted version or
registered model comes back from it without the files at hand.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from mlflow.entities import LoggedModel, ViewType
from mlflow.entities import Run as MlflowRun
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking._tracking_service.utils import _get_store

from anelab.tracking.query import all_of, named, tagged
from anelab.tracking.reference import SCHEME
from anelab.tracking.store import Store

MISSING = "RESOURCE_DOES_NOT_EXIST"
MOST_RUNS = 50_000
"""At a time, by MLflow's own limit."""
AT_ONCE = 200

Item = TypeVar("Item")


def logged_model_of(version: ModelVersion) -> str:
    """The id of the logged model that has the version's files."""
    return str(version.source).removeprefix(SCHEME)


def has_logged_model(store: Store, version: ModelVersion) -> bool:
    """Whether the version's logged model is neither deleted nor erased."""
    return _exists(lambda: store.client.get_logged_model(logged_model_of(version)))


def has_run(store: Store, run_id: str) -> bool:
    """Whether the run was not erased; a deleted one is there."""
    return _exists(lambda: store.client.get_run(run_id))


def _exists(get: Callable[[], object]) -> bool:
    try:
        get()
    except MlflowException as error:
        if error.error_code == MISSING:
            return False
        raise
    return True


def database(store: Store) -> Any:
    """MLflow's own access to its database, which can do more than its client; None behind a server."""
    backend = _get_store(store.uri)  # type: ignore[no-untyped-call]
    return backend if hasattr(backend, "ManagedSessionMaker") else None


def all_pages(get: Callable[[str | None], Any]) -> Iterator[Any]:
    """Every item of a search that MLflow answers in pages; `get` takes a page's token."""
    token = None
    while True:
        page = get(token)
        yield from page
        token = page.token
        if not token:
            return


def versions_in(store: Store, model: str) -> list[ModelVersion]:
    """Every version of a registered model, newest first."""
    query, order = named(model), ["version_number DESC"]
    return list(all_pages(lambda token: store.client.search_model_versions(query, AT_ONCE, order, token)))


def restore_logged_models(store: Store, model: str) -> None:
    """Undo the deletion of logged models that have the files of `model`'s versions. MLflow's client cannot, its
    database can; behind a server they stay deleted."""
    backend = database(store)
    deleted = set(backend._get_deleted_logged_models()) if backend else set()
    if deleted:
        for model_id in deleted & {logged_model_of(version) for version in versions_in(store, model)}:
            _restore_logged_model(backend, model_id)


def _restore_logged_model(backend: Any, model_id: str) -> None:
    with backend.ManagedSessionMaker(read_only=False) as session:
        backend._get_logged_model_record(session, model_id).lifecycle_stage = "active"


def recover_version(store: Store, workload: str, model: str, tag: str, value: str) -> ModelVersion | None:
    """A version of a logged model that has that tag, where the registry lost its own; None if there is none."""
    query = all_of(named(model), tagged(tag, value))
    found: list[LoggedModel] = list(store.client.search_logged_models([store.experiment(workload)], query))
    found = found or _restored(store, model, tag, value)
    ready = [one for one in found if store.client.list_logged_model_artifacts(one.model_id)]
    if not ready:
        return None
    first = min(ready, key=lambda one: one.creation_timestamp)
    ensure_model(store, model)
    return store.client.create_model_version(
        model, f"{SCHEME}{first.model_id}", first.source_run_id, first.tags, model_id=first.model_id
    )


def _restored(store: Store, model: str, tag: str, value: str) -> list[LoggedModel]:
    """Logged models that have that tag and were deleted, restored where that can be."""
    backend = database(store)
    deleted = backend._get_deleted_logged_models() if backend else []
    all_of_them = [backend.get_logged_model(model_id, allow_deleted=True) for model_id in deleted]
    found = [one for one in all_of_them if one.name == model and one.tags.get(tag) == value]
    for one in found:
        _restore_logged_model(backend, one.model_id)
    return found


def ensure_model(store: Store, model: str) -> None:
    try:
        store.client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def restore_run(store: Store, workload: str, query: str) -> MlflowRun | None:
    """The newest finished run that was deleted and matches, restored; None if there is none."""
    deleted = search_runs(store, workload, query, ViewType.DELETED_ONLY)
    finished = [run for run in deleted if run.info.status == "FINISHED"]
    if not finished:
        return None
    store.client.restore_run(finished[0].info.run_id)
    return store.client.get_run(finished[0].info.run_id)


def search_runs(store: Store, workload: str, query: str, view: int = ViewType.ACTIVE_ONLY) -> list[MlflowRun]:
    """Newest first."""
    return list(store.client.search_runs([store.experiment(workload)], query, view, MOST_RUNS))
