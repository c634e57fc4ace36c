"""The wheel alone, in an environment of its own, in an empty folder: what is asked for is all inside."""

import os
import socket
import subprocess
import sys
import urllib.request
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.inference.test_model import doubling
from tests.mlflow_server import wait_until

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what git has or would add: not from a former build."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith(("tests/", "reports/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(out)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True)
    return next(out.glob("anelab-*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment with the wheel; what it depends on is lent by this one, anelab itself is not."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "dependencies.pth").write_text(f"{Path(np.__file__).parents[1]}\n")
    return folder / "bin" / "python"


@pytest.fixture
def run(python: Path, tmp_path: Path) -> Run:
    def command(*words: str) -> "subprocess.CompletedProcess[str]":
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [python, "-m", "anelab", *words], cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    return command


def test_the_wheel_has_the_dashboard_and_the_templates(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    pages = {f"anelab/{path.relative_to(ROOT)}" for path in (ROOT / "dashboards").rglob("*.py")}
    assert pages | {"anelab/dashboards/.streamlit/config.toml", "anelab/bench/published/results.json"} <= set(names)
    assert "anelab/templates/workload.py.txt" in names
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests/")]


def test_it_predicts_and_looks_after_itself_in_an_empty_folder(run: Run, python: Path, tmp_path: Path) -> None:
    doubling(tmp_path / "model.onnx")
    np.save(tmp_path / "rows.npy", np.ones((2, 3), np.float32))
    where = subprocess.run([python, "-c", "import anelab; print(anelab.__file__)"], capture_output=True, text=True)
    assert where.stdout.startswith(str(python.parents[1]))
    done = run("predict", "model.onnx", "rows.npy", "-o", "out.npz")
    assert done.returncode == 0, done.stderr
    examined = run("doctor")
    assert examined.returncode == 0, examined.stdout + examined.stderr
    assert "params.yaml: none in" in examined.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "out.npz", "rows.npy"]
    timed = run("bench", "run", "model.onnx", "--arm", "ort-cpu")
    assert timed.returncode == 0 and "ort-cpu:fp32" in timed.stdout, timed.stderr
    assert len(list(tmp_path.glob("model-*.bench.zip"))) == 1
    refused = run("train", "mnist")
    assert (refused.returncode, "run anelab inside a clone of the project" in refused.stderr) == (2, True)


def test_it_serves_the_dashboard(python: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [python, "-m", "anelab", "dashboard", "--port", str(port)]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log) as served:
        try:
            wait_until(f"http://127.0.0.1:{port}/_stcore/health")
            page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read()
            assert b"<title>" in page
        finally:
            served.terminate()
