"""From files to the registry: versions, tags and aliases as registry.json and champion.json say.

The stage `register` decides and writes those two files; applying them is idempotent and is also what
`anelab sync` does.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException

from anelab import workloads
from anelab.export.manifest_file import read_manifest
from anelab.files import copy_path, damaged_files, write_json
from anelab.tracking.models import (
    ALIASES,
    MAIN_FILES,
    SHA_TAG,
    Candidate,
    Version,
    champion_version,
    ensure_version,
    find_promoted,
    set_alias,
    sizes,
)
from anelab.tracking.promotion_record import Promotion, PromotionRecord, read_promotions
from anelab.tracking.query import named
from anelab.tracking.receipt import Receipt, receipt_path
from anelab.tracking.records import RegistryJson, read_record
from anelab.tracking.recovery import recover_version, restore_logged_models
from anelab.tracking.replicates import REPLICATES, Replicates
from anelab.tracking.runs import find_run
from anelab.tracking.store import Store
from anelab.workspace import Workspace

SCHEMA = 2
REGISTERED_FORMATS = ("onnx", "coreml")
METRIC_TAG = "anelab.metric"
"""Of every version that `register` made."""
MARGIN_TAG = "anelab.margin"
"""By how much of the metric it may be worse than the champion; versions of older anelabs have none."""


def registered_model(workload: str, format: str) -> str:
    """The registered model's name."""
    return f"{workload}-{format}"


def model_names() -> list[str]:
    """Every name that a registered model of ours may have."""
    return [registered_model(workload, format) for workload in workloads.names() for format in REGISTERED_FORMATS]


def champion_file(workspace: Workspace, workload: str) -> Path:
    return workspace.reports(workload) / "champion.json"


def binding_promotions(store: Store, workspace: Workspace, workload: str, model: str) -> PromotionRecord:
    """The record of promotions. Where it names no champion, the store's is the one that binds: a copy of the repository
    for an experiment has no record that git does not know, nor has a fresh clone on a server."""
    promotions = read_promotions(champion_file(workspace, workload), model)
    if promotions.champion is not None:
        return promotions
    version = champion_version(store, model)
    if version is None or METRIC_TAG not in version.tags:  # there is none, or it was registered by other means
        return promotions
    return replace(promotions, champion=promotion_of(version, "store"))


def promotion_of(version: Version, by: str) -> Promotion:
    """What the record says of a version that `register` made."""
    tags = version.tags
    metric = tags[METRIC_TAG]
    return Promotion(
        sha256=tags[SHA_TAG],
        content=tags["anelab.content"],
        input_key=tags["anelab.input_key"],
        variant=tags["variant"],
        metric=metric,
        value=float(tags[f"metric.{metric.partition(':')[2]}"]),
        test_digest=tags["anelab.test_digest"],
        by=by,
    )


@dataclass(frozen=True)
class Applied:
    """What applying changed or could not do. `versions` by model and variant."""

    versions: dict[str, dict[str, str]]
    warnings: list[str]


def apply_registration(store: Store, workspace: Workspace, workload: str) -> Applied:
    """Bring the registry to what the workload's registry.json and champion.json record.

    A queued experiment leaves the aliases alone: its champion.json counts once `dvc exp apply` has
    brought it into the project, and `anelab sync` then moves them."""
    registry = read_registry(workspace, workload)
    applied = Applied({model: {} for model in registry["models"]}, [])
    for model in registry["models"]:
        _apply_model(store, workspace, workload, model, registry, applied)
    return applied


def _apply_model(
    store: Store, workspace: Workspace, workload: str, model: str, registry: dict[str, Any], applied: Applied
) -> None:
    promotions = read_promotions(champion_file(workspace, workload), model)
    restore_logged_models(store, model)
    for variant, judged in registry["models"][model]["candidates"].items():
        if judged["sha256"] in promotions.deleted:
            continue
        if not _is_intact(workspace.models(workload) / "export", judged):
            applied.warnings.append(
                f"{model}: the exported {variant} files are not the registered ones, or damaged; run `dvc checkout`"
            )
            continue
        with _candidate(store, workspace, workload, model, variant, registry) as candidate:
            applied.versions[model][variant] = str(ensure_version(store, candidate).version)
    if not workspace.is_scratch:
        applied.warnings.extend(apply_aliases(store, workspace, workload, model))


def read_registry(workspace: Workspace, workload: str) -> dict[str, Any]:
    """What `register` decided. Raises AnelabError if the file is damaged."""
    path = workspace.reports(workload) / "registry.json"
    return read_record(RegistryJson, path, f"run `anelab register {workload}` again")


def apply_aliases(store: Store, workspace: Workspace, workload: str, model: str) -> list[str]:
    """Set the aliases as champion.json records them. A champion that is not in this store is returned as a
    warning; a challenger that is not, such as one from before a clone, is left out."""
    promotions = read_promotions(champion_file(workspace, workload), model)
    warnings = []
    for former in promotions.former:
        recover_promoted(store, workload, model, former)
    for alias in ALIASES:
        promotion: Promotion | None = getattr(promotions, alias)
        version = recover_promoted(store, workload, model, promotion) if promotion else None
        if promotion and version is None and alias == "champion":
            warnings.append(
                f"{model}: the recorded champion {promotion.sha256[:12]} is not in this store; "
                "check out the commit that made it, run `dvc checkout` and `anelab sync`"
            )
            continue
        if version is not None and alias == "champion" and not _has_manifest(store, version):
            warnings.append(
                f"{model}: the files of the recorded champion {version.tags[SHA_TAG][:12]} are not in this store; "
                "check out the commit that made it, run `dvc checkout` and `anelab sync`"
            )
        if promotion or _exists(store, model):
            set_alias(store, model, alias, version)
    return warnings


def recover_promoted(store: Store, workload: str, model: str, promotion: Promotion) -> Version | None:
    """The promoted model's version, back from its logged model if it was deleted in MLflow; None if that is gone."""
    return find_promoted(store, model, promotion) or recover_version(store, workload, model, SHA_TAG, promotion.sha256)


def _has_manifest(store: Store, version: Version) -> bool:
    try:
        return "manifest.json" in sizes(store, version.name, str(version.version))
    except (MlflowException, OSError):
        return False


def _exists(store: Store, model: str) -> bool:
    return any(item.name == model for item in store.client.search_registered_models(named(model)))


def _is_intact(export: Path, judged: dict[str, Any]) -> bool:
    """Whether the folder holds the judged model, and each file as its manifest says."""
    try:
        manifest = read_manifest(export)
        return manifest["files"][judged["file"]]["sha256"] == judged["sha256"] and not damaged_files(export, manifest)
    except (OSError, ValueError, KeyError):
        return False


@contextmanager
def _candidate(
    store: Store, workspace: Workspace, workload: str, model: str, variant: str, registry: dict[str, Any]
) -> Iterator[Candidate]:
    """The variant with its version's folder laid out beside it for as long as the block lasts."""
    format = registry["models"][model]["format"]
    judged = registry["models"][model]["candidates"][variant]
    with tempfile.TemporaryDirectory() as scratch:
        files = lay_out(workspace.models(workload) / "export", format, variant, Path(scratch))
        drawn = Replicates.load(workspace.reports(workload) / REPLICATES, judged["sha256"])
        if drawn is not None:
            drawn.save(Path(scratch, REPLICATES))
            files[REPLICATES] = Path(scratch, REPLICATES)
        yield Candidate(
            model=model,
            format=format,
            experiment=workload,
            files=files,
            tags=_tags(workload, variant, judged, registry),
            metrics=judged["metrics"],
            dataset=(workload, registry["data_digest"]),
            run_id=_training_run(store, workspace, workload),
        )


def lay_out(export: Path, format: str, variant: str, folder: Path) -> dict[str, Path]:
    """One variant's files as a version has them: its model has the format's one name, and the manifest says so."""
    manifest = read_manifest(export)
    chosen = {
        name: item for name, item in manifest["files"].items() if (item["format"], item["variant"]) == (format, variant)
    }
    names = {name: MAIN_FILES[format] if item["primary"] else name for name, item in chosen.items()}
    for source, name in {**names, **{name: name for name in manifest["companions"]}}.items():
        copy_path(export / source, folder / name)
    files = {name: manifest["files"][source] for source, name in names.items()}
    golden = [
        {**case, "outputs": {name: case["outputs"][source] for source, name in names.items()}}
        for case in manifest["golden"]
    ]
    write_json(folder / "manifest.json", {**manifest, "files": files, "golden": golden})
    return {path.name: path for path in sorted(folder.iterdir())}


def _tags(workload: str, variant: str, judged: dict[str, Any], registry: dict[str, Any]) -> dict[str, str]:
    tags = {
        "variant": variant,
        "anelab.workload": workload,
        "anelab.sha256": judged["sha256"],
        "anelab.content": judged["content"],
        "anelab.input_key": registry["input_key"],
        METRIC_TAG: registry["metric"],
        **({MARGIN_TAG: repr(registry["margin"])} if "margin" in registry else {}),
        "anelab.test_digest": registry["test_digest"],
        "anelab.passed": str(judged["passed"]).lower(),
    }
    for gate in judged["gates"]:
        name = f"gate.{gate['name']}"
        tags |= {name: gate["verdict"], f"{name}.reason": gate["reason"]}
        tags |= {f"{name}.{key}": repr(value) for key, value in gate["figures"].items()}
    return tags | {f"metric.{key}": repr(value) for key, value in judged["metrics"].items()}


def _training_run(store: Store, workspace: Workspace, workload: str) -> str | None:
    path = receipt_path(workspace, workload, "train")
    if not path.is_file():
        return None
    run = find_run(store, workload, Receipt.read(path).input_key)
    return str(run.info.run_id) if run else None
