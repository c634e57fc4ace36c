import socket
import time
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR

from anelab.errors import AnelabError
from anelab.tracking.registration import binding_promotions
from anelab.tracking.store import StoreUnreachableError, _fix, open_store, store_uri, without_password
from anelab.workspace import Workspace
from tests.commands import start_forked
from tests.conftest import ROOT


def test_the_environment_wins_then_dvc_root_then_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, real, out = tmp_path / "here", tmp_path / "real", tmp_path / "out"
    assert store_uri(Workspace(here, here)) == f"sqlite:///{here}/mlruns/mlflow.db"
    assert store_uri(Workspace(here, out)) == f"sqlite:///{out}/mlruns/mlflow.db"
    monkeypatch.setenv("DVC_ROOT", str(real))
    assert store_uri(Workspace(here, here)) == f"sqlite:///{real}/mlruns/mlflow.db"
    assert store_uri(Workspace(here, out)) == f"sqlite:///{out}/mlruns/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example")
    assert store_uri(Workspace(here, here)) == "http://tracking.example"


def test_a_server_that_is_down_is_said_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@127.0.0.1:{port}")
    started = time.monotonic()
    with pytest.raises(StoreUnreachableError, match=r"does not answer.*then run `anelab sync`") as caught:
        open_store(Workspace(tmp_path, tmp_path))
    assert time.monotonic() - started < 10
    assert "secret" not in str(caught.value)


def test_a_database_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "mlflow.db").write_bytes(b"this is not a database, but long enough to look at" * 100)
    with pytest.raises(StoreUnreachableError, match="cannot be opened"):
        open_store(Workspace(tmp_path, tmp_path))


def test_a_server_that_refuses_its_name_is_not_a_damaged_database() -> None:
    assert "--allowed-hosts" in _fix("403: Invalid Host header - possible DNS rebinding attack", "http://server:5000")
    assert "delete" not in _fix("500: something", "http://server:5000")


def test_passwords_are_not_shown() -> None:
    assert without_password("postgresql://me:secret@host/db") == "postgresql://***@host/db"


def make(folder: Path, result: Path) -> None:
    store = open_store(Workspace(folder, folder))
    result.write_text(store.experiment("mnist"))


def test_four_processes_make_one_store_and_one_experiment(tmp_path: Path) -> None:
    home, results = tmp_path / "home", [tmp_path / str(number) for number in range(4)]
    running = [start_forked(make, home, result) for result in results]
    for process in running:
        process.join(120)
    assert [process.exitcode for process in running] == [0] * 4
    assert len({result.read_text() for result in results}) == 1


def test_the_embedded_store_is_known_by_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path, tmp_path)
    for named in ("", store_uri(workspace)):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", named)
        assert open_store(workspace).root == tmp_path / "mlruns"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other/x.db")
    store = open_store(workspace)
    assert store.client.get_experiment(store.experiment("mnist")).artifact_location.startswith(
        (tmp_path / "other").as_uri()
    )


def test_a_process_killed_while_it_makes_the_store_leaves_none(tmp_path: Path) -> None:
    """At whatever moment: the next one makes it."""
    home, result = tmp_path / "home", tmp_path / "result"
    for seconds in (0.4, 0.8, 1.6):
        process = start_forked(make, home, result)
        time.sleep(seconds)
        process.kill()
        process.join()
    process = start_forked(make, home, result)
    process.join(120)
    assert (process.exitcode, result.read_text()) == (0, "1")


def test_a_store_that_fails_is_not_one_without_a_champion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else any candidate would pass while a server stumbles."""
    workspace = Workspace(ROOT, tmp_path)
    store = open_store(workspace)
    assert binding_promotions(store, workspace, "mnist", "mnist-onnx").champion is None

    def fail(name: str) -> None:
        raise MlflowException("try again", INTERNAL_ERROR)

    monkeypatch.setattr(store.client, "get_registered_model", fail)
    with pytest.raises(AnelabError, match="try again"):
        binding_promotions(store, workspace, "mnist", "mnist-onnx")
