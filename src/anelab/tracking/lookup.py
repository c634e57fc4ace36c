"""The folder of a registered version, and the gates that it failed.

Of an SQLite store by queries, so that MLflow need not be imported."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

from anelab.errors import AnelabError
from anelab.tracking.gate_tags import failed_gates, held_back
from anelab.tracking.reference import CHAMPION, VersionReference
from anelab.tracking.store import SQLITE, store_uri
from anelab.workspace import Workspace

MARK = "/mlruns/artifacts/"
IS_CHAMPION = (
    "version.version = (select version from registered_model_aliases where name = version.name and alias = 'champion')"
)
QUERY = f"""
select version.version, version.storage_location, {IS_CHAMPION}
from model_versions as version
left join registered_model_aliases as alias on alias.name = version.name and alias.alias = ?
where version.name = ? and version.version = coalesce(alias.version, ?)
and version.current_stage <> 'Deleted_Internal'
"""
NUMBERS = "select version from model_versions where name = ? and current_stage <> 'Deleted_Internal'"
TAGS = "select key, value from model_version_tags where name = ? and version = ?"


@dataclass(frozen=True)
class VersionFiles:
    """`failed_gates`: reasons by the gates that hold the version back."""

    folder: Path
    failed_gates: Mapping[str, str]


def current_version(workspace: Workspace, reference: VersionReference) -> str:
    """The number of the version that is meant now. Raises AnelabError if there is none."""
    uri = store_uri(workspace)
    if uri.startswith(SQLITE):
        return _row_of(_database(workspace, uri), reference.model, reference.version)[0]
    from anelab.tracking.models import resolve
    from anelab.tracking.store import open_store

    return str(resolve(open_store(workspace), reference.model, reference.version).version)


@contextmanager
def version_files(workspace: Workspace, reference: VersionReference) -> Iterator[VersionFiles]:
    """The version's files, for as long as the block lasts. Raises AnelabError if there is no such version."""
    uri = store_uri(workspace)
    if not uri.startswith(SQLITE):
        with _downloaded(workspace, reference) as found:
            yield found
        return
    yield _files_of(_database(workspace, uri), reference.model, reference.version)


def _database(workspace: Workspace, uri: str) -> Path:
    database = Path(uri.removeprefix(SQLITE))
    if not database.is_file():
        recorded = any(workspace.root.glob("models/*/receipts/*.json"))
        fix = "run `anelab sync`, which makes it from the files" if recorded else "run `make repro`"
        raise AnelabError(f"there is no MLflow store at {database}; {fix}, or give a folder or an .onnx file")
    return database


def _row_of(database: Path, model: str, version: str) -> tuple[str, str, bool, dict[str, str]]:
    """Number, address, whether it is champion, and tags."""
    number = int(version) if version.isdigit() else None
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute(QUERY, (version, model, number)).fetchone()
            numbers = [found[0]] if found else [row[0] for row in connection.execute(NUMBERS, (model,)).fetchall()]
            tags = {number: dict(connection.execute(TAGS, (model, number)).fetchall()) for number in numbers}
    except sqlite3.Error as error:
        raise AnelabError(f"the MLflow store {database} cannot be read ({error}); run `anelab doctor`") from None
    if found is None:
        why = held_back(model, version, tags)
        lost = "" if why else "; `anelab sync` brings back what the files record"
        raise AnelabError(
            f"{model} has no version or alias {version} in {database}{why}; see `anelab model list {model}`{lost}"
        )
    return str(found[0]), str(found[1]), bool(found[2]), tags[found[0]]


def _files_of(database: Path, model: str, version: str) -> VersionFiles:
    number, address, is_champion, tags = _row_of(database, model, version)
    folder = Path(unquote(urlparse(address).path))
    if not folder.is_dir() and MARK in str(folder):  # the repository was moved
        folder = database.parent / "artifacts" / str(folder).partition(MARK)[2]
    if not folder.is_dir():
        raise AnelabError(f"the files of {model} version {number} are not at {folder}; run `anelab sync`")
    return VersionFiles(folder, failed_gates(tags, is_champion))


@contextmanager
def _downloaded(workspace: Workspace, reference: VersionReference) -> Iterator[VersionFiles]:
    import tempfile

    from anelab.tracking.models import aliases_of, download, resolve
    from anelab.tracking.store import open_store

    store = open_store(workspace)
    with tempfile.TemporaryDirectory() as scratch:
        version = resolve(store, reference.model, reference.version)
        failed = failed_gates(version.tags, CHAMPION in aliases_of(store, version))
        yield VersionFiles(download(store, version, Path(scratch)), failed)
