"""ONNX Runtime on the CPU as a predictor."""

from pathlib import Path

import numpy as np
import onnxruntime

from anelab.errors import AnelabError
from anelab.learning.base import Arrays, Predictor

ROWS_AT_ONCE = 4096


def onnx_predictor(path: Path, threads: int = 1) -> Predictor:
    """Runs the model a few thousand rows at a time. Raises AnelabError if it cannot be loaded."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have no common base
        raise AnelabError(f"{path}: ONNX Runtime cannot load it: {error}") from None
    inputs = [item.name for item in session.get_inputs()]
    outputs = [item.name for item in session.get_outputs()]

    def predict(arrays: Arrays) -> Arrays:
        rows = len(arrays[inputs[0]])
        slabs = [slice(start, start + ROWS_AT_ONCE) for start in range(0, max(rows, 1), ROWS_AT_ONCE)]
        parts = [session.run(outputs, {name: arrays[name][slab] for name in inputs}) for slab in slabs]
        return {name: np.concatenate(column) for name, column in zip(outputs, zip(*parts, strict=True), strict=True)}

    return predict


def providers() -> list[str]:
    """What this build of ONNX Runtime can run on."""
    return list(onnxruntime.get_available_providers())
