"""A real MLflow server on the loopback interface, in place of the embedded store."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tracking.test_registry import SETTINGS, WIDE, anelab_alone


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server whose database and artifacts are in the folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield wait_for(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path) as address:
        yield address


def wait_for(address: str) -> str:
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{address}/health", timeout=1).close()
            return address
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(address)


def test_a_workload_goes_to_a_server_as_to_the_embedded_store(server: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    named = {"MLFLOW_TRACKING_URI": server}
    done = anelab_alone(home, "run", "mnist", *SETTINGS, *WIDE, **named)
    assert done.returncode == 0, done.stderr
    assert "not in MLflow" not in done.stderr
    assert not (home / "mlruns").exists()
    shown = anelab_alone(home, "model", "inspect", "mnist-onnx", **named)
    assert "aliases: champion" in shown.stdout
    assert json.loads(anelab_alone(home, "sync", "--json", **named).stdout)["runs_found"] == 6
