"""Core AI, Apple's next runtime, as an optional extra: `.aimodel` files, and their interpreter on Linux.

It converts and runs by code that shares nothing with coremltools or our evaluator, so that it is a second
opinion on what the module computes. On a device an .aimodel needs macOS 27. The packages are betas.
"""

import asyncio
import contextlib
import hashlib
import importlib.util
import io
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from anelab.errors import AnelabError
from anelab.export.coreml import example_of, fixed_size
from anelab.export.slabs import Bucket, in_slabs
from anelab.files import replacing
from anelab.learning.base import Arrays, Graph, Predictor

EXTRA = "pip install 'anelab[coreai]' adds it (Python 3.11 and later, on Linux with glibc 2.34 or on macOS)"
FUNCTION = "main"
DEBUGGING = ("stack_trace", "nn_module_stack", "source_fn_stack", "from_node")
"""Of every exported node: where in which file it came from."""


def is_installed() -> bool:
    return importlib.util.find_spec("coreai_torch") is not None and importlib.util.find_spec("coreai") is not None


def _require() -> None:
    if not is_installed():
        raise AnelabError(f"Core AI is not installed; {EXTRA}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Core AI writes to the terminal, its native code past Python; for as long as the block lasts it cannot,
    unless `-v` was given."""
    if logging.getLogger("anelab").isEnabledFor(logging.DEBUG):
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.ExitStack() as stack:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        stack.callback(os.close, nowhere)
        for stream in (1, 2):
            kept = os.dup(stream)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, stream)
            os.dup2(nowhere, stream)
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        yield


def write_aimodel(module: nn.Module, graph: Graph, path: Path, metadata: Mapping[str, str]) -> None:
    """Write `module` in the shape of model.mlpackage, float32. Raises AnelabError if the extra is missing or Core AI
    cannot convert it. Equal modules give equal bytes, and no path of this machine is inside."""
    _require()
    with _quiet():
        coreai_torch = importlib.import_module("coreai_torch")
        described = importlib.import_module("coreai.authoring.asset").AIModelAssetMetadata()
        described.author, described.license = "anelab", metadata.get("licence", "")
        for key in sorted(metadata):
            described.set_custom(key, metadata[key])
        try:
            example = tuple(example_of(tensor, fixed_size(graph)) for tensor in graph.inputs)
            exported = torch.export.export(module.eval(), example).run_decompositions(coreai_torch.get_decomp_table())
            for node in exported.graph.nodes:
                for key in DEBUGGING:
                    node.meta.pop(key, None)
            converter = coreai_torch.TorchConverter().add_exported_program(
                exported,
                input_names=[tensor.name for tensor in graph.inputs],
                output_names=[tensor.name for tensor in graph.outputs],
            )
            program = converter.to_coreai()
        except Exception as error:  # betas raise what they like
            raise AnelabError(f"{graph.name}: Core AI cannot convert it: {str(error).partition(chr(10))[0]}") from None
        with replacing(path) as draft:
            program.save_asset(draft, described)
            _undated(draft / "metadata.json")


def _undated(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    content.pop("creationDate", None)
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def coreai_predictor(path: Path, graph: Graph) -> Predictor:
    """Runs an .aimodel of `graph`: by the bundled interpreter on Linux. Raises AnelabError if it cannot be loaded."""
    _require()
    _check(path)
    size = fixed_size(graph)
    interpreter = _Interpreter(path)
    return in_slabs([Bucket(interpreter, {one.name: size.shape(one) for one in graph.inputs})], str(path))


def _check(path: Path) -> None:
    """Core AI's native loader crashes on a file that is not whole, so that is looked at first."""
    try:
        whole = hashlib.sha256((path / "main.mlirb").read_bytes()).digest() == (path / "main.hash").read_bytes()
    except OSError as error:
        raise AnelabError(f"{path}: is not an .aimodel ({error.strerror}: {Path(error.filename).name})") from None
    if not whole:
        raise AnelabError(f"{path}: is damaged: its program does not match main.hash; export it again or restore it")


class _Interpreter:
    """One function, behind an event loop of its own, because Core AI is called asynchronously only."""

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.new_event_loop()
        with _quiet():
            assets = importlib.import_module("coreai.authoring.asset")
            try:
                self._context = assets.AIModelAsset.load(path).executable()
                model = self._loop.run_until_complete(self._context.__aenter__())
                self._function = model.load_function(FUNCTION)
            except Exception as error:
                self._loop.close()
                raise AnelabError(f"{path}: Core AI cannot load it: {str(error).partition(chr(10))[0]}") from None

    def __call__(self, arrays: Arrays) -> Arrays:
        ndarray = importlib.import_module("coreai.runtime").NDArray
        given = {name: ndarray(np.ascontiguousarray(array)) for name, array in arrays.items()}
        found: dict[str, Any] = self._loop.run_until_complete(self._function(given))
        return {name: value.numpy() for name, value in found.items()}

    def __del__(self) -> None:
        if not self._loop.is_closed():
            with contextlib.suppress(Exception):
                self._loop.run_until_complete(self._context.__aexit__(None, None, None))
            self._loop.close()
