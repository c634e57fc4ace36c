"""Core ML in a worker process: alternating models in one process crashes it (coremltools#2827), a first
prediction may kill it (#2758), and so may all units together. A dead worker is then an error like any other."""

import multiprocessing
from importlib import import_module
from multiprocessing.connection import Connection
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
    module, _, name = adapter.partition(":")
    try:
        apple: Apple = getattr(import_module(module), name)()
        connection.send(CoreMLRuntime(apple, cache).predictor(package, unit)(arrays))
    except AnelabError as error:  # its subclasses may want other arguments than a message
        connection.send(AnelabError(str(error)))
