"""Every file that a trained module becomes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from anelab.export.compress import compress
from anelab.export.coreai import write_aimodel
from anelab.export.coreml import Converter, fixed_size, sizes_of
from anelab.export.manifest import Artifact
from anelab.export.onnx import export_onnx, write_model
from anelab.export.quantize import calibration_rows, quantize_int8
from anelab.export.rounding import rounded_to_half
from anelab.learning.base import AnyWorkload, Array, Graph, Split
from anelab.learning.config import WorkloadConfig

FLOAT, HALF, INT8 = "fp32", "fp16", "int8"
PROBE_ROWS = 16


@dataclass(frozen=True)
class Source:
    """A trained module of a workload, the data it is calibrated on, and what its files say of themselves."""

    workload: AnyWorkload
    config: WorkloadConfig
    prepared: Path
    module: nn.Module
    metadata: Mapping[str, str]

    @cached_property
    def train(self) -> Split:
        return self.workload.load(self.config, self.prepared, "train")

    def calibration(self, graph: Graph) -> dict[str, Array]:
        return calibration_rows(self.train.inputs[graph.name], self.config.export.calibration_rows, self.config.seed)

    def deployed(self, graph: Graph, half: bool = False) -> nn.Module:
        return self.workload.deployed(self.module, graph, half)


def write_artifacts(source: Source, out: Path) -> list[Artifact]:
    """Write all files and packages into the folder `out`; the model's ONNX file comes first."""
    config, writers = source.config.export, [("onnx", write_onnx)]
    if config.coreml is not None:
        writers.append(("coreml", write_coreml))
    if config.coreai:
        writers.append(("coreml", write_coreai))  # what fits the one fits the other
    return [
        artifact
        for format, write in writers
        for graph in source.workload.graphs(source.config)
        if format in graph.formats
        for artifact in write(source, graph, out)
    ]


def _name(graph: Graph, rest: str) -> str:
    return f"model{'' if graph.name == 'model' else f'.{graph.name}'}.{rest}"


def write_onnx(source: Source, graph: Graph, out: Path) -> Iterator[Artifact]:
    """The graph at the configured opset, and the model's static INT8 variant."""
    config, is_model = source.config.export, graph.name == "model"
    model = export_onnx(source.deployed(graph), graph, config.opset, source.metadata)
    artifact = Artifact(_name(graph, "onnx"), graph, FLOAT, is_model)
    write_model(model, out / artifact.file)
    yield artifact
    if is_model and config.int8:
        small = Artifact("model.int8.onnx", graph, INT8)
        write_model(quantize_int8(model, graph, source.calibration(graph), source.metadata), out / small.file)
        yield small


def write_coreml(source: Source, graph: Graph, out: Path) -> Iterator[Artifact]:
    """A package in each precision, one of all batch sizes, and the compressed variants of the fp16 one."""
    config, primary = source.config.export.coreml, graph.name == "model"
    assert config is not None
    converter = Converter(_precisions(source, graph), graph, config, source.metadata)
    rung = converter.climb({name: array[:PROBE_ROWS] for name, array in source.train.inputs[graph.name].items()})
    main = Artifact(_name(graph, "mlpackage"), graph, HALF, primary)
    for artifact in (main, Artifact(_name(graph, "fp32.mlpackage"), graph, FLOAT, primary)):
        converter.write(out / artifact.file, rung, fixed_size(graph), artifact.variant)
        yield artifact
    if config.buckets:
        several = Artifact(_name(graph, "buckets.mlpackage"), graph, HALF, primary=False)
        converter.write_buckets(out / several.file, rung, sizes_of(graph, config.buckets))
        yield several
    for variant in config.variants if primary else ():
        smaller = Artifact(_name(graph, f"{variant}.mlpackage"), graph, variant)
        compress(out / main.file, out / smaller.file, variant, config, converter.metadata)
        yield smaller


def write_coreai(source: Source, graph: Graph, out: Path) -> Iterator[Artifact]:
    """Core AI's model, in float32. Raises AnelabError if the extra is missing."""
    artifact = Artifact(_name(graph, "aimodel"), graph, FLOAT, graph.name == "model")
    write_aimodel(source.deployed(graph), graph, out / artifact.file, source.metadata)
    yield artifact


def _precisions(source: Source, graph: Graph) -> dict[str, nn.Module]:
    """What the packages of each precision are made of."""
    rows = source.calibration(graph)
    calibration = [torch.from_numpy(rows[tensor.name]) for tensor in graph.inputs]
    return {FLOAT: source.deployed(graph), HALF: rounded_to_half(source.deployed(graph, half=True).eval(), calibration)}
