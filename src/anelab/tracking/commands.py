"""What a person does to registered models and the store, one function a command."""

import difflib
import tempfile
from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import ModelVersion

from anelab import workloads
from anelab.errors import AnelabError, UsageError, warn
from anelab.export.manifest_file import read_manifest
from anelab.locks import alone
from anelab.tracking import models
from anelab.tracking.gate_tags import gate_verdicts
from anelab.tracking.present_champion import held_back_now
from anelab.tracking.promotion_record import PromotionRecord, write_promotions
from anelab.tracking.recovery import has_run, versions_in
from anelab.tracking.registration import (
    METRIC_TAG,
    REGISTERED_FORMATS,
    apply_aliases,
    binding_promotions,
    champion_file,
    promotion_of,
    recover_promoted,
    registered_model,
)
from anelab.tracking.store import Store, open_store
from anelab.workspace import Workspace


def workload_of(model: str) -> str:
    """The workload that a registered model belongs to."""
    known = {registered_model(name, format): name for name in workloads.names() for format in REGISTERED_FORMATS}
    if model in known:
        return known[model]
    near = difflib.get_close_matches(model, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(f"MODEL must be one of {', '.join(known)} but got {model}{hint}")


def list_versions(workspace: Workspace, model: str) -> list[dict[str, str]]:
    """A line for every version, newest first."""
    workload = workload_of(model)
    store = open_store(workspace)
    with store.reading():
        versions = versions_in(store, model)
        if not versions:
            warn(f"{model} has no version in this store; `anelab sync` brings back what the files of {workload} record")
        return [
            {
                "version": str(version.version),
                "variant": version.tags.get("variant", ""),
                "aliases": ", ".join(models.aliases_of(store, version)),
                "metric": _headline(version),
                "verdict": _verdict(version),
                "sha256": version.tags.get(models.SHA_TAG, "")[:12],
            }
            for version in versions
        ]


def _verdict(version: ModelVersion) -> str:
    verdicts = {verdict for verdict, _ in gate_verdicts(version.tags).values()}
    return "held back by a gate" if "fail" in verdicts else "not eligible" if "not eligible" in verdicts else "passed"


def _headline(version: ModelVersion) -> str:
    name = version.tags.get("anelab.metric", "").partition(":")[2]
    value = version.tags.get(f"metric.{name}")
    return f"{name} {float(value):.6g}" if value else ""


def inspect_version(workspace: Workspace, model: str, reference: str) -> dict[str, Any]:
    """What the registry and the version's manifest say of it."""
    workload_of(model)
    store = open_store(workspace)
    version = models.resolve(store, model, reference)
    with tempfile.TemporaryDirectory() as scratch:
        manifest = read_manifest(models.download(store, version, Path(scratch)))
    with store.reading():
        aliases, origin = models.aliases_of(store, version), _origin(store, version)
    return {
        "model": model,
        "version": str(version.version),
        "aliases": ", ".join(aliases) or "none",
        "variant": version.tags.get("variant", ""),
        "gates": {name: f"{verdict}: {reason}" for name, (verdict, reason) in gate_verdicts(version.tags).items()},
        "metrics": _metrics(version),
        "files": {
            name: f"{item['size_bytes']} bytes, {_version(item)}, sha256 {item['sha256']}"
            for name, item in manifest["files"].items()
        },
        "metadata": manifest["metadata"],
        **origin,
    }


def _version(item: dict[str, Any]) -> str:
    """Of a file's format."""
    if item["format"] == "coreml":
        return f"{item['precision']}, specification {item['specification_version']}"
    return f"opset {item['opset']}"


def _metrics(version: ModelVersion) -> dict[str, float]:
    prefix = "metric."
    return {key.removeprefix(prefix): float(text) for key, text in version.tags.items() if key.startswith(prefix)}


def _origin(store: Store, version: ModelVersion) -> dict[str, str]:
    """The run that trained the version and its commit, as far as MLflow still has them."""
    run_id = models.training_run(version)
    if run_id is None:
        return {"run": "unknown", "commit": "unknown"}
    if not has_run(store, run_id):
        return {"run": f"{run_id}, which was erased in MLflow", "commit": "unknown"}
    tags = store.client.get_run(run_id).data.tags
    dirty = " with changes" if tags.get("anelab.git_dirty") == "true" else ""
    return {"run": run_id, "commit": tags.get("mlflow.source.git.commit", "unknown") + dirty}


def promote_version(workspace: Workspace, model: str, reference: str, force: bool, margin: float | None = None) -> str:
    """Record and set a champion. Raises AnelabError if a gate holds it back now and `force` is not given. `margin`: of
    the metric, by which it may be worse than the champion; None for that of its registration."""
    workload = workload_of(model)
    store = open_store(workspace)
    version = models.resolve(store, model, reference)
    if METRIC_TAG not in version.tags:
        raise AnelabError(
            f"{model} version {version.version} was not registered by anelab, so no gate judged it; export and "
            f"register its model (`anelab run {workload}`)"
        )
    against = held_back_now(store, version, margin)
    if against and not force:
        reasons = "\n  ".join(against)
        raise AnelabError(f"{model} version {version.version} did not pass:\n  {reasons}\n--force promotes it anyway")
    models.check_files(store, version)
    promotion = promotion_of(version, "forced" if against else "promote")
    _change(workspace, store, workload, model, lambda promotions: promotions.choose(promotion))
    holder = models.resolve(store, model, "champion")
    return f"{model} version {holder.version} is champion; commit {_record_path(workspace, workload)}"


def rollback_model(workspace: Workspace, model: str) -> str:
    """The former champion again, in the record and in the registry."""
    workload = workload_of(model)
    store = open_store(workspace)
    found: list[ModelVersion] = []

    def back(promotions: PromotionRecord) -> PromotionRecord:
        after = promotions.rollback(model)
        assert after.champion is not None
        version = recover_promoted(store, workload, model, after.champion)
        if version is None:
            raise AnelabError(
                f"{model}: the former champion {after.champion.sha256[:12]} is not in this store; check out the "
                "commit that made it, run `dvc checkout` and `anelab sync`"
            )
        models.check_files(store, version)
        found.append(version)
        return after

    _change(workspace, store, workload, model, back)
    return f"{model} version {found[0].version} is champion again; commit {_record_path(workspace, workload)}"


def delete_model_version(workspace: Workspace, model: str, reference: str) -> str:
    """Delete a version, for good. Raises AnelabError if it is in use or a roll-back may need it."""
    workload = workload_of(model)
    store = open_store(workspace)
    version = models.resolve(store, model, reference)
    sha256 = version.tags.get(models.SHA_TAG, "")
    if held := models.aliases_of(store, version):
        raise AnelabError(
            f"{model} version {version.version} is {' and '.join(held)}; first give that role to another version"
        )

    def forget(promotions: PromotionRecord) -> PromotionRecord:
        if any(promotion.sha256 == sha256 for promotion in promotions.former):
            raise AnelabError(f"{model} version {version.version} was a champion, and a roll-back may need it")
        store.client.delete_model_version(model, version.version)
        return promotions.delete(sha256)

    _change(workspace, store, workload, model, forget)
    return f"{model} version {version.version} is deleted"


def _change(workspace: Workspace, store: Store, workload: str, model: str, change: Any) -> None:
    """Change the record under the workload's lock, then let the aliases follow."""
    record = champion_file(workspace, workload)
    with alone(workspace, workload), store.writing():
        write_promotions(record, model, change(binding_promotions(store, workspace, workload, model)))
        for warning in apply_aliases(store, workspace, workload, model):
            warn(warning)


def _record_path(workspace: Workspace, workload: str) -> Path:
    return champion_file(workspace, workload).relative_to(workspace.root)
