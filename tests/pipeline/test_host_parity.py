"""Parity that every host would find is one file, what only this host can tell another; gates read both."""

import sys
from pathlib import Path

import pytest

from anelab.export.executors import executors, host_executors, portable_executors
from anelab.files import write_json
from anelab.host import host_fingerprint
from anelab.stages.bench import HOST_PARITY
from anelab.stages.export import host_parity
from anelab.stages.job import Job
from anelab.stages.register import _parity_of
from anelab.workloads import get
from anelab.workspace import Workspace
from tests.conftest import ROOT, tiny


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(Workspace(ROOT, tmp_path), tiny(), "mnist")


def test_what_every_host_has_does_not_depend_on_the_host(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = get("mnist").graphs(job.config)[0]
    here = {file: sorted(portable_executors(Path(file), graph, "fp16")) for file in ("m.onnx", "m.mlpackage")}
    assert here == {"m.onnx": ["onnxruntime_cpu"], "m.mlpackage": ["evaluator_fp16", "evaluator_fp32"]}
    monkeypatch.setattr(sys, "platform", "darwin")
    for file, names in here.items():
        assert sorted(portable_executors(Path(file), graph, "fp16")) == names
        assert not host_executors(Path(file), graph, "fp16").keys() & set(names)
        assert len(executors(Path(file), graph, "fp16")) == len(names) + (4 if file == "m.mlpackage" else 0)


@pytest.mark.skipif(sys.platform == "darwin", reason="on macOS Core ML is there")
def test_without_core_ml_there_is_nothing_that_only_this_host_can_tell(job: Job) -> None:
    assert host_parity(job) == {"files": {}, "host": host_fingerprint()}


def test_gates_read_both_but_no_other_hosts(job: Job) -> None:
    write_json(job.reports / "parity.json", {"model.mlpackage": {"evaluator_fp16": {"rows": 1}}})
    own = {"model.mlpackage": {"coreml_all": {"rows": 2}}}
    write_json(job.reports / HOST_PARITY, {"files": own, "host": host_fingerprint()})
    assert sorted(_parity_of(job, "model.mlpackage")) == ["coreml_all", "evaluator_fp16"]
    write_json(job.reports / HOST_PARITY, {"files": own, "host": "0" * 16})
    assert sorted(_parity_of(job, "model.mlpackage")) == ["evaluator_fp16"]
