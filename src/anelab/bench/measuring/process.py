"""Worker processes as the parent sees them: asked, waited for with a deadline, and accounted for when they end."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anelab.bench.arms.contract import Arm, Subject
from anelab.bench.measuring.worker import serve
from anelab.bench.results.schema import Ending
from anelab.texts import printable_lines

LOG_LINES = 40
GRACE_SECONDS = 5.0
THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class LostError(Exception):
    """A worker is of no more use. `ending` says how it ended."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.text())
        self.ending = ending


class WorkerProcess:
    """A fresh process (spawned: with an address space of its own making) for one arm."""

    def __init__(self, arm: Arm, subject: Subject, log: Path, timeout_s: float) -> None:
        self.arm, self.log, self.timeout_s = arm, log, timeout_s
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, arm, subject, log), daemon=True)
        with _threads(arm.threads):
            self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def wait_ready(self) -> None:
        """Until it has imported all it needs. Raises LostError."""
        self._receive("starting", self.timeout_s)

    def ask(self, command: str, timeout_s: float | None = None, **arguments: Any) -> Any:
        """The answer of `Worker.command(**arguments)`. Raises LostError if there is none in time."""
        try:
            self._connection.send((command, arguments))
        except OSError:
            raise LostError(self._ending(command)) from None
        return self._receive(command, timeout_s or self.timeout_s)

    def _receive(self, doing: str, timeout_s: float) -> Any:
        if not self._connection.poll(timeout_s):
            self.kill()
            raise LostError(Ending(kind="hang", doing=doing, detail=f"no answer in {timeout_s:g} s", log=self._tail()))
        try:
            status, value = self._connection.recv()
        except (EOFError, OSError):  # it may die in the middle of an answer
            raise LostError(self._ending(doing)) from None
        if status == "ok":
            return value
        self.stop()
        raise LostError(Ending(kind=status, doing=doing, detail=printable_lines(value), log=self._tail()))

    def _ending(self, doing: str) -> Ending:
        """Of a process that has gone by itself."""
        self._process.join(GRACE_SECONDS)
        code = self._process.exitcode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            return Ending(kind="signal", signal=name, doing=doing, detail=_meaning(name), log=self._tail())
        return Ending(kind="exit", doing=doing, detail=f"exit code {code}", log=self._tail())

    def _tail(self) -> str:
        """The last lines that the worker's libraries printed."""
        text = self.log.read_text(errors="replace") if self.log.is_file() else ""
        return printable_lines("\n".join(text.strip().splitlines()[-LOG_LINES:]))

    def hang_up(self) -> None:
        """Which ends it, by and by."""
        self._connection.close()

    def stop(self) -> None:
        """Hang up and wait; if it does not end, kill it."""
        self.hang_up()
        self._process.join(GRACE_SECONDS)
        self.kill()

    def kill(self) -> None:
        if self._process.is_alive():
            self._process.kill()
            self._process.join(GRACE_SECONDS)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """The environment in which NumPy's and torch's libraries start so many threads."""
    names = THREAD_SETTINGS if count is not None else ()
    before = {name: os.environ.get(name) for name in names}
    os.environ |= {name: str(count) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def _meaning(name: str) -> str:
    return {
        "SIGKILL": "killed from outside; the system does that to a process when memory runs out",
        "SIGSEGV": "crashed: an invalid memory access in native code",
        "SIGABRT": "aborted: native code gave up",
        "SIGBUS": "crashed: a bus error in native code",
        "SIGTERM": "ended from outside",
    }.get(name, "ended by a signal")
