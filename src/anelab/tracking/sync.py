"""`anelab sync`: bring the MLflow store to what the files record. Running it twice changes nothing more."""

from dataclasses import dataclass, field

from anelab.errors import AnelabError
from anelab.tracking.benchmarks import attach_own, restore_origin
from anelab.tracking.receipt import receipt_path
from anelab.tracking.registration import apply_registration
from anelab.tracking.runs import publish_all
from anelab.tracking.store import Store, StoreUnreachableError, open_store
from anelab.workspace import Workspace


@dataclass
class Synced:
    runs_made: int = 0
    runs_found: int = 0
    moved: int = 0
    warnings: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Workloads of which a file is damaged; all others are published."""


def sync(workspace: Workspace, workloads: list[str]) -> Synced:
    """Publish every receipt and apply every registration of `workloads`. Raises StoreUnreachableError."""
    store = open_store(workspace)
    done = Synced(moved=store.moved)
    with store.writing():
        for workload in workloads:
            try:
                _publish(store, workspace, workload, done)
            except StoreUnreachableError:
                raise
            except AnelabError as error:
                done.failed.append(workload)
                done.warnings.append(f"{workload} is not published: {error}")
    if not any((workspace.root / name).is_dir() for name in ("models", "reports")):
        done.warnings.append(f"{workspace.root} has neither models/ nor reports/, so there is nothing to publish")
    return done


def _publish(store: Store, workspace: Workspace, workload: str, done: Synced) -> None:
    restore_origin(workspace, workload)
    made = publish_all(store, workspace, workload)
    done.runs_made += sum(made)
    done.runs_found += len(made) - sum(made)
    record = workspace.reports(workload) / "registry.json"
    if record.is_file():
        done.warnings += apply_registration(store, workspace, workload).warnings
        done.warnings += attach_own(store, workspace, workload)
    elif receipt_path(workspace, workload, "register").is_file():
        done.warnings.append(
            f"{record} is missing, so no version of {workload} can be restored; check it out with git, or run "
            f"`anelab register {workload}`"
        )
