"""From files to the registry: versions, tags and aliases as registry.json and champion.json say.

The stage `register` decides and writes those two files; applying them is idempotent and is also what
`anelab sync` does.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anelab.files import file_digest, read_json, write_json
from anelab.tracking.champion import Promotion, read_standing
from anelab.tracking.models import ALIASES, Candidate, ensure_version, find_version, set_alias
from anelab.tracking.receipt import Receipt, receipt_path
from anelab.tracking.runs import find_run
from anelab.tracking.store import Store
from anelab.workspace import Workspace


def onnx_model(workload: str) -> str:
    """The registered model's name."""
    return f"{workload}-onnx"


def champion_file(workspace: Workspace, workload: str) -> Path:
    return workspace.reports(workload) / "champion.json"


@dataclass(frozen=True)
class Applied:
    """What applying changed or could not do."""

    versions: dict[str, str]
    warnings: list[str]


def apply_registration(store: Store, workspace: Workspace, workload: str) -> Applied:
    """Bring the registry to what the workload's registry.json and champion.json record.

    A queued experiment leaves the aliases alone: its champion.json counts once `dvc exp apply` has
    brought it into the project, and `anelab sync` then moves them."""
    registry = read_json(workspace.reports(workload) / "registry.json")
    warnings, versions = [], {}
    for variant, judged in registry["candidates"].items():
        if not _is_file_of(workspace.models(workload) / "export" / judged["file"], judged["sha256"]):
            warnings.append(f"{workload}: the exported {variant} model is not the registered one; run `dvc checkout`")
            continue
        with _candidate(store, workspace, workload, variant, registry) as candidate:
            versions[variant] = str(ensure_version(store, candidate).version)
    if not workspace.is_scratch:
        warnings += apply_aliases(store, workspace, workload)
    return Applied(versions, warnings)


def apply_aliases(store: Store, workspace: Workspace, workload: str) -> list[str]:
    """Set the aliases as champion.json records them. A champion that is not in this store is returned as a
    warning; a challenger that is not, such as one from before a clone, is left out."""
    model = onnx_model(workload)
    standing = read_standing(champion_file(workspace, workload), model)
    warnings = []
    for alias in ALIASES:
        promotion: Promotion | None = getattr(standing, alias)
        version = find_version(store, model, promotion.sha256) if promotion else None
        if promotion and version is None and alias == "champion":
            warnings.append(
                f"{model}: the recorded champion {promotion.sha256[:12]} is not in this store; "
                "check out the commit that made it, run `dvc checkout` and `anelab sync`"
            )
            continue
        if promotion or _exists(store, model):
            set_alias(store, model, alias, version)
    return warnings


def _exists(store: Store, model: str) -> bool:
    return any(item.name == model for item in store.client.search_registered_models(f"name = '{model}'"))


def _is_file_of(path: Path, sha256: str) -> bool:
    return path.is_file() and file_digest(path) == sha256


@contextmanager
def _candidate(
    store: Store, workspace: Workspace, workload: str, variant: str, registry: dict[str, Any]
) -> Iterator[Candidate]:
    """The variant with its version's folder laid out beside it for as long as the block lasts."""
    judged = registry["candidates"][variant]
    with tempfile.TemporaryDirectory() as scratch:
        files = lay_out(workspace.models(workload) / "export", variant, Path(scratch))
        yield Candidate(
            model=onnx_model(workload),
            experiment=workload,
            files=files,
            tags=_tags(workload, variant, registry),
            metrics=judged["metrics"],
            dataset=(workload, registry["data_digest"]),
            run_id=_training_run(store, workspace, workload),
        )


def lay_out(export: Path, variant: str, folder: Path) -> dict[str, Path]:
    """One variant's files as a version has them: its model is model.onnx, and the manifest says so."""
    manifest = read_json(export / "manifest.json")
    chosen = {name: item for name, item in manifest["files"].items() if item["variant"] == variant}
    renamed = {"model.onnx" if item["graph"] == "model" else name: item for name, item in chosen.items()}
    same = {name: name for name in manifest["companions"]}
    for name, source in {**dict(zip(renamed, chosen, strict=True)), **same}.items():
        shutil.copyfile(export / source, folder / name)
    write_json(folder / "manifest.json", {**manifest, "files": renamed})
    return {path.name: path for path in sorted(folder.iterdir())}


def _tags(workload: str, variant: str, registry: dict[str, Any]) -> dict[str, str]:
    judged = registry["candidates"][variant]
    gates = {f"gate.{gate['name']}": f"{gate['verdict']}: {gate['reason']}" for gate in judged["gates"]}
    return {
        "variant": variant,
        "anelab.workload": workload,
        "anelab.sha256": judged["sha256"],
        "anelab.input_key": registry["input_key"],
        "anelab.metric": registry["metric"],
        "anelab.passed": str(judged["passed"]).lower(),
        **gates,
    }


def _training_run(store: Store, workspace: Workspace, workload: str) -> str | None:
    path = receipt_path(workspace, workload, "train")
    if not path.is_file():
        return None
    run = find_run(store, workload, Receipt.read(path).input_key)
    return str(run.info.run_id) if run else None
