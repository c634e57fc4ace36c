"""A torch module to a saved package and back to numbers, as a test needs it."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from anelab.export.coreml import LADDER, Converter, Rung, fixed_size
from anelab.export.mil.evaluator import Evaluator
from anelab.export.mil.modes import Mode
from anelab.learning.base import Array, Graph, Tensor
from anelab.learning.config import CoreMLConfig

TRACE = LADDER[-1]


def converter_of(module: nn.Module, x: Array, **config: object) -> Converter:
    """For a module of one input and one output; `x` is a batch of one."""
    with torch.no_grad():
        y = module.eval()(torch.from_numpy(x))
    graph = Graph(
        "model",
        (Tensor("input", str(x.dtype), ("n", *x.shape[1:])),),
        (Tensor("output", "float32", ("n", *y.shape[1:])),),
    )
    return Converter({"fp32": module, "fp16": module}, graph, CoreMLConfig(**config), {"workload": "test"})  # type: ignore[arg-type]


def packaged(module: nn.Module, x: Array, path: Path, rung: Rung = TRACE, precision: str = "fp32") -> Path:
    converter = converter_of(module, x)
    converter.write(path, rung, fixed_size(converter.graph), precision)
    return path


def error_of(package: Path, module: nn.Module, x: Array, mode: Mode) -> float:
    """Largest error over the rows of `x`, one at a time, relative above one."""
    evaluator, worst = Evaluator(package, mode=mode), 0.0
    for row in range(len(x)):
        with torch.no_grad():
            want = module(torch.from_numpy(x[row : row + 1])).numpy()
        found = evaluator({"input": x[row : row + 1]})["output"]
        assert found.shape == want.shape
        worst = max(worst, float((np.abs(found - want) / np.maximum(1, np.abs(want))).max()))
    return worst
