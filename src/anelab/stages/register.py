"""register: gates against the champion, then versions and aliases in the registry.

Its outcome depends on who is champion, so DVC must not restore it from its run cache (dvc.yaml:
persist). A model that was judged before keeps its verdict: a roll-back is not undone by running again.
"""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anelab.errors import AnelabError
from anelab.files import canonical_json, dvc_md5, read_json, sha256_text, write_json
from anelab.stages.job import Job, Outcome, Stage, warn
from anelab.tracking.champion import Promotion, Standing, read_standing, write_standing
from anelab.tracking.gates import (
    COMPARISONS_BEFORE_WARNING,
    Gate,
    champion_gate,
    debug_gate,
    not_compared,
    parity_gate,
    passed,
    quality_gate,
    size_gate,
)
from anelab.tracking.receipt import Dataset
from anelab.workloads.base import Arrays, Split

if TYPE_CHECKING:
    from anelab.tracking.store import Store


@dataclass(frozen=True)
class Rival:
    """The champion on the present test set: its rows, or why there is nothing to compare with."""

    rows: Arrays | None
    why: str = ""


def _inputs(job: Job) -> Mapping[str, Path]:
    return {"export": job.output("export"), "parity": job.reports / "parity.json", "prepared": job.prepared}


def _run(job: Job, work: Path, key: str) -> Outcome:
    from anelab.tracking.registration import apply_registration, champion_file, onnx_model
    from anelab.tracking.store import open_store

    store = open_store(job.workspace)
    model, record = onnx_model(job.name), champion_file(job.workspace, job.name)
    manifest = read_json(job.output("export") / "manifest.json")
    contenders = _contenders(job, manifest)
    standing = read_standing(record, model)
    test = job.workload.load(job.config, job.prepared, "test")
    own = contenders[job.config.registry.variant][1]["sha256"]
    rival = _rival(store, job, model, standing, own, test)
    registry = _registry(job, model, manifest, standing, rival, test)
    registry["candidates"] = {
        variant: _judge(job, file, item, rival, test) for variant, (file, item) in contenders.items()
    }
    standing = _stand(job, standing, registry, compared=rival.rows is not None)
    write_json(job.reports / "registry.json", registry)
    write_standing(record, model, standing)
    with store.writing():
        applied = apply_registration(store, job.workspace, job.name)
    _tell(registry, standing, applied.warnings)
    datasets = [Dataset(job.name, registry["data_digest"], "test")]
    return Outcome(_figures(registry), datasets, reports=["registry.json", "champion.json"])


def _contenders(job: Job, manifest: dict[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """File and manifest entry of each variant's model. Raises AnelabError if none may be champion."""
    found = {item["variant"]: (file, item) for file, item in manifest["files"].items() if item["graph"] == "model"}
    if job.config.registry.variant not in found:
        raise AnelabError(
            f"{job.name}.registry.variant={job.config.registry.variant} was not exported; "
            f"set {job.name}.export.int8=true or {job.name}.registry.variant=fp32"
        )
    return found


def _rival(store: "Store", job: Job, model: str, standing: Standing, own: str, test: Split) -> Rival:
    from anelab.export.runtime import onnx_predictor
    from anelab.tracking.models import download, find_version

    if standing.champion is None:
        return Rival(None, "there is no champion yet")
    if standing.champion.sha256 == own:
        return Rival(None, "it is the champion")
    version = find_version(store, model, standing.champion.sha256)
    if version is None:
        return Rival(None, f"the recorded champion {standing.champion.sha256[:12]} is not in this store")
    with tempfile.TemporaryDirectory() as scratch:
        folder = download(store, version, Path(scratch))
        contract = read_json(folder / "manifest.json")["metadata"]["preprocessing"]
        if contract != job.workload.preprocessing:
            return Rival(None, f"the champion's contract is {contract}, this one's is {job.workload.preprocessing}")
        outputs = onnx_predictor(folder / "model.onnx")(test.inputs["model"])
    return Rival(job.workload.rows(outputs, test))


def _registry(
    job: Job, model: str, manifest: dict[str, Any], standing: Standing, rival: Rival, test: Split
) -> dict[str, Any]:
    """The content of registry.json but for its candidates."""
    digest = split_digest(test)
    used = standing.comparisons.get(digest, 0) + (rival.rows is not None)
    crowded = f"{used} candidates were compared on this test set; its verdicts grow optimistic, so renew it"
    return {
        "data_digest": dvc_md5(job.prepared),
        "input_key": manifest["metadata"]["input_key"],
        "metric": job.config.metric,
        "model": model,
        "schema": 1,
        "test_digest": digest,
        "warnings": [crowded] if used > COMPARISONS_BEFORE_WARNING else [],
    }


def _judge(job: Job, file: str, item: dict[str, Any], rival: Rival, test: Split) -> dict[str, Any]:
    """One candidate's figures on the test set and its verdict at every gate."""
    from anelab.export.parity import Parity
    from anelab.export.runtime import onnx_predictor

    config, variant = job.config, item["variant"]
    rows = job.workload.rows(onnx_predictor(job.output("export") / file)(test.inputs["model"]), test)
    metrics = job.workload.metrics(rows, test)
    parity = Parity(**read_json(job.reports / "parity.json")[file])
    gates = [
        debug_gate(config),
        quality_gate(config, metrics),
        parity_gate(parity, config.export.tolerance(variant), config.sign),
        size_gate(config, item["size_bytes"]),
        _against(rival, rows, job, variant, test),
    ]
    return {
        "file": file,
        "gates": [gate.as_json() for gate in gates],
        "metrics": metrics,
        "passed": passed(gates),
        "sha256": item["sha256"],
    }


def _against(rival: Rival, rows: Arrays, job: Job, variant: str, test: Split) -> Gate:
    if variant != job.config.registry.variant:
        return not_compared(f"only {job.config.registry.variant} may be champion (registry.variant)")
    if rival.rows is None:
        return not_compared(rival.why)
    return champion_gate(job.workload, job.config, test, rows, rival.rows)


def _stand(job: Job, standing: Standing, registry: dict[str, Any], compared: bool) -> Standing:
    """The standing after the verdicts: a candidate that passes all is champion; one that only the
    champion holds back is challenger; one that a person took down stays down."""
    judged = registry["candidates"][job.config.registry.variant]
    promotion = Promotion(
        sha256=judged["sha256"],
        input_key=registry["input_key"],
        variant=job.config.registry.variant,
        metric=job.config.metric,
        value=judged["metrics"][job.config.metric_name],
        by="register",
    )
    if compared:
        standing = standing.compared(registry["test_digest"])
    if promotion.sha256 in standing.demoted:
        return standing
    if judged["passed"]:
        return standing.promote(promotion)
    failed = [gate["name"] for gate in judged["gates"] if gate["verdict"] == "fail"]
    return standing.challenge(promotion) if failed == ["champion"] else standing


def _figures(registry: dict[str, Any]) -> dict[str, float]:
    return {
        f"{variant}.{name}": value
        for variant, judged in registry["candidates"].items()
        for name, value in judged["metrics"].items()
    }


def _tell(registry: dict[str, Any], standing: Standing, warnings: list[str]) -> None:
    for text in (*registry["warnings"], *warnings):
        warn(text)
    for variant, judged in registry["candidates"].items():
        for gate in judged["gates"]:
            if gate["verdict"] == "fail":
                warn(f"{registry['model']} {variant}: gate {gate['name']} failed: {gate['reason']}")
    if standing.champion:
        champion = standing.champion
        print(f"{registry['model']}: champion {champion.sha256[:12]} ({champion.metric} {champion.value:.6g})")


def split_digest(split: Split) -> str:
    """sha256 of a split's inputs and targets: the identity of a test set."""
    arrays = {f"{graph}.{name}": array for graph, named in split.inputs.items() for name, array in named.items()}
    arrays |= {f"target.{name}": array for name, array in split.targets.items()}
    parts = {name: f"{array.dtype}{array.shape}{_bytes_digest(array)}" for name, array in arrays.items()}
    return sha256_text(canonical_json(parts))


def _bytes_digest(array: Any) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


STAGE = Stage(
    "register",
    ("metric", "data", "training", "export", "registry"),
    ("export", "tracking", "statistics.py"),
    _inputs,
    _run,
)
