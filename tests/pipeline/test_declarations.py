"""dvc.yaml and the stages must declare the same inputs, or DVC's and our keys would disagree."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from anelab import workloads
from anelab.stages.job import PACKAGE, Job, Stage, input_key
from anelab.workspace import Workspace
from tests.conftest import ROOT, tiny

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = ("prepare", "search", "train", "export", "bench", "register")


def declared(stage: str, workload: str) -> tuple[list[str], list[str]]:
    """Dependencies and parameters in dvc.yaml, with the workload filled in."""
    text: dict[str, Any] = PIPELINE[stage]
    filled = [[item.replace("${item.workload}", workload) for item in text[kind]] for kind in ("deps", "params")]
    return filled[0], filled[1]


@pytest.mark.parametrize("workload", workloads.names())
@pytest.mark.parametrize("name", STAGES)
def test_dvc_and_the_stage_name_the_same_code_files_and_sections(name: str, workload: str) -> None:
    stage: Stage = import_module(f"anelab.stages.{name}").STAGE
    deps, params = declared(name, workload)
    job = Job(Workspace(ROOT, ROOT), tiny(), workload)
    # champion.json decides too, but `register` itself writes it, so it is in our key alone.
    files = {path.relative_to(ROOT).as_posix() for path in stage.inputs(job).values() if path.name != "champion.json"}
    code = {path for pattern in stage.packages(workload) for path in PACKAGE.glob(pattern)}
    assert sorted(deps) == sorted(files | {path.relative_to(ROOT).as_posix() for path in code})
    assert sorted(params) == sorted({"seed"} | {f"{workload}.{section}" for section in stage.sections})


@pytest.mark.parametrize("workload", workloads.names())
@pytest.mark.parametrize("name", STAGES)
def test_every_section_that_dvc_asks_for_is_in_params_yaml(name: str, workload: str) -> None:
    """DVC knows no defaults: a section that is not there stops the pipeline."""
    given = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key in declared(name, workload)[1]:
        section = given
        for part in key.split("."):
            assert part in section, key
            section = section[part]


def test_every_stage_runs_the_code_of_its_own_checkout() -> None:
    for name, stage in PIPELINE.items():
        assert stage["cmd"].startswith("PYTHONPATH=src python -m anelab"), name


def test_verdicts_are_kept_out_of_the_run_cache() -> None:
    registry = [item for item in PIPELINE["register"]["outs"] if "reports/${item.workload}/registry.json" in item]
    assert registry[0]["reports/${item.workload}/registry.json"] == {"cache": False, "persist": True}


@pytest.mark.parametrize("name", ["search", "train"])
def test_other_weights_under_the_same_name_are_other_inputs(name: str, tmp_path: Path) -> None:
    stage: Stage = import_module(f"anelab.stages.{name}").STAGE
    weights, workspace = tmp_path / "tiny.pt", Workspace(tmp_path, tmp_path)
    workspace.prepared("splice").mkdir(parents=True)
    best = workspace.models("splice") / "search/best.yaml"
    best.parent.mkdir(parents=True)
    best.write_text("{}")
    keys = []
    for content in (b"one", b"other"):
        weights.write_bytes(content)
        job = Job(workspace, tiny(f"splice.model.encoder={{kind: hyenadna, pretrained: {weights}}}"), "splice")
        keys.append(input_key(stage, job))
    assert keys[0] != keys[1]
