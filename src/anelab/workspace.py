"""Where things lie: the project (params.yaml, code) and the workspace (data, models, reports, store)."""

import os
from dataclasses import dataclass
from pathlib import Path

from anelab.errors import UsageError

MARKER = "params.yaml"
STORE = "mlruns"
"""The folder of the store."""


class NoProjectError(UsageError):
    """There is no params.yaml."""


def find_project(start: Path | None = None, where: str = "") -> Path:
    """The nearest folder at or above `start` (default: the working directory) that has params.yaml. Raises UsageError,
    which says `where` it was looked for."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / MARKER).is_file():
            return folder
    raise NoProjectError(
        f"no {MARKER} {where or f'in {start}'} or any folder above it; run anelab inside a clone of the project, or "
        "name one with --workspace (MLFLOW_TRACKING_URI may name another store than its own)"
    )


@dataclass(frozen=True)
class Workspace:
    """`project` holds params.yaml; `root` holds what the stages write."""

    project: Path
    root: Path

    @classmethod
    def locate(cls, root: Path | None = None) -> "Workspace":
        """Of the clone around the working directory; where there is none, of the one that `root` lies in."""
        try:
            project = find_project()
        except NoProjectError:
            if root is None:
                raise
            project = find_project(root, f"in the working directory, in --workspace {root}")
        place = root.resolve() if root else project
        if odd := sorted(set("%?") & set(str(place))):
            raise UsageError(f"{place}: a path with {' or '.join(odd)} cannot hold the SQLite store; choose another")
        return cls(project, place)

    @classmethod
    def anywhere(cls, root: Path | None = None) -> "Workspace":
        """As `locate`; without any clone, `root` or the working directory, for commands that need no params.yaml."""
        try:
            return cls.locate(root)
        except NoProjectError:
            place = (root or Path.cwd()).resolve()
            return cls(place, place)

    @property
    def is_clone(self) -> bool:
        return (self.project / MARKER).is_file()

    def manifest(self, workload: str) -> Path:
        """Of the user's data files."""
        return self.root / "data" / "inputs" / f"{workload}.json"

    def raw(self, workload: str) -> Path:
        return self.root / "data" / "raw" / workload

    def prepared(self, workload: str) -> Path:
        return self.root / "data" / "prepared" / workload

    def models(self, workload: str) -> Path:
        return self.root / "models" / workload

    def reports(self, workload: str) -> Path:
        return self.root / "reports" / workload

    @property
    def host_report(self) -> Path:
        return self.root / "reports" / "host.json"

    @property
    def state(self) -> Path:
        """Work in progress and caches, ignored by git and DVC."""
        return self.root / ".anelab"

    @property
    def is_scratch(self) -> bool:
        """Whether this is the copy in which DVC runs a queued experiment."""
        return self.store_root != self.root

    @property
    def store_root(self) -> Path:
        """Where mlruns/ lives. DVC runs queued experiments in a scratch copy and names the real root."""
        if self.root == self.project and (dvc_root := os.environ.get("DVC_ROOT")):
            return Path(dvc_root)
        return self.root
