"""What runs an exported file: ONNX Runtime, the evaluator, and Core ML itself where there is macOS."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from anelab.export.coreai import coreai_predictor
from anelab.export.formats import format_of
from anelab.export.mil.predictor import mil_predictor
from anelab.export.runtime import onnx_predictor
from anelab.learning.base import Graph, Predictor

MODES = {"fp32": ("fp32",), "fp16": ("fp32", "fp16")}
"""Evaluator modes by variant: the semantics apart from the rounding, where both are promised."""


APPLE = "coreml_"
"""How names of executors by Core ML itself begin; a compute unit follows."""


def predictor(path: Path, graph: Graph) -> Predictor:
    """The file as it would answer a user on this host: a Core ML package by the evaluator, in its own types."""
    if format_of(path) == "onnx":
        return onnx_predictor(path)
    return mil_predictor(path) if format_of(path) == "coreml" else coreai_predictor(path, graph)


Executors = Mapping[str, Callable[[], Predictor]]
"""What opens a file to predict, by the name that reports use."""


def executors(path: Path, graph: Graph, variant: str) -> Executors:
    """Everything on this host that the file must be right on."""
    return {**portable_executors(path, graph, variant), **host_executors(path, graph, variant)}


def portable_executors(path: Path, graph: Graph, variant: str) -> Executors:
    """Those that every host has."""
    if format_of(path) == "onnx":
        return {"onnxruntime_cpu": lambda: onnx_predictor(path)}
    if format_of(path) == "coreai":
        return {"coreai": lambda: coreai_predictor(path, graph)}
    found: dict[str, Callable[[], Predictor]] = {}
    for mode in MODES.get(variant, ("fp16",)):
        found[f"evaluator_{mode}"] = lambda mode=mode: mil_predictor(path, mode)  # type: ignore[misc]
    return found


def host_executors(path: Path, graph: Graph, variant: str) -> Executors:
    """Those that only some hosts have: Core ML itself, each compute unit in a process of its own, for Core ML ends a
    process that it fails in."""
    if sys.platform != "darwin" or format_of(path) != "coreml":
        return {}
    from anelab.export.apple import COMPUTE_UNITS
    from anelab.export.isolated import isolated_predictor

    return {f"{APPLE}{unit}": lambda unit=unit: isolated_predictor(path, unit) for unit in COMPUTE_UNITS}
