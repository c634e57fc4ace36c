"""MLflow's databases as tests have them: made once and copied, and not flushed to the disk at every step."""

import shutil
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow import __version__
from sqlalchemy import Engine, event

from anelab.files import replacing
from anelab.tracking import store
from tests.conftest import ROOT

_create = store._create


def copy_empty(database: Path) -> None:
    """An empty store, unless there is one. It takes MLflow seconds to make."""
    if database.is_file() and database.stat().st_size:
        return
    made = ROOT / ".anelab" / "tests" / f"mlflow-{__version__}.db"
    made.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{made}.lock"):
        if not made.is_file():
            _create(made)
    with replacing(database) as draft:
        shutil.copyfile(made, draft)


@event.listens_for(Engine, "connect")
def _without_flushing(connection: Any, record: object) -> None:
    """No test cuts the power."""
    if type(connection).__module__.startswith("sqlite3"):
        connection.execute("PRAGMA synchronous = OFF")
