"""manifest.json: what a consumer in any language needs to know of a model's files, and golden vectors."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from anelab.export.cost import package_costs
from anelab.export.formats import format_of
from anelab.export.mlpackage import describe_package, package_content
from anelab.export.onnx import operators, opset_of, parameters, signature
from anelab.export.placement.predicted import package_placements
from anelab.files import path_digest, path_size
from anelab.learning.base import Array, Arrays, GoldenCase, Graph, Predictor, Split
from anelab.learning.drift import describe_rows

SCHEMA = 2
GOLDEN_BY = {"onnx": "onnxruntime_cpu", "coreml": "evaluator_fp16", "coreai": "coreai"}
"""What computed the golden outputs: of a Core ML package our evaluator, which 16-bit hardware follows to
within about 5e-3 only."""


@dataclass(frozen=True)
class Artifact:
    """One exported file or package: which graph it computes, in which variant. Of a format and variant
    one is `primary`, the model itself; what else there is goes with it."""

    file: str
    graph: Graph
    variant: str
    primary: bool = True

    @property
    def format(self) -> str:
        return format_of(self.file)


def content_digest(model: onnx.ModelProto) -> str:
    """sha256 of graph and weights without the metadata: the identity of what is computed."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.metadata_props[:]
    return hashlib.sha256(bare.SerializeToString(deterministic=True)).hexdigest()


def describe_file(folder: Path, artifact: Artifact) -> dict[str, Any]:
    path = folder / artifact.file
    return {
        "format": artifact.format,
        "golden_by": GOLDEN_BY[artifact.format],
        "graph": artifact.graph.name,
        "primary": artifact.primary,
        "sha256": path_digest(path),
        "signature": signature(artifact.graph),
        "size_bytes": path_size(path),
        "variant": artifact.variant,
        **DESCRIBED[artifact.format](path),
    }


def _of_onnx(path: Path) -> dict[str, Any]:
    model = onnx.load(path)
    return {
        "content": content_digest(model),
        "operators": operators(model),
        "opset": opset_of(model),
        "parameters": parameters(model),
    }


def _of_package(path: Path) -> dict[str, Any]:
    placements = {name: placement.as_json() for name, placement in package_placements(path).items()}
    described = describe_package(path)
    return {"content": package_content(path), "cost": package_costs(path), "placement": placements, **described}


def _of_aimodel(path: Path) -> dict[str, Any]:
    """Core AI's own hash of the program; its operators are its own business."""
    return {"content": (path / "main.hash").read_bytes().hex(), "operators": {}}


DESCRIBED = {"onnx": _of_onnx, "coreml": _of_package, "coreai": _of_aimodel}


def make_manifest(
    folder: Path,
    artifacts: Iterable[Artifact],
    metadata: Mapping[str, str],
    golden: list[dict[str, Any]],
    unlisted: Collection[str] = (),
    reference: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The manifest of the files in `folder`; what is no artifact is a companion, such as an index, and goes with
    the model wherever it goes, unless it is `unlisted`. `reference`: what `reference_of` found of the training rows."""
    files = {artifact.file: describe_file(folder, artifact) for artifact in artifacts}
    beside = sorted(path for path in folder.iterdir() if path.name not in {*files, *unlisted})
    return {
        "companions": {path.name: {"sha256": path_digest(path), "size_bytes": path_size(path)} for path in beside},
        "files": files,
        "golden": golden,
        "metadata": dict(metadata),
        "reference": dict(reference or {}),
        "schema": SCHEMA,
    }


def reference_of(graphs: Iterable[Graph], train: Split) -> dict[str, Any]:
    """Of each graph's inputs what training rows were like, so that a server can tell whether its requests are."""
    return {
        graph.name: {name: describe_rows(rows) for name, rows in train.inputs[graph.name].items()} for graph in graphs
    }


def golden_vectors(cases: Iterable[GoldenCase], predictors: Mapping[Artifact, Predictor]) -> list[dict[str, Any]]:
    """Each case's record, what it becomes for every graph, and what every file then gives."""
    return [
        {
            "given": case.given,
            "inputs": {graph: _named(arrays) for graph, arrays in case.inputs.items()},
            "outputs": {one.file: _named(run(case.inputs[one.graph.name])) for one, run in predictors.items()},
        }
        for case in cases
    ]


def _named(arrays: Arrays) -> dict[str, Any]:
    return {name: {"shape": list(array.shape), "values": _values(array)} for name, array in arrays.items()}


def _values(array: Array) -> list[float | str]:
    """Shortest decimals that give back the same float32, row by row. JSON has no number for what is not finite:
    that is "nan", "inf" or "-inf"."""
    if array.dtype == np.float32:
        return [float(str(value)) if np.isfinite(value) else str(value) for value in array.ravel()]
    return [value if np.isfinite(value) else str(value) for value in array.ravel().tolist()]
