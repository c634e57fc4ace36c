"""Several processes that serve the same models on the same port.

The parent listens, starts the workers, and starts another in place of one that died. Each worker loads the models, and
takes connections from the parent's socket. It writes what it counted into a folder once a second, so that any of them
can answer for all at /metrics. A worker ends when the parent does: its standard input then is at its end."""

import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec

from anelab.errors import AnelabError
from anelab.files import write_text
from anelab.serving.metrics import Metrics, Snapshot, summed

READY = b"ready\n"
START_S = 300
"""For models to be loaded."""
STOP_S = 35
"""For a worker to finish what it accepted."""
RESTART_S = 1.0
log = logging.getLogger("anelab.serving")


@dataclass(frozen=True)
class Shared:
    """What workers counted. `folder` is None if there is one process; `number` is this one's."""

    folder: Path | None = None
    number: int = 0

    def write(self, counts: Snapshot) -> None:
        if self.folder is not None:
            write_text(self.folder / f"{self.number}.json", msgspec.json.encode(counts).decode())

    def sum(self, own: Metrics) -> Metrics:
        """Of all workers, also of those that died."""
        if self.folder is None:
            return own
        others = [path for path in self.folder.glob("*.json") if path.stem != str(self.number)]
        return summed([own.snapshot(), *map(_snapshot, others)])


def _snapshot(path: Path) -> Snapshot:
    found: Snapshot = msgspec.json.decode(path.read_bytes())
    return found


@dataclass
class _Worker:
    process: "subprocess.Popen[bytes]"
    ready: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Wait, in a thread, for the line that says that it serves."""
        output = self.process.stdout
        assert output is not None
        if output.readline() == READY:
            self.ready.set()


class Workers:
    """`job` is what each of them serves."""

    def __init__(self, listening: socket.socket, job: object, count: int) -> None:
        self._listening, self._job, self._count = listening, pickle.dumps(job), count
        self._running: list[_Worker] = []
        self._started = 0
        self._is_ending = False

    def run(self, on_ready: Callable[[], None]) -> None:
        """Until SIGTERM or SIGINT. Raises AnelabError if a worker cannot start."""
        with tempfile.TemporaryDirectory(prefix="anelab-serve-") as folder:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._end)
            try:
                self._running = [self._start(Path(folder)) for _ in range(self._count)]
                self._wait_until_ready()
                if not self._is_ending:
                    on_ready()
                while not self._is_ending:
                    time.sleep(0.1)
                    self._replace_dead(Path(folder))
            finally:
                self._stop()

    def _end(self, *_: object) -> None:
        self._is_ending = True

    def _start(self, folder: Path) -> _Worker:
        descriptor = self._listening.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", "anelab.serving.worker", str(descriptor), str(folder), str(self._started)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(descriptor,),
            start_new_session=True,  # Ctrl-C is for the parent, which ends them in order
        )
        self._started += 1
        worker = _Worker(process)
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it died; who waits for it learns that
            process.stdin.write(len(self._job).to_bytes(8) + self._job)
            process.stdin.flush()  # and stays open: its end is the parent's
        threading.Thread(target=worker.watch, daemon=True).start()
        return worker

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + START_S
        while not self._is_ending and not all(worker.ready.is_set() for worker in self._running):
            if any(worker.process.poll() is not None for worker in self._running) or time.monotonic() > until:
                raise AnelabError("a worker could not start; its reason is above")
            time.sleep(0.02)

    def _replace_dead(self, folder: Path) -> None:
        for index, worker in enumerate(self._running):
            if worker.process.poll() is not None and not self._is_ending:
                log.error("a worker ended with %s; another takes its place", worker.process.returncode)
                time.sleep(RESTART_S)
                self._running[index] = self._start(folder)

    def _stop(self) -> None:
        self._listening.close()  # new clients are refused at once
        for worker in self._running:
            worker.process.terminate()
        for worker in self._running:
            try:
                worker.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()


def read_job(source: IO[bytes]) -> object:
    """What the parent sent to a worker."""
    size = int.from_bytes(source.read(8))
    return pickle.loads(source.read(size))


def end_with_parent(source: int) -> None:
    """From now on: SIGTERM to this process when the parent is gone, which closes the descriptor that is read."""

    def wait() -> None:
        os.read(source, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
