"""Claims in a real PostgreSQL, which a team's server has: of many agents at once one gets a job."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from anelab.tracking import claims
from anelab.tracking.models import Version
from anelab.tracking.store import Store, open_store
from anelab.workspace import Workspace
from tests.conftest import ROOT

PROGRAMS = [*sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")), *filter(None, [shutil.which("initdb")])]


def as_postgres(folder: Path, *command: str) -> None:
    """PostgreSQL does not run as root."""
    words = ["runuser", "-u", "postgres", "--", *command] if os.getuid() == 0 else list(command)
    subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    if not PROGRAMS:
        pytest.skip("PostgreSQL's server is not installed (initdb is not found)")
    programs = Path(PROGRAMS[-1]).parent
    folder = Path(tempfile.mkdtemp(prefix="anelab-postgres-"))  # pytest's own folders are for its user alone
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    cluster = folder / "cluster"
    as_postgres(folder, str(programs / "initdb"), "-D", str(cluster), "-U", "anelab", "-A", "trust")
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    control = [str(programs / "pg_ctl"), "-D", str(cluster), "-w"]
    as_postgres(folder, *control, "-o", settings, "-l", str(folder / "log"), "start")
    try:
        yield f"postgresql+psycopg2://anelab@127.0.0.1:{port}/postgres"
    finally:
        as_postgres(folder, *control, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def store(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    return open_store(Workspace(ROOT, tmp_path))


def version(store: Store, name: str) -> Version:
    """A registered version without files."""
    logged = store.client.create_logged_model(store.experiment("mnist"), name)
    store.client.finalize_logged_model(logged.model_id, "READY")
    store.client.create_registered_model(name)
    return store.client.create_model_version(name, f"models:/{logged.model_id}", model_id=logged.model_id)


def test_of_many_that_reach_for_one_job_at_once_one_gets_it(store: Store) -> None:
    claims.request(store, version(store, "mnist-onnx"), "*")
    (asked,) = claims.requested(store, ["mnist"])

    def reach(number: int) -> Any:
        return claims.claim(store, asked, f"host:{number}", 900)

    with ThreadPoolExecutor(24) as pool:
        taken = [claim for claim in pool.map(reach, range(24)) if claim is not None]
    assert len(taken) == 1
    holder = store.client.get_logged_model(str(asked.source).removeprefix("models:/")).params
    assert [key for key in holder if key.startswith(claims.CLAIM)] == ["bench.claim.1"]
    claims.begin(store, taken[0], "a")
    claims.finish(store, taken[0], "done", {})
    tags = store.client.get_model_version(asked.name, asked.version).tags
    assert (tags["bench.status"], "bench.request" in tags) == ("done", False)


def test_what_asks_again_can_be_claimed_again(store: Store) -> None:
    asked = version(store, "mnist-coreml")
    for number in (1, 2, 3):
        claims.request(store, asked, "system=Linux")
        (found,) = claims.requested(store, ["mnist"])
        taken = claims.claim(store, found, "host:a", 900)
        assert taken is not None and taken.number == number
        claims.finish(store, taken, "failed" if number == 1 else "done", {})
    assert claims.requested(store, ["mnist"]) == []
