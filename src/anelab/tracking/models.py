"""Registered models: one version is one folder, known by the sha256 of its model.onnx or model.mlpackage."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import mlflow.onnx
import numpy as np
import onnx
from mlflow.entities import Metric
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.types import Schema, TensorSpec

from anelab.errors import AnelabError
from anelab.export.manifest_file import read_manifest
from anelab.files import copy_path, damaged_files, path_digest
from anelab.tracking.gate_tags import held_back
from anelab.tracking.promotion_record import Promotion
from anelab.tracking.query import all_of, named, tagged
from anelab.tracking.recovery import MISSING, ensure_model, has_logged_model, has_run, logged_model_of, recover_version
from anelab.tracking.reference import CHAMPION, SCHEME
from anelab.tracking.store import Store

Version = ModelVersion
"""A registered version, as MLflow has it."""

SHA_TAG = "anelab.sha256"
CONTENT_TAG = "anelab.content"
RUN_TAG = "anelab.run_id"
"""The training run, of a version whose first one was erased and published again."""
JUDGED = ("gate.", "metric.")
"""Tags that are of the last registration only."""
ALIASES = ("champion", "challenger")
MAIN_FILES = {"onnx": "model.onnx", "coreml": "model.mlpackage"}
"""The model itself in a version's folder, by format."""
RUNTIME = ["mlflow", "numpy", "onnx", "onnxruntime"]


@dataclass(frozen=True)
class Candidate:
    """A model about to be a version: its files by the name they get in the version's folder."""

    model: str
    format: str
    experiment: str
    files: Mapping[str, Path]
    tags: dict[str, str]
    metrics: dict[str, float]
    dataset: tuple[str, str]
    run_id: str | None

    @property
    def sha256(self) -> str:
        return path_digest(self.files[MAIN_FILES[self.format]])


def find_version(store: Store, model: str, sha256: str) -> ModelVersion | None:
    """The version of `model` whose main file has that sha256."""
    same = store.client.search_model_versions(all_of(named(model), tagged(SHA_TAG, sha256)))
    return min(same, key=lambda version: int(version.version)) if same else None


def find_promoted(store: Store, model: str, promotion: Promotion) -> ModelVersion | None:
    """The promoted file's version, or that of a twin with the same content."""
    exact = find_version(store, model, promotion.sha256)
    if exact:
        return exact
    twins = store.client.search_model_versions(all_of(named(model), tagged(CONTENT_TAG, promotion.content)))
    return min(twins, key=lambda version: int(version.version)) if twins else None


def ensure_version(store: Store, candidate: Candidate) -> ModelVersion:
    """The candidate's version, made if it is not there or lost its logged model; its tags are set anew."""
    version = find_version(store, candidate.model, candidate.sha256)
    if version is not None and not has_logged_model(store, version):  # it has nowhere to put files into
        store.client.delete_model_version(version.name, version.version)
        version = None
    if version is None:
        version = recover_version(store, candidate.experiment, candidate.model, SHA_TAG, candidate.sha256)
    if version is None:
        version = _register(store, candidate)
    elif not _has_files(store, version, candidate):
        _upload(store, candidate, logged_model_of(version))
    for key, value in {**candidate.tags, **_new_run(store, version, candidate)}.items():
        if version.tags.get(key) != value:
            store.client.set_model_version_tag(candidate.model, version.version, key, value)
    for key in version.tags.keys() - candidate.tags.keys():
        if key.startswith(JUDGED):  # by a gate, or of a figure, that there is no more
            store.client.delete_model_version_tag(candidate.model, version.version, key)
    return version


def _new_run(store: Store, version: ModelVersion, candidate: Candidate) -> dict[str, str]:
    """The tag that names the candidate's run, if the version's own was erased."""
    now = training_run(version)
    if candidate.run_id is None or now == candidate.run_id or (now and has_run(store, now)):
        return {}
    return {RUN_TAG: candidate.run_id}


def training_run(version: ModelVersion) -> str | None:
    """The id of the run that trained the version."""
    return version.tags.get(RUN_TAG) or version.run_id or None


def _register(store: Store, candidate: Candidate) -> ModelVersion:
    experiment = store.experiment(candidate.experiment)
    logged = store.client.create_logged_model(
        experiment, candidate.model, candidate.run_id, candidate.tags, model_type=candidate.format
    )
    try:
        _upload(store, candidate, logged.model_id)
        store.client.finalize_logged_model(logged.model_id, "READY")
        _log_metrics(store, candidate, logged.model_id)
        ensure_model(store, candidate.model)
        return store.client.create_model_version(
            candidate.model, f"{SCHEME}{logged.model_id}", candidate.run_id, candidate.tags, model_id=logged.model_id
        )
    except BaseException:
        store.client.delete_logged_model(logged.model_id)
        raise


def _upload(store: Store, candidate: Candidate, model_id: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "model")
        _save_flavor(folder, candidate, model_id)
        store.client.log_model_artifacts(model_id, str(folder))


def _has_files(store: Store, version: ModelVersion, candidate: Candidate) -> bool:
    """Whether every file of the candidate is there, in its size."""
    try:
        there = sizes(store, version.name, str(version.version))
    except (MlflowException, OSError):
        return False
    wanted = {
        f"{name}/{file.relative_to(path).as_posix()}" if path.is_dir() else name: file.stat().st_size
        for name, path in candidate.files.items()
        for file in (path.rglob("*") if path.is_dir() else [path])
        if file.is_file()
    }
    return all(there.get(name) == size for name, size in wanted.items()) and "MLmodel" in there


def sizes(store: Store, model: str, number: str) -> dict[str, int]:
    """Size of every file of a version, by its path in it; by the version's own address, which outlives its logged
    model."""
    files = get_artifact_repository(f"{SCHEME}{model}/{number}", tracking_uri=store.uri)  # asks the registry: once
    found: dict[str, int] = {}
    folders: list[str | None] = [None]
    while folders:
        for item in files.list_artifacts(folders.pop()):
            if item.is_dir:
                folders.append(item.path)
            else:
                found[item.path] = item.file_size or 0
    return found


def check_files(store: Store, version: ModelVersion) -> None:
    """Raises AnelabError if the version's files are gone or damaged."""
    with tempfile.TemporaryDirectory() as scratch:
        download(store, version, Path(scratch))


def _save_flavor(folder: Path, candidate: Candidate, model_id: str) -> None:
    """MLflow's folder around the candidate's files, which are copied as they are."""
    manifest = read_manifest(candidate.files["manifest.json"].parent)
    signature = next(item["signature"] for item in manifest["files"].values() if item["primary"])
    options = {
        "mlflow_model": Model(run_id=candidate.run_id, model_id=model_id),
        "signature": ModelSignature(_schema(signature["inputs"]), _schema(signature["outputs"])),
        "metadata": manifest["metadata"],
    }
    main = candidate.files[MAIN_FILES[candidate.format]]
    if candidate.format == "onnx":
        mlflow.onnx.save_model(
            onnx.load(main),
            folder,
            pip_requirements=RUNTIME,
            onnx_execution_providers=["CPUExecutionProvider"],
            save_as_external_data=False,
            **options,
        )
    else:
        from anelab.tracking import coreml

        coreml.save_model(main, folder, described=manifest["files"][main.name], **options)
    for name, path in candidate.files.items():
        _replace(folder / name, path)


def _replace(target: Path, source: Path) -> None:
    if target.is_dir():
        rmtree(target)
    copy_path(source, target)


def _schema(tensors: list[dict[str, Any]]) -> Schema:
    return Schema(
        [
            TensorSpec(
                np.dtype(item["dtype"]),
                tuple(size if isinstance(size, int) else -1 for size in item["shape"]),
                item["name"],
            )
            for item in tensors
        ]
    )


def _log_metrics(store: Store, candidate: Candidate, model_id: str) -> None:
    """Figures on the test set, attached to the model and to the data they were measured on."""
    if candidate.run_id is None:
        return
    name, digest = candidate.dataset
    now = store.client.get_logged_model(model_id).creation_timestamp
    figures = [
        Metric(
            key,
            value,
            now,
            0,
            model_id=model_id,
            dataset_name=name,
            dataset_digest=digest,
            run_id=candidate.run_id,
        )
        for key, value in candidate.metrics.items()
    ]
    store.client.log_batch(candidate.run_id, metrics=figures)


def download(store: Store, version: ModelVersion, folder: Path) -> Path:
    """The version's folder, copied into `folder`. Raises AnelabError if its files are gone."""
    try:
        place = mlflow.artifacts.download_artifacts(
            f"{SCHEME}{version.name}/{version.version}", dst_path=str(folder), tracking_uri=store.uri
        )
        damaged = damaged_files(Path(place), read_manifest(Path(place)))
        if damaged:
            raise OSError(f"{', '.join(damaged)}: not what manifest.json says")
    except (MlflowException, OSError, ValueError) as error:
        raise AnelabError(
            f"the files of {version.name} version {version.version} cannot be read ({error}); "
            "run `anelab sync`, which mends a moved repository and puts back the files of the model in "
            "models/; of another model, first check out the commit that made it and run `dvc checkout`"
        ) from None
    return Path(place)


def resolve(store: Store, model: str, reference: str) -> ModelVersion:
    """A version by number or alias. Raises AnelabError that lists what there is."""
    try:
        if reference.isdigit():
            return store.client.get_model_version(model, reference)
        return store.client.get_model_version_by_alias(model, reference)
    except MlflowException:
        versions = store.client.search_model_versions(named(model))
        there = ", ".join(sorted((str(item.version) for item in versions), key=int)) or "none"
        why = held_back(model, reference, {int(item.version): item.tags for item in versions})
        lost = "; `anelab sync` brings back what the files record" if reference in ALIASES or not versions else ""
        raise AnelabError(
            f"{model} has no version or alias {reference}{why}; its versions are: {there}{lost}"
        ) from None


def champion_version(store: Store, model: str) -> ModelVersion | None:
    """The version that `@champion` names; None if there is none. Raises AnelabError if the store does not say."""
    with store.reading():
        try:
            number = store.client.get_registered_model(model).aliases.get(CHAMPION)
            return store.client.get_model_version(model, number) if number else None
        except MlflowException as error:
            if error.error_code == MISSING:
                return None
            raise


def aliases_of(store: Store, version: ModelVersion) -> list[str]:
    aliases: dict[str, str] = store.client.get_registered_model(version.name).aliases
    return sorted(alias for alias, number in aliases.items() if str(number) == str(version.version))


def set_alias(store: Store, model: str, alias: str, version: ModelVersion | None) -> None:
    """Point `alias` at `version`, or at nothing. No write if it is so already."""
    current = store.client.get_registered_model(model).aliases.get(alias)
    if version is not None and str(current) != str(version.version):
        store.client.set_registered_model_alias(model, alias, version.version)
    if version is None and current is not None:
        store.client.delete_registered_model_alias(model, alias)
