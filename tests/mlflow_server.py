"""A real MLflow server on the loopback interface, in place of the embedded store."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.stores import copy_empty


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server whose database and artifacts are in the folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    copy_empty(folder / "server.db")
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


def wait_for(address: str) -> str:
    wait_until(f"{address}/health")
    return address


def wait_until(page: str) -> None:
    """Until the page answers. Raises TimeoutError after a minute."""
    for _ in range(120):
        try:
            urllib.request.urlopen(page, timeout=1).close()
            return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(page)
