"""What runs an exported file: ONNX Runtime, the evaluator, and Core ML itself where there is macOS."""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from anelab.export.formats import format_of
from anelab.learning.base import Graph, Predictor

if TYPE_CHECKING:
    from anelab.export.mil.modes import Mode

MODES: Mapping[str, "tuple[Mode, ...]"] = {"fp32": ("fp32",), "fp16": ("fp32", "fp16")}
"""Evaluator modes by variant: the semantics apart from the rounding, where both are promised."""


APPLE = "coreml_"
"""How names of executors by Core ML itself begin; a compute unit follows."""


def predictor(path: Path, graph: Graph) -> Predictor:
    """The file as it would answer a user on this host: a Core ML package by the evaluator, in its own types."""
    return list(portable_executors(path, graph, "").values())[-1]()


Executors = Mapping[str, Callable[[], Predictor]]
"""What opens a file to predict, by the name that reports use."""


def executors(path: Path, graph: Graph, variant: str) -> Executors:
    """Everything on this host that the file must be right on."""
    return {**portable_executors(path, graph, variant), **host_executors(path, graph, variant)}


def portable_executors(path: Path, graph: Graph, variant: str) -> Executors:
    """Those that every host has, what answers users here last. Each imports its runtime when it is called."""
    if format_of(path) == "onnx":
        return {"onnxruntime_cpu": lambda: _onnx(path)}
    if format_of(path) == "coreai":
        return {"coreai": lambda: _coreai(path, graph)}
    return {f"evaluator_{mode}": partial(_evaluated, path, mode) for mode in MODES.get(variant, ("fp16",))}


def _onnx(path: Path) -> Predictor:
    from anelab.export.runtime import onnx_predictor

    return onnx_predictor(path)


def _coreai(path: Path, graph: Graph) -> Predictor:
    from anelab.export.coreai import coreai_predictor

    return coreai_predictor(path, graph)


def _evaluated(path: Path, mode: "Mode") -> Predictor:
    from anelab.export.mil.predictor import mil_predictor

    return mil_predictor(path, mode)


def host_executors(path: Path, graph: Graph, variant: str) -> Executors:
    """Those that only some hosts have: Core ML itself, each compute unit in a process of its own, for Core ML ends a
    process that it fails in."""
    if sys.platform != "darwin" or format_of(path) != "coreml":
        return {}
    from anelab.export.apple import COMPUTE_UNITS
    from anelab.export.isolated import isolated_predictor

    return {f"{APPLE}{unit}": lambda unit=unit: isolated_predictor(path, unit) for unit in COMPUTE_UNITS}
