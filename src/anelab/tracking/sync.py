"""`anelab sync`: bring the MLflow store to what the files record. Running it twice changes nothing more."""

from dataclasses import dataclass, field

from anelab.tracking.benchmarks import attach_own, restore_origin
from anelab.tracking.registration import apply_registration
from anelab.tracking.runs import publish_all
from anelab.tracking.store import open_store
from anelab.workspace import Workspace


@dataclass
class Synced:
    runs_made: int = 0
    runs_found: int = 0
    moved: int = 0
    warnings: list[str] = field(default_factory=list)


def sync(workspace: Workspace, workloads: list[str]) -> Synced:
    """Publish every receipt and apply every registration of `workloads`. Raises StoreUnreachableError."""
    store = open_store(workspace)
    done = Synced(moved=store.moved)
    with store.writing():
        for workload in workloads:
            restore_origin(workspace, workload)
            made = publish_all(store, workspace, workload)
            done.runs_made += sum(made)
            done.runs_found += len(made) - sum(made)
            if (workspace.reports(workload) / "registry.json").is_file():
                done.warnings += apply_registration(store, workspace, workload).warnings
                done.warnings += attach_own(store, workspace, workload)
    return done
