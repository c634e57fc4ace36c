"""One benchmark at a time on this machine, whatever workspace or user it belongs to."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from anelab.errors import AnelabError

LOCK = Path("/tmp/anelab-bench.lock")


@contextmanager
def device_mutex(tell: Callable[[str], None], lock: Path = LOCK) -> Iterator[None]:
    """Hold the machine's benchmark lock; wait for it, and say so, if another benchmark has it. The system lets go of
    it if the process dies."""
    handle = _open(lock)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 20, 0).decode(errors="replace").strip() or "unknown"
            tell(f"another benchmark is timing on this machine (process {holder}); waiting for it to end")
            fcntl.flock(handle, fcntl.LOCK_EX)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


def _open(lock: Path) -> int:
    """Created only if it is not there: Linux refuses O_CREAT on another user's file in a shared folder."""
    try:
        with suppress(FileNotFoundError):
            return os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        os.fchmod(handle, 0o666)  # the umask would keep other users out
        return handle
    except OSError as error:
        raise AnelabError(f"{lock}: the benchmarks' lock cannot be opened ({error.strerror})") from None
