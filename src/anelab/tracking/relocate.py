"""A moved repository: MLflow writes absolute artifact addresses into its database, so they are rewritten."""

import sqlite3
from contextlib import closing

from anelab.tracking.store import Store

COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)


def relocate(store: Store) -> int:
    """Point the embedded store's addresses at where it lies now. Returns how many were changed."""
    if store.root is None:
        return 0
    here = (store.root / "artifacts").as_uri() + "/"
    with closing(sqlite3.connect(store.root / "mlflow.db", timeout=30)) as database, database:
        return sum(_relocate_column(database, table, column, here) for table, column in COLUMNS)


def _relocate_column(database: sqlite3.Connection, table: str, column: str, here: str) -> int:
    """Replace all before '/mlruns/artifacts/', once for each address that is not `here` already."""
    mark = "/mlruns/artifacts/"
    query = (
        f"UPDATE {table} SET {column} = ? || substr({column}, instr({column}, ?) + length(?)) "
        f"WHERE {column} LIKE 'file:%' AND instr({column}, ?) > 0 AND substr({column}, 1, length(?)) <> ?"
    )
    return database.execute(query, (here, mark, mark, mark, here, here)).rowcount
