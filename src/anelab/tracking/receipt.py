"""What one stage did, as a file: enough to rebuild its MLflow run anywhere, at any time.

A receipt is a function of the stage's inputs alone: no time, no path, no run id. When and where it was
made goes into an execution record beside the work in progress, which is not versioned.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from anelab.errors import AnelabError
from anelab.files import read_json, write_json
from anelab.names import FILE, SHA256, fits
from anelab.texts import printable
from anelab.workspace import Workspace

SCHEMA = 1


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
        try:
            content = read_json(path)
            if content.pop("schema") != SCHEMA:
                raise AnelabError(f"{path}: was written by another version of anelab; run `dvc repro -f`")
            datasets = [Dataset(**item) for item in content.pop("datasets")]
            receipt = cls(datasets=datasets, **content)
            _check(receipt, path)
            return receipt
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise AnelabError(f"{path}: is not a receipt ({error}); run `dvc repro -f`") from None


def _check(receipt: Receipt, path: Path) -> None:
    """Raises ValueError for a receipt of elsewhere, and for names that lead elsewhere."""
    place = (path.parent.parent.name, path.stem)
    if (receipt.workload, receipt.stage) != place:
        raise ValueError(f"it is of {printable(receipt.stage, 40)} of {printable(receipt.workload, 40)}")
    if not fits(SHA256, receipt.input_key):
        raise ValueError("its input_key is no sha256")
    if wrong := [name for name in receipt.reports if not fits(FILE, name)]:
        raise ValueError(f"it names the report {printable(wrong[0], 80)!r}, which is not a plain file name")


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
    write_json(execution_path(workspace, receipt), {"tags": tags, "started_ms": started_ms, "ended_ms": ended_ms})
