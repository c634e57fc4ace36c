"""Which MLflow store is used, and a client of it."""

import fcntl
import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from anelab.errors import AnelabError, warn
from anelab.files import replacing
from anelab.texts import printable
from anelab.tracking.relocate import relocate
from anelab.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"
PROBE_SECONDS = 3
DELETED = "deleted"
"""MLflow's lifecycle stage of what was deleted but not erased yet."""
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""MLflow's pages otherwise open on traces of language models."""
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


class StoreUnreachableError(AnelabError):
    """The tracking server does not answer. Nothing is lost: `anelab sync` catches up later."""


def store_uri(workspace: Workspace) -> str:
    """MLFLOW_TRACKING_URI if set, else the SQLite database embedded in the workspace's mlruns/."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{workspace.store_root / 'mlruns' / 'mlflow.db'}"


def _folder_of(uri: str) -> Path | None:
    """Where an SQLite database lies; artifacts then go beside it."""
    return Path(uri.removeprefix(SQLITE)).absolute().parent if uri.startswith(SQLITE) else None


class StoreFailedError(AnelabError):
    """The store answered, but could not do what was asked."""


@dataclass(frozen=True)
class Store:
    """An open store. `root` is the folder of an SQLite one, None for a server; `lock` keeps the writers
    of this workspace apart; `moved` counts addresses that were mended because the folder was moved."""

    uri: str
    root: Path | None
    lock: Path
    moved: int = 0

    @cached_property
    def client(self) -> "MlflowClient":
        from mlflow import MlflowClient

        _make_default(self.uri)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def experiment(self, workload: str) -> str:
        """The id of the workload's experiment, to write to: created if need be, restored if it was deleted."""
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(workload)
        if found:
            if found.lifecycle_stage == DELETED:
                self.client.restore_experiment(found.experiment_id)
                warn(f"the experiment {workload} was deleted in MLflow; it is needed, so it is restored with its runs")
            return str(found.experiment_id)
        place = (self.root / "artifacts" / workload).as_uri() if self.root else None
        try:
            return str(self.client.create_experiment(workload, place, EXPERIMENT_TAGS))
        except MlflowException:  # another process made it meanwhile
            again = self.client.get_experiment_by_name(workload)
            if again is None:
                raise
            return str(again.experiment_id)

    def existing_experiment(self, workload: str) -> str | None:
        """The id of the workload's experiment, to read it; None if there is none. Raises AnelabError if it was
        deleted in MLflow."""
        found = self.client.get_experiment_by_name(workload)
        if found is not None and found.lifecycle_stage == DELETED:
            raise AnelabError(
                f"the experiment {workload} was deleted in MLflow; run `anelab sync`, which restores it with its runs"
            )
        return str(found.experiment_id) if found else None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Raises AnelabError where MLflow, its database or the files raise."""
        try:
            yield
        except AnelabError:
            raise
        except Exception as error:  # MLflow's, SQLAlchemy's, a driver's, or a file's: they have no base in common
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise AnelabError(
                f"the MLflow store {without_password(self.uri)} cannot be read: {reason}; if another process holds "
                "it, try again in a moment, else run `anelab sync`, which puts back what is lost"
            ) from None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One writer of this workspace at a time, others wait. Raises StoreFailedError where MLflow raises."""
        from mlflow.exceptions import MlflowException

        with _locked(self.lock):
            try:
                yield
            except MlflowException as error:
                reason = str(error).strip().partition("\n")[0]
                raise StoreFailedError(
                    f"the MLflow store {without_password(self.uri)} failed: {reason}; if that was deleted in MLflow, "
                    "`anelab sync` restores what the files record"
                ) from error


@contextmanager
def _locked(lock: Path, patience_s: float = math.inf) -> Iterator[None]:
    """Raises BlockingIOError if another process does not let go in that time."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + patience_s
    with lock.open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if math.isfinite(patience_s) else 0))
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise BlockingIOError("database is locked") from None
                time.sleep(0.05)
        yield


def open_store(workspace: Workspace, patience_s: float = math.inf) -> Store:
    """Raises StoreUnreachableError, within seconds, if a server is named that does not answer; after `patience_s` if
    another process does not let go of a database."""
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    uri = store_uri(workspace)
    if uri.startswith(("http://", "https://")):
        _probe(uri)
    _silence()
    try:
        return _open(uri, workspace, patience_s)
    except StoreUnreachableError:
        raise
    except Exception as error:  # SQLAlchemy's and drivers' own, besides MLflow's
        reason = str(error).strip().partition("\n")[0]
        raise StoreUnreachableError(
            f"the MLflow store {without_password(uri)} cannot be opened: {reason}; {_fix(reason, uri)}"
        ) from None


def _fix(reason: str, uri: str) -> str:
    if "Invalid Host header" in reason:
        return "the server does not allow this name for itself; start it with the name in `--allowed-hosts`"
    if uri.startswith(("http://", "https://")):
        return "see MLFLOW_TRACKING_URI, and the server's own log"
    if "locked" in reason:
        return "another process is writing to it; try again in a moment"
    if "ermission" in reason or "read-only" in reason or "readonly" in reason:
        return "SQLite and MLflow need to write beside it even to read: give this user that right, or copy the folder"
    if "schema" in reason or "revision" in reason:
        return (
            "another version of MLflow made it: use that one, which the project's requirements.lock names, or upgrade "
            "a copy with `mlflow db upgrade`"
        )
    return "see MLFLOW_TRACKING_URI, or delete the database if it is damaged; then run `anelab sync`"


def _open(uri: str, workspace: Workspace, patience_s: float) -> Store:
    root = _folder_of(uri)
    lock = root / ".lock" if root else workspace.state / "store.lock"
    moved = 0
    if root:
        database = Path(uri.removeprefix(SQLITE))
        _check_database(database)
        with _locked(lock, patience_s):
            _create(database)
            here = f"{(root / 'artifacts').as_uri()}/"
            moved = relocate(database, here, min(patience_s, 30)) if root.name == "mlruns" else 0
    store = Store(uri, root, lock, moved)
    store.client.search_experiments(max_results=1)
    return store


def _check_database(database: Path) -> None:
    """Raises StoreUnreachableError for what is no file, before anything is written beside it."""
    if not database.name:
        raise StoreUnreachableError(f"{SQLITE} names no file; give {SQLITE}/path/to/mlflow.db in MLFLOW_TRACKING_URI")
    if database.exists() and not database.is_file():
        raise StoreUnreachableError(f"{database}: is no file, so it cannot be an MLflow store")


def _create(database: Path) -> None:
    """Make the database under another name first: a half-made one could never be opened again."""
    from mlflow import MlflowClient

    if not database.is_file() or not database.stat().st_size:
        with replacing(database) as draft:
            MlflowClient(f"{SQLITE}{draft}", f"{SQLITE}{draft}").search_experiments(max_results=1)


def _make_default(uri: str) -> None:
    """Make `uri` MLflow's own default too: its registry looks up logged models through the default,
    whatever client it was called on. MLflow would also set the environment variable, which is the
    user's way to name a store, so that is put back."""
    import mlflow

    named = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    if named is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)


def _probe(uri: str) -> None:
    """Raise StoreUnreachableError unless something answers there, whatever it says."""
    import http.client  # slow, and most stores are no servers
    import urllib.error
    import urllib.request

    address = re.sub(r"//[^/]*@", "//", uri).rstrip("/")
    try:
        urllib.request.urlopen(f"{address}/health", timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return
    except (OSError, ValueError, http.client.HTTPException) as error:  # none of an address, or no HTTP behind it
        reason = printable(getattr(error, "reason", error) or type(error).__name__)
        raise StoreUnreachableError(
            f"the MLflow server {without_password(uri)} does not answer ({reason}); "
            "results are in data/, models/ and reports/: start it or unset MLFLOW_TRACKING_URI, then run `anelab sync`"
        ) from None


def without_password(uri: str) -> str:
    """As it may be shown: a password may have a slash, too."""
    return printable(uri if uri.startswith(SQLITE) else re.sub(r"//.*@", "//***@", uri))


def _silence() -> None:
    """Alembic tells of every migration of a new database, MLflow of every version it makes and folder it misses."""
    import logging

    parts = ("store.artifact", "store.db.utils", "store.model_registry", "tracking")
    for name in ("alembic", *(f"mlflow.{part}" for part in parts)):
        logging.getLogger(name).setLevel(logging.WARNING)
