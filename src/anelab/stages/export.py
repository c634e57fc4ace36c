"""export: every graph as ONNX and Core ML, their variants, the manifest, and proof against the trained module."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anelab.errors import AnelabError
from anelab.export.manifest_file import read_manifest
from anelab.files import dvc_md5, replacing_folder, write_json
from anelab.host import host_fingerprint
from anelab.learning.base import Arrays, Graph, Split
from anelab.learning.splits import split_digest
from anelab.stages.job import Job, Outcome, Stage
from anelab.tracking.receipt import Dataset

if TYPE_CHECKING:
    from torch import nn

    from anelab.export.arithmetic import PredictedArithmetic
    from anelab.export.artifacts import Source
    from anelab.export.executors import Executors
    from anelab.export.manifest import Artifact
    from anelab.export.proof import Measured

READINESS = "model.mlpackage"
RANGE_ROWS = 256


def _inputs(job: Job) -> Mapping[str, Path]:
    return {"best.ckpt": job.output("train") / "best.ckpt", "prepared": job.prepared}


def _run(job: Job, work: Path, key: str) -> Outcome:
    from anelab.export.artifacts import Source, write_artifacts
    from anelab.export.executors import predictor
    from anelab.export.manifest import golden_vectors
    from anelab.export.test_set_rows import TEST_ROWS, write_test_rows

    module, debug = _trained(job)
    metadata = _metadata(job, key, debug)
    source = Source(job.workload, job.config, job.prepared, module, metadata)
    test = job.workload.load(job.config, job.prepared, "test")
    with replacing_folder(job.output("export")) as out:
        artifacts = write_artifacts(source, out)
        predictors = {artifact: predictor(out / artifact.file, artifact.graph) for artifact in artifacts}
        golden = golden_vectors(job.workload.golden(job.config), predictors)
        job.workload.finish(predictors[artifacts[0]], job.config, job.prepared, out)
        manifest = _manifest(job, source, artifacts, golden, out, test)
        proof = _prove(job, source, artifacts, out, test)
        rows = {manifest["files"][one.file]["sha256"]: one.rows for one in proof if one.artifact.primary}
        write_test_rows(out / TEST_ROWS, split_digest(test), rows)
        readiness = _readiness(job, out, test)
        write_json(job.reports / "readiness.json", readiness)
    write_json(job.reports / "parity.json", _by_file(artifacts, proof))
    sizes = {f"size_bytes.{name}": float(item["size_bytes"]) for name, item in manifest["files"].items()}
    errors = {
        f"parity_max_absolute.{one.file}.{one.executor}": one.parity.max_absolute
        for one in proof
        if isfinite(one.parity.max_absolute)
    }
    changed = {
        f"predicted_engine_decisions_changed.{file}": float(found["arithmetic"]["decisions_changed"])
        for file, found in readiness.items()
        if found["arithmetic"]["decisions_changed"] is not None
    }
    datasets = [Dataset(job.name, metadata["data_digest"], "test")]
    return Outcome({**sizes, **errors, **changed}, datasets, reports=["parity.json", "readiness.json"])


def _trained(job: Job) -> "tuple[nn.Module, str]":
    from anelab.training.trained import trained_module

    return trained_module(job.workload, job.config, job.prepared, job.output("train") / "best.ckpt")


def _manifest(
    job: Job, source: "Source", artifacts: "list[Artifact]", golden: list[dict[str, Any]], out: Path, test: Split
) -> dict[str, Any]:
    """Write the example rows, and manifest.json, which names them if they may go with the model."""
    from anelab.export.examples import EXAMPLES, choose_examples
    from anelab.export.manifest import make_manifest, reference_of
    from anelab.training.evaluate import torch_predictor

    def expected(graph: Graph, rows: Split) -> Arrays:
        return torch_predictor(job.workload.deployed(source.module, graph), graph)(rows.inputs[graph.name])

    examples = choose_examples(test, expected, job.workload.graphs(job.config))
    examples.write(out / EXAMPLES)
    unlisted = () if job.config.export.ship_examples else (EXAMPLES,)
    reference = reference_of(job.workload.graphs(job.config), source.train)
    manifest = make_manifest(out, artifacts, source.metadata, golden, unlisted, reference)
    write_json(out / "manifest.json", manifest)
    return manifest


def _by_file(artifacts: "Sequence[Artifact]", proof: "Sequence[Measured]") -> dict[str, dict[str, Any]]:
    report: dict[str, dict[str, Any]] = {artifact.file: {} for artifact in artifacts}
    for one in proof:
        report[one.file][one.executor] = one.parity.as_json()
    return report


def measure(job: Job, only_host: bool = False) -> "list[Measured]":
    """The exported files once more, on this host, or by what only some hosts have. Raises AnelabError if they or the
    checkpoint are not there."""
    from anelab.export.executors import executors, host_executors
    from anelab.export.manifest import Artifact

    folder = job.output("export")
    if not (folder / "manifest.json").is_file():
        raise AnelabError(f"{folder}: holds no exported model; run `anelab export {job.name}` or `dvc checkout`")
    graphs = {graph.name: graph for graph in job.workload.graphs(job.config)}
    artifacts = [
        Artifact(file, graphs[item["graph"]], item["variant"], item["primary"])
        for file, item in read_manifest(folder)["files"].items()
    ]
    test = job.workload.load(job.config, job.prepared, "test")
    chosen = host_executors if only_host else executors
    return list(_measured(job, _trained(job)[0], artifacts, folder, test, chosen))


def host_parity(job: Job) -> dict[str, Any]:
    """The content of parity.host.json: what only this host can tell of the exported files."""
    measured = measure(job, only_host=True) if sys.platform == "darwin" else []
    artifacts = {one.file: one.artifact for one in measured}
    return {"files": _by_file(list(artifacts.values()), measured), "host": host_fingerprint()}


def _measured(
    job: Job,
    module: "nn.Module",
    artifacts: "list[Artifact]",
    folder: Path,
    test: Split,
    executors_of: "Callable[[Path, Graph, str], Executors]",
) -> "Iterator[Measured]":
    from anelab.export.proof import measure_all
    from anelab.training.evaluate import torch_predictor

    def expected(graph: Graph) -> Arrays:
        return torch_predictor(job.workload.deployed(module, graph), graph)(test.inputs[graph.name])

    return measure_all(job.workload, job.config, artifacts, folder, expected, test, executors_of)


def _prove(job: Job, source: "Source", artifacts: "list[Artifact]", out: Path, test: Split) -> "list[Measured]":
    """By what every host has, so that parity.json is the same on all of them; of each file, last by what answers users
    here. Raises AnelabError at the first artifact that is not what it promises."""
    from anelab.export.executors import portable_executors
    from anelab.export.proof import require

    proof = []
    for measured in _measured(job, source.module, artifacts, out, test, portable_executors):
        require(measured, job.workload, job.config, out, test)
        proof.append(measured)
    return proof


def _readiness(job: Job, out: Path, test: Split) -> dict[str, Any]:
    """What a Mac could do with the headline package, as far as the program and real rows tell, and what its Neural
    Engine would change in the answers."""
    from anelab.export.readiness import inspect_package

    found = predicted_arithmetic(job, out, test)
    if found is None:
        return {}
    rows = {name: array[:RANGE_ROWS] for name, array in test.inputs["model"].items()}
    return {READINESS: {**inspect_package(out / READINESS, rows).as_json(), "arithmetic": found.as_json()}}


def predicted_arithmetic(job: Job, folder: Path, test: Split) -> "PredictedArithmetic | None":
    """None without the headline package."""
    from anelab.export.arithmetic import predict_arithmetic

    graph = next(graph for graph in job.workload.graphs(job.config) if graph.name == "model")
    path = folder / READINESS
    return predict_arithmetic(job.workload, job.config, path, graph, test) if path.exists() else None


def _metadata(job: Job, key: str, debug: str) -> dict[str, str]:
    """What every file says of itself. No commit, no path, no time: equal models are equal bytes."""
    preset = {"debug": debug} if debug else {}
    return {
        **preset,
        "data_digest": dvc_md5(job.prepared),
        "input_key": key,
        "licence": "Apache-2.0",
        "preprocessing": job.workload.preprocessing,
        "workload": job.name,
        **job.workload.describe(job.config),
    }


STAGE = Stage("export", ("preset", "metric", "model", "training", "export"), ("training", "export"), _inputs, _run)
