"""The clients of examples/, run on exports as a reader runs them: without anelab."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import ROOT
from tests.inference.test_model import doubling
from tests.shared import copy_workspace

EXAMPLES = ROOT / "examples"
JAVASCRIPT = EXAMPLES / "javascript"
NODE_MODULES = ROOT / ".anelab" / "node" / "node_modules"
WORKLOADS = ("mnist", "read_quality")


class Client(NamedTuple):
    command: list[str]
    provider: str

    def run(self, *words: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*self.command, *map(str, words)], capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_workspace(tmp_path_factory.mktemp("exports"), *WORKLOADS) / "models"


@pytest.fixture(params=["python", "javascript"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Client:
    if request.param == "python":
        return Client([sys.executable, str(EXAMPLES / "python" / "golden.py")], "CPUExecutionProvider")
    node = shutil.which("node")
    if node is None or not (NODE_MODULES / "onnxruntime-node").is_dir():
        pytest.skip("Node or onnxruntime-node is not installed: install Node 20 or later, then run make javascript")
    folder = tmp_path / "client"  # Node looks for packages beside the program
    folder.mkdir()
    shutil.copy(JAVASCRIPT / "golden.mjs", folder)
    (folder / "node_modules").symlink_to(NODE_MODULES, target_is_directory=True)
    return Client([node, str(folder / "golden.mjs")], "cpu")


def changed(source: Path, target: Path, value: Any) -> Path:
    """A copy of an export in which the second golden case has another output for model.onnx."""
    target.mkdir()
    shutil.copy(source / "model.onnx", target)
    manifest = json.loads((source / "manifest.json").read_text())
    manifest["golden"][1]["outputs"]["model.onnx"]["output"]["values"][0] = value
    (target / "manifest.json").write_text(json.dumps(manifest))
    return target


def arrays(**values: list[Any]) -> dict[str, Any]:
    return {name: {"shape": [1, len(row)], "values": row} for name, row in values.items()}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_an_export_agrees_and_is_timed(client: Client, exports: Path, workload: str) -> None:
    export = exports / workload / "export"
    done = client.run(export)
    assert done.returncode == 0, done.stderr
    cases = len(json.loads((export / "manifest.json").read_text())["golden"])
    what, golden, *times = done.stdout.splitlines()
    assert what.startswith(f"{export / 'model.onnx'}: {client.provider}, ONNX Runtime ")
    assert golden.startswith(f"golden: {cases} of {cases} cases agree")
    for line, rows in zip(times, (1, 64), strict=True):
        assert re.fullmatch(rf"batch of {rows}: \d+\.\d\d us per row, median of 100 calls", line)


@pytest.mark.parametrize("value", [2.0, "nan"])
def test_a_changed_output_fails_and_its_case_is_named(
    client: Client, exports: Path, tmp_path: Path, value: Any
) -> None:
    folder = changed(exports / "read_quality" / "export", tmp_path / "changed", value)
    done = client.run(folder)
    assert done.returncode == 1
    assert f'{folder}: golden case 2: output "output" differs by ' in done.stderr
    assert "from the same export" in done.stderr
    assert "golden case 1" not in done.stderr
    assert "batch of" not in done.stdout


def test_values_that_are_no_numbers_agree_with_themselves(client: Client, tmp_path: Path) -> None:
    doubling(tmp_path / "model.onnx")
    given, files = arrays(x=["nan", "inf", "-inf"]), {"model.onnx": {"graph": "model"}}
    golden = [{"inputs": {"model": given}, "outputs": {"model.onnx": {"y": given["x"]}}}]
    (tmp_path / "manifest.json").write_text(json.dumps({"files": files, "golden": golden}))
    done = client.run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "golden: 1 of 1 cases agree" in done.stdout


def test_what_cannot_be_checked_is_said(client: Client, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"files": {"model.onnx": {"graph": "model"}}, "golden": []}))
    for folder, problem in ((tmp_path / "none", "manifest.json"), (tmp_path, "no golden outputs for model.onnx")):
        done = client.run(folder)
        assert done.returncode == 1
        assert done.stderr.startswith(f"{folder}: cannot check model.onnx with manifest.json (")
        assert problem in done.stderr
        assert done.stderr.endswith("give the unchanged folder of an export\n")
    assert client.run().returncode == 2


def test_no_example_needs_anelab() -> None:
    assert not re.search(r"^\s*(import|from) anelab", (EXAMPLES / "python" / "golden.py").read_text(), re.MULTILINE)


def test_the_package_is_pinned_and_its_lock_names_no_server() -> None:
    package, lock = (json.loads((JAVASCRIPT / name).read_text()) for name in ("package.json", "package-lock.json"))
    version = package["dependencies"]["onnxruntime-node"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    locked = lock["packages"]["node_modules/onnxruntime-node"]
    assert locked["version"] == version
    assert all("resolved" not in one and "integrity" in one for name, one in lock["packages"].items() if name)
