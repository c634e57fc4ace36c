"""A torch module as a predictor, and its figures on a split."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from anelab.learning.base import SEQUENCES_AT_ONCE, AnyWorkload, Arrays, Graph, Predictor, Split
from anelab.learning.config import WorkloadConfig

ROWS_AT_ONCE = 4096


def torch_predictor(module: nn.Module, graph: Graph, device: torch.device | str = "cpu") -> Predictor:
    """Runs `module` in evaluation mode, a few thousand rows at a time."""
    module = module.to(device).eval()
    together = SEQUENCES_AT_ONCE if graph.buckets else ROWS_AT_ONCE

    @torch.inference_mode()
    def predict(inputs: Arrays) -> Arrays:
        columns = [torch.from_numpy(np.ascontiguousarray(inputs[tensor.name])) for tensor in graph.inputs]
        parts = [_call(module, [part.to(device) for part in slab]) for slab in _slabs(columns, together)]
        joined = [torch.cat(column).float().cpu().numpy() for column in zip(*parts, strict=True)]
        return {tensor.name: array for tensor, array in zip(graph.outputs, joined, strict=True)}

    return predict


def _call(module: nn.Module, columns: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    outputs = module(*columns)
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _slabs(columns: list[torch.Tensor], together: int) -> Iterator[list[torch.Tensor]]:
    for start in range(0, max(len(columns[0]), 1), together):
        yield [column[start : start + together] for column in columns]


def evaluate_module(
    workload: AnyWorkload, config: WorkloadConfig, module: nn.Module, split: Split
) -> tuple[Arrays, dict[str, float]]:
    """Rows and figures of the module as it would be deployed."""
    graph = workload.graphs(config)[0]
    device = next(module.parameters()).device
    outputs = torch_predictor(workload.deployed(module, graph), graph, device)(split.inputs[graph.name])
    rows = workload.rows(outputs, split)
    return rows, workload.metrics(rows, split)
