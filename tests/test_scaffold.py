"""`anelab new`: what it writes is a workload that goes to a champion as it is, and satisfies the contract."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from anelab.errors import UsageError
from anelab.files import read_json
from anelab.scaffold import new_workload
from tests.conftest import ROOT

QUICK = (
    "flowers.bench={arms: [ort-cpu, classical], processes: 1, rounds: 1, slice_ms: 1.0, warm_up_ms: 5.0}",
    "flowers.search.n_trials=1",
    "flowers.export.coreml.variants=[]",
    "flowers.export.coreml.buckets=[]",
    "flowers.registry.resamples=100",
)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What of the project a new workload needs."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def in_clone(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(clone / "src")}
    return subprocess.run([sys.executable, "-m", *words], cwd=clone, env=environment, capture_output=True, text=True)


def test_a_new_workload_goes_to_a_champion_as_it_is_and_satisfies_the_contract(clone: Path) -> None:
    elsewhere = subprocess.run(
        [sys.executable, "-m", "anelab", "new", "flowers"], cwd=clone, capture_output=True, text=True
    )
    assert (elsewhere.returncode, "is not the clone that anelab runs from" in elsewhere.stderr) == (2, True)
    made = in_clone(clone, "anelab", "new", "flowers")
    assert made.returncode == 0, made.stderr
    assert "src/anelab/workloads/flowers\ntests/workloads/test_flowers.py\nparams.yaml\n" in made.stdout
    options = [word for override in QUICK for word in ("-S", override)]
    done = in_clone(clone, "anelab", "run", "flowers", *options)
    assert done.returncode == 0, done.stderr
    champion = read_json(clone / "reports/flowers/champion.json")["models"]["flowers-onnx"]["champion"]
    assert champion["value"] > 0.8
    arms = read_json(clone / "reports/flowers/bench.json")["arms"].values()
    assert {arm["kind"] for arm in arms if arm["cells"]} == {"ort-cpu", "classical"}
    (clone / "src/anelab/workloads/flowers/rules.py").unlink()
    without = in_clone(clone, "anelab", "register", "flowers", *options)
    assert without.returncode == 0, without.stderr
    judged = read_json(clone / "reports/flowers/registry.json")["models"]["flowers-onnx"]["candidates"]["fp32"]
    assert {gate["name"]: gate["verdict"] for gate in judged["gates"]}["rules"] == "not compared"
    tested = in_clone(clone, "pytest", "-q", "-p", "no:cacheprovider", "tests/workloads/test_flowers.py")
    assert tested.returncode == 0, tested.stdout
    assert "passed" in tested.stdout
    linted = in_clone(clone, "ruff", "check", "--config", str(ROOT / "pyproject.toml"), "src/anelab/workloads/flowers")
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize(
    "name", ["Flowers", "2d", "a", "class", "seed", "section", "copy", "json", "model_config", "my-data", "../x", ""]
)
def test_names_that_cannot_be_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="NAME must be lower-case letters"):
        new_workload(tmp_path, name)


def test_nothing_is_written_over_and_nothing_half(clone: Path) -> None:
    before = (clone / "params.yaml").read_text()
    with pytest.raises(UsageError, match="mnist is a workload already; there are edna, mnist, read_quality, splice"):
        new_workload(clone, "mnist")
    (clone / "params.yaml").write_text(before + "\nflowers: {}\n")
    with pytest.raises(UsageError, match="has a section flowers already"):
        new_workload(clone, "flowers")
    (clone / "params.yaml").write_text("workloads:\n  - mnist\nseed: 1\n")
    with pytest.raises(UsageError, match=r"has no line `workloads: \[\.\.\.\]`"):
        new_workload(clone, "flowers")
    (clone / "params.yaml").write_text("workloads: [mnist, read_quality,]  # two\nseed: 1\n")
    (clone / "tests").write_text("no folder")
    with pytest.raises(OSError, match="tests"):
        new_workload(clone, "flowers")
    assert not (clone / "src/anelab/workloads/flowers").exists()
    (clone / "tests").unlink()
    new_workload(clone, "flowers")
    assert "workloads: [mnist, read_quality, flowers]  # two" in (clone / "params.yaml").read_text()
    with pytest.raises(UsageError, match="a workload is made in a clone of the project"):
        new_workload(clone / "src", "flowers")
