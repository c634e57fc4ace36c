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
    """Largest error over the rows of `x`, one at a time and, if that can be done, all together; relative above one."""
    evaluator = Evaluator(package, mode=mode)
    with torch.no_grad():
        want = np.stack([module(torch.from_numpy(row[None])).numpy() for row in x])
    alone = np.stack([evaluator({"input": row[None]})["output"] for row in x])
    together = evaluator.stacked({"input": x[:, None]})
    found = [alone] if together is None else [alone, together["output"]]
    assert all(one.shape == want.shape for one in found)
    return max(float((np.abs(one - want) / np.maximum(1, np.abs(want))).max()) for one in found)
