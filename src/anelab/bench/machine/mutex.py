"""One benchmark at a time on this machine, whatever workspace or user it belongs to; and a place to work that is its
own meanwhile."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from anelab.errors import AnelabError

SETTING = "ANELAB_BENCH_LOCK"
"""Names another lock, for tests, which time nothing that counts."""
LOCK = "/tmp/anelab-bench.lock"


@contextmanager
def device_mutex(on_progress: Callable[[str], None], lock: Path | None = None) -> Iterator[Path]:
    """Hold the machine's benchmark lock; wait for it, and say so, if another benchmark has it. The system lets go of
    it if the process dies. Gives an empty folder, which goes with the lock: what a killed benchmark left there is
    removed by the next."""
    path = lock or Path(os.environ.get(SETTING, LOCK))
    handle = _open(path)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 20, 0).decode(errors="replace").strip() or "unknown"
            on_progress(f"another benchmark is timing on this machine (process {holder}); waiting for it to end")
            fcntl.flock(handle, fcntl.LOCK_EX)
            on_progress("the other benchmark has ended; this one begins")
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        with _scratch(path) as folder:
            yield folder
    finally:
        os.close(handle)


@contextmanager
def _scratch(lock: Path) -> Iterator[Path]:
    """This user's folder of that lock, new and for nobody else."""
    folder = Path(tempfile.gettempdir(), f"anelab-{lock.stem}-{os.getuid()}")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise AnelabError(
            f"{folder}: the folder of the benchmarks' lock cannot be created ({error.strerror}); remove it"
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
