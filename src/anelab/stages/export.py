"""export: every graph as ONNX, the INT8 variant, the manifest, and proof against the trained module."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anelab.errors import AnelabError
from anelab.files import dvc_md5, replacing_folder, write_json
from anelab.learning.base import Graph, Split
from anelab.stages.job import Job, Outcome, Stage
from anelab.tracking.receipt import Dataset

if TYPE_CHECKING:
    from torch import nn

    from anelab.export.manifest import Artifact
    from anelab.export.parity import Parity

FLOAT, INT8 = "fp32", "int8"


def _inputs(job: Job) -> Mapping[str, Path]:
    return {"best.ckpt": job.output("train") / "best.ckpt", "prepared": job.prepared}


def _run(job: Job, work: Path, key: str) -> Outcome:
    from anelab.export.manifest import golden_vectors, make_manifest
    from anelab.export.runtime import onnx_predictor
    from anelab.training.checkpoint import load_checkpoint

    best = load_checkpoint(job.output("train") / "best.ckpt")
    module = _module(job, best)
    metadata = _metadata(job, key, best["debug"])
    with replacing_folder(job.output("export")) as out:
        artifacts = _write_artifacts(job, module, metadata, out)
        predictors = {artifact: onnx_predictor(out / artifact.file) for artifact in artifacts}
        golden = golden_vectors(job.workload.golden(job.config), predictors)
        job.workload.finish(predictors[artifacts[0]], job.config, job.prepared, out)
        manifest = make_manifest(out, artifacts, metadata, golden)
        write_json(out / "manifest.json", manifest)
        parity = _prove(job, module, artifacts, out)
    report = {name: one.as_json() for name, one in parity.items()}
    write_json(job.reports / "parity.json", report)
    sizes = {f"size_bytes.{name}": float(item["size_bytes"]) for name, item in manifest["files"].items()}
    errors = {f"parity_max_absolute.{name}": one.max_absolute for name, one in parity.items()}
    datasets = [Dataset(job.name, metadata["data_digest"], "test")]
    return Outcome({**sizes, **errors}, datasets, reports=["parity.json"])


def _module(job: Job, best: dict[str, Any]) -> "nn.Module":
    from anelab.training.search import apply_values

    if best["workload"] != job.name:
        raise AnelabError(f"{job.output('train')}: is a checkpoint of {best['workload']}, not of {job.name}")
    module = job.workload.build(apply_values(job.config, best["values"]), job.prepared)
    module.load_state_dict(best["module"])
    return module.eval()


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


def _write_artifacts(job: Job, module: "nn.Module", metadata: dict[str, str], out: Path) -> "list[Artifact]":
    from anelab.export.manifest import Artifact
    from anelab.export.onnx import export_onnx, write_model
    from anelab.export.quantize import calibration_rows, quantize_int8

    config, artifacts = job.config.export, []
    for graph in job.workload.graphs(job.config):
        model = export_onnx(job.workload.deployed(module, graph), graph, config.opset, metadata)
        artifacts.append(Artifact("model.onnx" if graph.name == "model" else f"model.{graph.name}.onnx", graph, FLOAT))
        write_model(model, out / artifacts[-1].file)
        if graph.name == "model" and config.int8:
            train = job.workload.load(job.config, job.prepared, "train").inputs["model"]
            rows = calibration_rows(train, config.calibration_rows, job.config.seed)
            artifacts.append(Artifact("model.int8.onnx", graph, INT8))
            write_model(quantize_int8(model, graph, rows, metadata), out / artifacts[-1].file)
    return artifacts


def _prove(job: Job, module: "nn.Module", artifacts: "list[Artifact]", out: Path) -> "dict[str, Parity]":
    """Parity of every artifact on the test set. Raises AnelabError at the first breach."""
    test = job.workload.load(job.config, job.prepared, "test")
    return {artifact.file: _prove_one(job, module, artifact, out, test) for artifact in artifacts}


def _prove_one(job: Job, module: "nn.Module", artifact: "Artifact", out: Path, test: Split) -> "Parity":
    from anelab.export.parity import compare, require
    from anelab.export.runtime import onnx_predictor
    from anelab.training.evaluate import torch_predictor

    graph: Graph = artifact.graph
    inputs = test.inputs[graph.name]
    expected = torch_predictor(job.workload.deployed(module, graph), graph)(inputs)
    found = onnx_predictor(out / artifact.file)(inputs)
    parity = compare(job.workload, job.config, expected, found, test)
    tolerance = job.config.export.tolerance(artifact.variant)
    require(artifact.file, parity, tolerance, job.config.sign, expected, found)
    return parity


STAGE = Stage("export", ("metric", "model", "training", "export"), ("training", "export"), _inputs, _run)
