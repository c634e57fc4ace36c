"""Core ML in a worker process: alternating models in one process crashes it (coremltools#2827), a first
prediction may kill it (#2758), and so may all units together. A dead worker is then an error like any other."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from pathlib import Path

from anelab.errors import AnelabError
from anelab.export.apple import Apple, CoreMLRuntime
from anelab.learning.base import Arrays, Predictor

NATIVE = "anelab.export.apple:native"


def isolated_predictor(package: Path, unit: str, adapter: str = NATIVE, cache: Path | None = None) -> Predictor:
    """Loads and runs the package in a fresh process for each call. `adapter` names what makes the adapter, as
    module:function. Raises AnelabError with Core ML's reason, or if the process died."""

    def predict(arrays: Arrays) -> Arrays:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            try:
                return pool.submit(_predict, package, unit, adapter, cache, dict(arrays)).result()
            except BrokenProcessPool:
                raise AnelabError(f"{package}: Core ML ended its process on {unit}") from None

    return predict


def _predict(package: Path, unit: str, adapter: str, cache: Path | None, arrays: Arrays) -> Arrays:
    """In the worker."""
    module, _, name = adapter.partition(":")
    apple: Apple = getattr(import_module(module), name)()
    return CoreMLRuntime(apple, cache).predictor(package, unit)(arrays)
