"""The file that Optuna writes a study's trials into, and its lock.

Optuna's own lock is a link beside the file. Whoever is killed leaves it behind; in a folder that was moved it leads
nowhere, and Optuna 5.0 then asks for it without a pause, for ever. The lock here is the system's: it goes with the
process that has it, and waiting for it ends.
"""

import fcntl
import os
import time
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from anelab.errors import AnelabError

PATIENCE_S = 30.0
PAUSE_S = 0.01


class JournalLock:
    """What Optuna asks of a lock. One process at a time holds it between `acquire` and `release`; others wait up to
    `patience_s` seconds."""

    def __init__(self, path: Path, patience_s: float = PATIENCE_S) -> None:
        self._path, self._patience_s = path, patience_s
        self._handle = -1

    def acquire(self) -> bool:
        """Raises AnelabError, which names the file, if another process does not let go of it in time."""
        until = time.monotonic() + self._patience_s
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._handle = handle
                return True
            except BlockingIOError:
                if time.monotonic() > until:
                    os.close(handle)
                    raise AnelabError(
                        f"{self._path}: another process has held this lock of the search for {self._patience_s:g} s; "
                        "end that process (`fuser` names it), and run the search again"
                    ) from None
                time.sleep(PAUSE_S)

    def release(self) -> None:
        os.close(self._handle)


def open_journal(path: Path, patience_s: float = PATIENCE_S) -> JournalStorage:
    """Optuna's storage in the file `path`, under a lock beside it."""
    lock = JournalLock(path.with_suffix(".flock"), patience_s)
    return JournalStorage(JournalFileBackend(str(path), lock))  # type: ignore[arg-type]  # its base class is private
