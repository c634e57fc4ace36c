"""What a person does to registered models and the store, one function a command."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from mlflow.entities import ViewType
from mlflow.entities.model_registry import ModelVersion

from anelab import workloads
from anelab.errors import AnelabError, UsageError
from anelab.files import read_json
from anelab.tracking import models
from anelab.tracking.champion import Promotion, read_standing, write_standing
from anelab.tracking.registration import apply_aliases, champion_file, onnx_model
from anelab.tracking.store import Store, open_store
from anelab.workspace import Workspace


def workload_of(model: str) -> str:
    """The workload that a registered model belongs to."""
    known = {onnx_model(name): name for name in workloads.names()}
    if model not in known:
        raise UsageError(f"MODEL must be one of {', '.join(known)} but got {model}")
    return known[model]


def inspect_version(workspace: Workspace, model: str, reference: str) -> dict[str, Any]:
    """What the registry and the version's manifest say of it."""
    workload_of(model)
    store = open_store(workspace)
    version = models.resolve(store, model, reference)
    with tempfile.TemporaryDirectory() as scratch:
        manifest = read_json(models.download(store, version, Path(scratch)) / "manifest.json")
    return {
        "model": model,
        "version": str(version.version),
        "aliases": ", ".join(models.aliases_of(store, version)) or "none",
        "variant": version.tags.get("variant", ""),
        "gates": _gates(version),
        "metrics": _metrics(store, version),
        "files": {
            name: f"{item['size_bytes']} bytes, opset {item['opset']}, sha256 {item['sha256']}"
            for name, item in manifest["files"].items()
        },
        "metadata": manifest["metadata"],
        "run": version.run_id or "unknown",
    }


def _gates(version: ModelVersion) -> dict[str, str]:
    return {key.removeprefix("gate."): text for key, text in version.tags.items() if key.startswith("gate.")}


def _metrics(store: Store, version: ModelVersion) -> dict[str, float]:
    model_id = str(version.source).removeprefix("models:/")
    metrics = store.client.get_logged_model(model_id).metrics or []
    return {metric.key: metric.value for metric in metrics}


def promote_version(workspace: Workspace, model: str, reference: str, force: bool) -> str:
    """Record and set a champion. Raises AnelabError if a gate failed and `force` is not given."""
    workload = workload_of(model)
    store = open_store(workspace)
    version = models.resolve(store, model, reference)
    failed = [f"{name}: {text}" for name, text in _gates(version).items() if text.startswith("fail")]
    if failed and not force:
        raise AnelabError(
            f"{model} version {version.version} did not pass:\n  "
            + "\n  ".join(failed)
            + "\n--force promotes it anyway"
        )
    record = champion_file(workspace, workload)
    standing = read_standing(record, model).promote(_promotion(store, version, "forced" if failed else "promote"))
    write_standing(record, model, standing)
    _apply(store, workspace, workload)
    return f"{model} version {version.version} is champion; commit {record.relative_to(workspace.root)}"


def _promotion(store: Store, version: ModelVersion, by: str) -> Promotion:
    return Promotion(
        sha256=version.tags[models.SHA_TAG],
        input_key=version.tags["anelab.input_key"],
        variant=version.tags["variant"],
        metric=version.tags["anelab.metric"],
        value=_metrics(store, version)[version.tags["anelab.metric"].partition(":")[2]],
        by=by,
    )


def rollback_model(workspace: Workspace, model: str) -> str:
    """The former champion again, in the record and in the registry."""
    workload = workload_of(model)
    store = open_store(workspace)
    record = champion_file(workspace, workload)
    standing = read_standing(record, model).rollback(model)
    write_standing(record, model, standing)
    _apply(store, workspace, workload)
    assert standing.champion is not None
    return f"{model}: champion is {standing.champion.sha256[:12]} again; commit {record.relative_to(workspace.root)}"


def _apply(store: Store, workspace: Workspace, workload: str) -> None:
    with store.writing():
        for warning in apply_aliases(store, workspace, workload):
            print(f"anelab: warning: {warning}", file=sys.stderr)


def delete_model_version(workspace: Workspace, model: str, reference: str) -> str:
    workload_of(model)
    version = models.delete_version(open_store(workspace), model, reference)
    return f"{model} version {version.version} is deleted"


def collect_garbage(workspace: Workspace, older_than: str) -> str:
    """Erase soft-deleted runs for good, but those that aliased versions come from."""
    age = _duration(older_than)
    store = open_store(workspace)
    experiments = [item.experiment_id for item in store.client.search_experiments()]
    deleted = store.client.search_runs(experiments, run_view_type=ViewType.DELETED_ONLY, max_results=50000)
    kept = protected_runs(store)
    doomed = [run.info.run_id for run in deleted if run.info.run_id not in kept]
    if doomed:
        command = [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", store.uri]
        command += ["--older-than", age, "--run-ids", ",".join(doomed)]
        environment = {**os.environ, "MLFLOW_TRACKING_URI": store.uri}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise AnelabError(f"mlflow gc failed: {done.stderr.strip().splitlines()[-1]}")
    return f"{len(doomed)} deleted runs erased, {len(deleted) - len(doomed)} kept for champions and challengers"


def protected_runs(store: Store) -> set[str]:
    """Runs that a version with an alias comes from."""
    aliased = [
        store.client.get_model_version_by_alias(model.name, alias)
        for model in store.client.search_registered_models()
        for alias in model.aliases
    ]
    return {version.run_id for version in aliased if version.run_id}


def _duration(text: str) -> str:
    if not text or text[-1] not in "dhms" or not text[:-1].isdigit():
        raise UsageError(f"--older-than takes a number and d, h, m or s, like 30d, but got {text}")
    return text
