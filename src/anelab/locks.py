"""One process at a time for a workload of a workspace. Standard library only."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from anelab.errors import AnelabError
from anelab.workspace import Workspace


@contextmanager
def alone(workspace: Workspace, workload: str) -> Iterator[None]:
    """Hold the workload's lock; the system lets go of it if the process dies. Raises AnelabError if taken."""
    lock = workspace.state / "locks" / f"{workload}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AnelabError(
                f"another process is at work on {workload} in {workspace.root}; wait for it, "
                "or give this one its own --workspace"
            ) from None
        yield
