"""What every stage shares: its key, its place to work, its receipt, and publication at the end."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import anelab
from anelab import workloads
from anelab.config import Params
from anelab.errors import AnelabError, warn
from anelab.files import canonical_json, dvc_md5, sha256_text
from anelab.learning.base import AnyWorkload
from anelab.learning.config import WorkloadConfig
from anelab.locks import alone
from anelab.stages.reuse import reuse_outputs
from anelab.texts import echo
from anelab.tracking.provenance import provenance
from anelab.tracking.receipt import Dataset, Receipt, receipt_path, work_folder, write_execution
from anelab.workspace import Workspace

PACKAGE = Path(anelab.__file__).parent
UNDER_DVC = "DVC_STAGE"
"""What DVC tells the commands of its stages."""


@dataclass(frozen=True)
class Job:
    """One workload in one workspace, under one configuration."""

    workspace: Workspace
    params: Params
    name: str

    @cached_property
    def config(self) -> WorkloadConfig:
        return self.params.section(self.name)

    @property
    def workload(self) -> AnyWorkload:
        return workloads.get(self.name)

    @property
    def raw(self) -> Path:
        return self.workspace.raw(self.name)

    @property
    def prepared(self) -> Path:
        return self.workspace.prepared(self.name)

    @property
    def reports(self) -> Path:
        return self.workspace.reports(self.name)

    def output(self, stage: str) -> Path:
        """models/<workload>/<stage>"""
        return self.workspace.models(self.name) / stage


@dataclass(frozen=True)
class Outcome:
    """What a stage found, for its receipt."""

    metrics: dict[str, float] = field(default_factory=dict)
    datasets: list[Dataset] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    trials: list[dict[str, Any]] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    """Of the run, beside the configuration."""
    identity: str = ""
    """Of a result that does not follow from the stage's inputs: it takes their key's place in the receipt."""


@dataclass(frozen=True)
class Stage:
    """A stage's inputs, all of them: sections of the workload's configuration, packages of ours (paths
    in src/anelab; the workload's own is added), and files. `run(job, work, key)` does the work."""

    name: str
    sections: tuple[str, ...]
    code: tuple[str, ...]
    inputs: Callable[[Job], Mapping[str, Path]]
    run: Callable[[Job, Path, str], Outcome]

    def packages(self, workload: str) -> tuple[str, ...]:
        shared = ("learning", f"workloads/{workload}", f"stages/{self.name}.py")
        return (*self.code, *shared)


def input_key(stage: Stage, job: Job) -> str:
    """sha256 over all that decides the stage's outputs: equal keys give equal outputs on one machine."""
    return sha256_text(
        canonical_json(
            {
                "code": code_digests(stage.packages(job.name)),
                "inputs": {name: _digest(path, stage) for name, path in stage.inputs(job).items()},
                "params": params_of(stage, job),
                "stage": stage.name,
                "workload": job.name,
            }
        )
    )


def code_digests(patterns: tuple[str, ...]) -> dict[str, str]:
    """DVC's md5 of each file or folder that `patterns` name in src/anelab."""
    paths = sorted({path for pattern in patterns for path in PACKAGE.glob(pattern)})
    return {path.relative_to(PACKAGE).as_posix(): dvc_md5(path) for path in paths}


def params_of(stage: Stage, job: Job) -> dict[str, Any]:
    """The configuration the stage reads, flat, by dotted key below the workload's section."""
    chosen = {name: value for name, value in job.config.model_dump().items() if name in stage.sections}
    return {"seed": job.params.seed, **_flat(chosen)}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _digest(path: Path, stage: Stage) -> str:
    if not path.exists():
        raise AnelabError(
            f"{stage.name} needs {path}, which is not there; run the stages before it (inputs, simulate, prepare, "
            "search, train, export, bench, in this order), or all of them with `anelab run` or `dvc repro`"
        )
    return dvc_md5(path)


def execute(stage: Stage, job: Job) -> Receipt:
    """Run the stage and write its receipt. In DVC's copy for an experiment, a stage whose inputs are those of the
    project takes over the project's outputs instead."""
    if reuse_outputs(job, stage.name):
        echo(f"{stage.name} of {job.name}: its inputs are those of the project, so its outputs are, too")
        return Receipt.read(receipt_path(job.workspace, job.name, stage.name))
    with alone(job.workspace, job.name):
        key = input_key(stage, job)
        work = work_folder(job.workspace, job.name, key)
        work.mkdir(parents=True, exist_ok=True)
        started = _now_ms()
        outcome = stage.run(job, work, key)
        recorded = {name: value for name, value in vars(outcome).items() if name not in ("identity", "params")}
        params = {**params_of(stage, job), **outcome.params}
        receipt = Receipt(job.name, stage.name, outcome.identity or key, params, **recorded)
        receipt.write(receipt_path(job.workspace, job.name, stage.name))
        tags = provenance(job.workspace.project)
        write_execution(job.workspace, receipt, tags, started, _now_ms())
    return receipt


def execute_and_publish(stage: Stage, job: Job) -> Receipt:
    """Under DVC, the receipt is all that a stage leaves: `register`, or `anelab sync`, publishes it with the others."""
    receipt = execute(stage, job)
    if stage.name == "register" or UNDER_DVC not in os.environ:
        publish_quietly(job.workspace, receipt)
    return receipt


def publish_quietly(workspace: Workspace, *receipts: Receipt) -> None:
    """As runs in MLflow. Publication is a view: a server that is down costs a warning, never a result."""
    from anelab.tracking.store import open_store

    try:
        store = open_store(workspace)
        from anelab.tracking.runs import publish

        with store.writing():
            for receipt in receipts:
                publish(store, workspace, receipt)
    except Exception as error:  # whatever MLflow or its server does must not fail a finished stage
        reason = str(error).strip().partition("\n")[0]
        done = ", ".join(f"{receipt.stage} of {receipt.workload}" for receipt in receipts)
        warn(f"{done} is done, but is not in MLflow yet: {reason}")


def _now_ms() -> int:
    return int(time.time() * 1000)
