import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from anelab import doctor, workloads
from anelab.workspace import Workspace
from tests.commands import anelab
from tests.conftest import ROOT

DVC = str(Path(sys.executable).with_name("dvc"))


def test_this_machine_is_examined_and_every_trouble_has_a_fix(tmp_path: Path) -> None:
    found = {finding.name: finding for finding in doctor.examine(Workspace(ROOT, tmp_path))}
    assert set(doctor.TESTED) <= set(found)
    assert found["coremltools"].level == "ok"
    assert found["libmilstoragepython"].text == "is there and loads"
    assert "CPUExecutionProvider" in found["onnxruntime providers"].text
    assert found["params.yaml"].text == f"{len(workloads.names())} workloads"
    assert "0 registered models" in found["MLflow store"].text
    assert found["disk"].text.endswith(f"free at {tmp_path}")
    assert all(finding.fix for finding in found.values() if finding.level != "ok")


def test_versions_are_held_against_those_that_were_tested() -> None:
    assert doctor.check_version("torch", "2.13.0+cpu").level == "ok"
    assert doctor.check_version("torch", "2.14.1").level == "warning"
    assert doctor.check_version("torch", None).text == "is not installed"
    numpy = doctor.check_version("numpy", "2.4.6")
    assert (numpy.level, "coremltools 9 fails" in numpy.text) == ("error", True)
    assert "make setup" in numpy.fix
    assert ".[coreai]" in doctor.check_optional("coreai-torch", "coreai", None).text


def test_the_tested_versions_are_those_of_the_lock() -> None:
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    pinned = dict(line.split(" ")[0].split("==") for line in lock if "==" in line)
    for package, tested in doctor.TESTED.items():
        assert f"{pinned[package]}.".startswith(f"{tested}."), package


@pytest.mark.parametrize(("free_gib", "level"), [(20, "ok"), (3, "warning"), (0.5, "error")])
def test_free_disk(free_gib: float, level: str) -> None:
    found = doctor.check_disk(Path("somewhere"), int(free_gib * 2**30))
    assert found.level == level
    assert f"{free_gib:.1f} GiB free at somewhere" in found.text


def test_a_translated_python_and_a_missing_native_part_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    python = doctor.check_python()
    assert (python.level, "native (arm64)" in python.fix) == ("warning", True)
    monkeypatch.setitem(sys.modules, "coremltools.libcoremlpython", None)
    found = {finding.name: finding for finding in doctor.check_native()}
    assert [finding.level for finding in found.values()] == ["ok", "error"]
    assert "does not load" in found["libcoremlpython"].text
    assert "make setup" in found["libcoremlpython"].fix
    monkeypatch.setattr("anelab.export.runtime.providers", lambda: ["CPUExecutionProvider"])
    assert doctor.check_providers().level == "warning"


@pytest.mark.skipif(sys.platform == "darwin", reason="says what happens where there is no macOS")
def test_devices_of_a_mac_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.export.fake_apple import FakeApple

    assert doctor.check_devices().text.startswith("needs macOS")
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("anelab.export.apple.native", FakeApple)
    assert doctor.check_devices().text == "CPU, GPU, NE (16 cores)"


def test_a_broken_configuration_and_a_server_that_is_down_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "params.yaml").write_text("seed: -1\n")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    found: dict[str, Any] = {finding.name: finding for finding in doctor.examine(Workspace(tmp_path, tmp_path))}
    assert found["params.yaml"].level == "error"
    assert "seed" in found["params.yaml"].text
    assert found["MLflow store"].level == "error"
    assert found["dvc repository"].level == "warning"
    assert all(finding.fix for finding in found.values() if finding.level != "ok")


@pytest.mark.parametrize("git", ["absent", "no repository"])
def test_where_dvc_refuses_to_run_for_want_of_git_is_an_error(
    git: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path, tmp_path)
    (tmp_path / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", tmp_path / ".dvc")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    if git == "absent":
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
        assert doctor.check_dvc(workspace).level == "ok"
        monkeypatch.setenv("PATH", str(tmp_path))
    found = doctor.check_dvc(workspace)
    assert (found.level, "dvc config core.no_scm true" in found.fix) == ("error", True)
    subprocess.run([DVC, "config", "core.no_scm", "true"], cwd=tmp_path, check=True)
    assert doctor.check_dvc(workspace).level == "ok"


def test_the_command_exits_with_one_if_something_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = anelab(tmp_path, "doctor")
    assert done.returncode == 0, done.stdout
    assert "ok       coremltools: 9.0" in done.stdout
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    failed = anelab(tmp_path, "doctor", "--json")
    assert failed.returncode == 1
    assert '"level": "error"' in failed.stdout
