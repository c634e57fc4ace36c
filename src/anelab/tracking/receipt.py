"""What one stage did, as a file: enough to rebuild its MLflow run anywhere, at any time.

A receipt is a function of the stage's inputs alone: no time, no path, no run id. When and where it was
made goes into an execution record beside the work in progress, which is not versioned.
"""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from anelab.errors import AnelabError, DamagedFileError
from anelab.files import write_json
from anelab.tracking.records import ExecutionJson, ReceiptJson, problem_of, read_record
from anelab.workspace import Workspace

SCHEMA = 1
REPAIR = "run `dvc repro -f`"


@dataclass(frozen=True)
class Dataset:
    """Data a stage read, known by DVC's md5 of it."""

    name: str
    digest: str
    context: str


@dataclass(frozen=True)
class Receipt:
    """`history` has one mapping of figures a step; `trials` one record a child run; `reports` are
    files under reports/<workload>/ that go along as artifacts."""

    workload: str
    stage: str
    input_key: str
    params: dict[str, Any]
    metrics: dict[str, float] = field(default_factory=dict)
    datasets: list[Dataset] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    trials: list[dict[str, Any]] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        write_json(path, {"schema": SCHEMA, **asdict(self)})

    @classmethod
    def read(cls, path: Path) -> "Receipt":
        """Raises DamagedFileError for what is no receipt, or not of the workload and stage that the path names."""
        content = read_record(ReceiptJson, path, REPAIR)
        datasets = [Dataset(item["name"], item["digest"], item["context"]) for item in content["datasets"]]
        receipt = cls(**{item.name: content[item.name] for item in fields(cls)} | {"datasets": datasets})
        if (receipt.workload, receipt.stage) != (path.parent.parent.name, path.stem):
            raise DamagedFileError(f"{path}: is damaged (it is of {receipt.stage} of {receipt.workload}); {REPAIR}")
        return receipt


def receipt_path(workspace: Workspace, workload: str, stage: str) -> Path:
    return workspace.models(workload) / "receipts" / f"{stage}.json"


def work_folder(workspace: Workspace, workload: str, input_key: str) -> Path:
    """Where one execution keeps its work in progress and its execution record."""
    return workspace.state / "work" / workload / input_key[:16]


def execution_path(workspace: Workspace, receipt: Receipt) -> Path:
    return work_folder(workspace, receipt.workload, receipt.input_key) / f"{receipt.stage}.execution.json"


def write_execution(
    workspace: Workspace, receipt: Receipt, tags: dict[str, str], started_ms: int, ended_ms: int
) -> None:
    """When and where what the receipt tells of was done."""
    content = {"tags": tags, "started_ms": started_ms, "ended_ms": ended_ms}
    path = execution_path(workspace, receipt)
    if problem := problem_of(ExecutionJson, content):  # what could not be read again would be of here and now
        raise AnelabError(f"{path}: is not written ({problem})")
    write_json(path, content)
