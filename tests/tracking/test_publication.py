"""Who publishes what, and publications that are killed."""

import shutil
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from anelab.stages.job import UNDER_DVC
from anelab.tracking.runs import STAGES
from anelab.tracking.store import open_store
from anelab.workspace import STORE, Workspace
from tests.commands import SETTINGS, anelab, start_anelab
from tests.conftest import ROOT
from tests.shared import copy_mnist


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return copy_mnist(tmp_path / "home")


def stages_in(home: Path) -> dict[str, int]:
    """How many finished runs each stage of mnist has."""
    store = open_store(Workspace(ROOT, home))
    experiment = store.existing_experiment("mnist")
    runs = store.client.search_runs([experiment]) if experiment else []
    return Counter(run.data.tags["anelab.stage"] for run in runs if run.info.status == "FINISHED")


def test_under_dvc_a_stage_leaves_its_receipt_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(home / STORE)
    monkeypatch.setenv(UNDER_DVC, "prepare@mnist")
    assert anelab(home, "prepare", "mnist", *SETTINGS).returncode == 0
    assert not (home / STORE).exists(), "MLflow was opened"
    monkeypatch.delenv(UNDER_DVC)
    assert anelab(home, "prepare", "mnist", *SETTINGS).returncode == 0
    assert stages_in(home) == {"prepare": 1}


def test_register_publishes_all_under_dvc_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(home / STORE)
    monkeypatch.setenv(UNDER_DVC, "register@mnist")
    done = anelab(home, "register", "mnist", *SETTINGS, "-S", "mnist.registry.margin=1.0")
    assert done.returncode == 0, done.stderr
    found = stages_in(home)
    assert found.pop("register") == 2  # the one that the copy has a receipt of, and this one
    assert found == {stage: 1 for stage in STAGES if stage != "register"}


@pytest.mark.parametrize("seed", [1, 2])
def test_a_publication_that_is_killed_is_repeated_by_the_next(seed: int, home: Path) -> None:
    """At random moments, one kill after the other in the same workspace."""
    shutil.rmtree(home / STORE)
    random = Random(seed)
    for _ in range(3):
        syncing = start_anelab(home, "sync")
        deadline = time.monotonic() + 60
        while not (home / STORE / "mlflow.db").exists() and syncing.process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(random.random() * 2)
        syncing.kill()
    done = anelab(home, "sync")
    assert done.returncode == 0, done.stderr
    assert stages_in(home) == dict.fromkeys(STAGES, 1)
    store = open_store(Workspace(ROOT, home))
    versions = store.client.search_model_versions("name = 'mnist-onnx'")
    assert Counter(one.tags["variant"] for one in versions) == {"fp32": 1, "int8": 1}
    assert store.client.get_model_version_by_alias("mnist-onnx", "champion").tags["variant"] == "fp32"
