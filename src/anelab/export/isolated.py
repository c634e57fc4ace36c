"""Core ML in a worker process: alternating models in one process crashes it (coremltools#2827), a first
prediction may kill it (#2758), and so may all units together. A dead worker is then an error like any other."""

import multiprocessing
import signal
import threading
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from anelab.errors import AnelabError
from anelab.export.apple import Apple, CoreMLRuntime
from anelab.learning.base import Arrays, Predictor

NATIVE = "anelab.export.apple:native"


def isolated_predictor(
    package: Path, unit: str, adapter: str = NATIVE, cache: Path | None = None, timeout_s: float | None = None
) -> Predictor:
    """Loads and runs the package in a fresh process for each call, which may take `timeout_s` seconds. `adapter` names
    what makes the adapter, as module:function. Raises AnelabError with Core ML's reason, or if the process died or is
    late."""

    def predict(arrays: Arrays) -> Arrays:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        words = (theirs, package, unit, adapter, cache, dict(arrays))
        process = context.Process(target=_predict, args=words, daemon=True)
        process.start()
        theirs.close()
        try:
            if not ours.poll(timeout_s):
                raise AnelabError(f"{package}: Core ML has not answered after {timeout_s:g} s on {unit}")
            answer: Arrays | Exception = ours.recv()
        except EOFError:
            raise AnelabError(f"{package}: Core ML ended its process on {unit}") from None
        finally:
            process.kill()
            process.join()
        if isinstance(answer, Exception):
            raise answer
        return answer

    return predict


def _predict(
    connection: Connection, package: Path, unit: str, adapter: str, cache: Path | None, arrays: Arrays
) -> None:
    """In the worker: send the answer, or why there is none."""
    try:
        connection.send(CoreMLRuntime(_apple(adapter), cache).predictor(package, unit)(arrays))
    except AnelabError as error:  # its subclasses may want other arguments than a message
        connection.send(AnelabError(str(error)))


class KeptProcess:
    """A worker that loads the package at its first call, and keeps it for the next ones: for servers. One call at a
    time; a worker that died or is late is an error of that call, and the next call starts another."""

    def __init__(
        self, package: Path, unit: str, adapter: str = NATIVE, cache: Path | None = None, timeout_s: float | None = None
    ) -> None:
        self._what, self._unit, self._timeout_s = package, unit, timeout_s
        self._arguments = (package, unit, adapter, cache)
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    def predict(self, arrays: Arrays) -> Arrays:
        """Raises AnelabError with Core ML's reason, or if the worker died or is late."""
        with self._lock:
            answer = self._asked(arrays)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _asked(self, arrays: Arrays) -> "Arrays | Exception":
        connection = self._connection or self._start()
        try:
            connection.send(dict(arrays))
            if not connection.poll(self._timeout_s):
                self.close()
                return AnelabError(
                    f"{self._what}: Core ML has not answered after {self._timeout_s:g} s on {self._unit}"
                )
            found: Arrays | Exception = connection.recv()
        except (EOFError, OSError):
            self.close()
            return AnelabError(f"{self._what}: Core ML ended its process on {self._unit}")
        return found

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_answer_calls, args=(theirs, *self._arguments), daemon=True)
        self._process.start()
        theirs.close()
        return self._connection

    def close(self) -> None:
        if self._process is not None and self._connection is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
        self._process = self._connection = None


def _answer_calls(connection: Connection, package: Path, unit: str, adapter: str, cache: Path | None) -> None:
    """In the worker, until the other end is closed. Ctrl-C is for the server, which finishes what it accepted."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    predict: Predictor | None = None
    with suppress(EOFError):
        while True:
            arrays = connection.recv()
            try:
                predict = predict or CoreMLRuntime(_apple(adapter), cache).predictor(package, unit)
                connection.send(predict(arrays))
            except AnelabError as error:
                connection.send(AnelabError(str(error)))


def _apple(adapter: str) -> Apple:
    module, _, name = adapter.partition(":")
    found: Apple = getattr(import_module(module), name)()
    return found
