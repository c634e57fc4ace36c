"""What a copy of the project for an experiment takes over from the project."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from anelab.files import dvc_md5
from anelab.stages.reuse import reuse_outputs
from anelab.workspace import Workspace


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Of the stage `train` in a copy whose inputs are those of the project."""
    project, copy = tmp_path / "project", tmp_path / "copy"
    for folder in (project, copy):
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "rows").write_text("rows")
        (folder / "dvc.yaml").write_text("stages: {}")
        (folder / "params.yaml").write_text("seed: 1\nmnist: {training: {max_epochs: 3}, other: 1}\n")
    (project / "models").mkdir()
    (project / "models" / "best.ckpt").write_text("weights")
    (project / "report.json").write_text("{}")
    entry = {
        "deps": [{"path": "data", "md5": dvc_md5(project / "data")}],
        "params": {"params.yaml": {"seed": 1, "mnist.training": {"max_epochs": 3}}},
        "outs": [{"path": name, "md5": dvc_md5(project / name)} for name in ("models", "report.json")],
    }
    (project / "dvc.lock").write_text(yaml.safe_dump({"stages": {"train@mnist": entry}}))
    monkeypatch.setenv("DVC_ROOT", str(project))
    return SimpleNamespace(name="mnist", workspace=Workspace(copy, copy))


def test_outputs_are_taken_over_where_nothing_changed(job: Any) -> None:
    copy: Path = job.workspace.root
    assert reuse_outputs(job, "train")
    assert (copy / "models" / "best.ckpt").read_text() == "weights"
    assert (copy / "report.json").read_text() == "{}"
    assert not reuse_outputs(job, "export"), "of which dvc.lock knows nothing"


@pytest.mark.parametrize(
    "change", ["parameter", "dependency", "output", "lost", "no lock", "damaged lock", "missing", "stages"]
)
def test_a_stage_runs_where_anything_changed(change: str, job: Any) -> None:
    copy, project = job.workspace.root, job.workspace.store_root
    if change == "parameter":
        (copy / "params.yaml").write_text("seed: 1\nmnist: {training: {max_epochs: 4}}\n")
    elif change == "dependency":
        (copy / "data" / "rows").write_text("other rows")
    elif change == "missing":
        (copy / "data" / "rows").unlink()
        (copy / "data").rmdir()
    elif change == "output":
        (project / "report.json").write_text("edited")
    elif change == "lost":
        (project / "report.json").unlink()
    elif change == "stages":
        (copy / "dvc.yaml").write_text("stages: {train: {}}")
    elif change == "no lock":
        (project / "dvc.lock").unlink()
    else:
        (project / "dvc.lock").write_text("stages: {train@mnist: [")
    assert not reuse_outputs(job, "train")
    assert not (copy / "report.json").exists()


def test_the_project_itself_takes_over_nothing(job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT")
    assert not reuse_outputs(job, "train")
