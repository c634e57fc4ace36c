"""MLflow writes absolute artifact addresses into its database. They are rewritten when the folder was moved, and in a
copy that a server is to serve."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from anelab.errors import UsageError
from anelab.files import replacing_folder

COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)


DATABASE, ARTIFACTS = "mlflow.db", "artifacts"
SERVED = "mlflow-artifacts:/"
"""Where a server that serves artifacts has them, whatever its folder is."""


def relocate(database: Path, here: str, patience_s: float) -> int:
    """Point an SQLite store's addresses at the address `here`, which ends in a slash. Returns how many were changed. A
    writer is waited for."""
    with closing(sqlite3.connect(database, timeout=patience_s)) as connection, connection:
        return sum(_relocate_column(connection, table, column, here) for table, column in COLUMNS)


def _relocate_column(connection: sqlite3.Connection, table: str, column: str, here: str) -> int:
    """Replace all before '/mlruns/artifacts/', once for each address that is not `here` already."""
    mark = "/mlruns/artifacts/"
    query = (
        f"UPDATE {table} SET {column} = ? || substr({column}, instr({column}, ?) + length(?)) "
        f"WHERE {column} LIKE 'file:%' AND instr({column}, ?) > 0 AND substr({column}, 1, length(?)) <> ?"
    )
    return connection.execute(query, (here, mark, mark, mark, here, here)).rowcount


def copy_for_server(database: Path, out: Path) -> int:
    """Copy an embedded store into the new folder `out`, as mlflow.db and artifacts/, with the addresses that an MLflow
    server gives to its clients. Returns how many there are. Raises UsageError if `out` is there already, or if the
    store is not one of a workspace."""
    artifacts = database.parent / ARTIFACTS
    if out.exists():
        raise UsageError(f"{out}: is there already; name a new folder")
    if database.parent.name != "mlruns" or not database.is_file() or not artifacts.is_dir():
        raise UsageError(f"{database}: is no store of a workspace (mlruns/{DATABASE} with {ARTIFACTS}/ beside it)")
    with replacing_folder(out) as draft:
        address = f"{database.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as ours, closing(sqlite3.connect(draft / DATABASE)) as theirs:
            ours.backup(theirs)
        shutil.copytree(artifacts, draft / ARTIFACTS)
        return relocate(draft / DATABASE, SERVED, 30)
