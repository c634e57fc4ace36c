"""A moved repository: MLflow writes absolute artifact addresses into its database, so they are rewritten."""

import sqlite3
from contextlib import closing
from pathlib import Path

COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)


def relocate(database: Path, artifacts: Path, patience_s: float) -> int:
    """Point an SQLite store's addresses at where its artifacts lie now. Returns how many were changed. A writer is
    waited for."""
    here = artifacts.as_uri() + "/"
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
