"""Clients of others ask the server: tritonclient, kserve, mlserver. `make clients` gets them, each into an environment
of its own. ANELAB_OIP_URL and ANELAB_OIP_GRPC name another server that serves `simple`, to be asked instead of ours."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from anelab.serving.repository import Repository
from tests.conftest import ROOT
from tests.serving.conftest import running
from tests.serving.test_server import free_port

ENVIRONMENTS = ROOT / ".anelab" / "clients"
SCRIPTS = Path(__file__).parent / "clients"
GRPC_PORT = free_port()
pytestmark = pytest.mark.skipif(not ENVIRONMENTS.is_dir(), reason="clients of others: `make clients` gets them")


@pytest.fixture(scope="module")
def url(models: Repository) -> Iterator[str]:
    named = os.environ.get("ANELAB_OIP_URL")
    if named:
        yield named.rstrip("/")
        return
    with running(models, grpc_port=GRPC_PORT) as client:
        yield f"http://127.0.0.1:{client.port}"


def run(environment: str, *arguments: str, folder: Path | None = None) -> str:
    command = [str(ENVIRONMENTS / environment / "bin" / arguments[0]), *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_tritonclient_over_http(url: str) -> None:
    assert "PASS" in run("tritonclient", "python", str(SCRIPTS / "triton_http.py"), url.partition("://")[2])


def test_tritonclient_over_grpc(url: str) -> None:
    address = os.environ.get("ANELAB_OIP_GRPC", f"127.0.0.1:{GRPC_PORT}")
    assert "PASS" in run("tritonclient", "python", str(SCRIPTS / "triton_grpc.py"), address)


def test_kserve(url: str) -> None:
    assert "PASS" in run("kserve", "python", str(SCRIPTS / "kserve_rest.py"), url)


def test_mlserver_infer(url: str, tmp_path: Path) -> None:
    rows = [list(range(16)), [1] * 16]
    inputs = [{"name": f"INPUT{n}", "shape": [1, 16], "datatype": "INT32", "data": row} for n, row in enumerate(rows)]
    (tmp_path / "in.txt").write_text(json.dumps({"inputs": inputs}) + "\n")
    files = ("-i", str(tmp_path / "in.txt"), "-o", str(tmp_path / "out.txt"))
    run("mlserver", "mlserver", "infer", "-u", url.partition("://")[2], "-m", "simple", *files)
    outputs = {item["name"]: item["data"] for item in json.loads((tmp_path / "out.txt").read_text())["outputs"]}
    assert outputs == {
        "OUTPUT0": [one + other for one, other in zip(*rows, strict=True)],
        "OUTPUT1": [one - other for one, other in zip(*rows, strict=True)],
    }


def test_schemathesis_finds_no_error_of_the_server(url: str, tmp_path: Path) -> None:
    """By the OpenAPI document: examples, values at its bounds, and random ones."""
    options = ("--checks", "not_a_server_error", "--max-examples", "10", "--phases", "examples,coverage,fuzzing")
    said = run("schemathesis", "schemathesis", "run", f"{url}/openapi.json", *options, folder=tmp_path)
    assert "passed" in said
