"""Benchmark results in the store: a run each, known by the result's id, and a tag on every version that it measured.

The project's own result is in reports/, imported ones are bundles in models/<workload>/bundles/; `anelab sync` brings
both back into a store that lost them.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import mlflow.artifacts
from mlflow.entities import Metric
from mlflow.entities import Run as MlflowRun
from mlflow.entities.model_registry import ModelVersion

from anelab import workloads
from anelab.bench.results.bundle import REPORT, SAMPLES, opened_bundle
from anelab.bench.results.metrics import Median, medians, subject_params
from anelab.bench.results.report import parse_report, read_report
from anelab.bench.results.schema import Report
from anelab.errors import AnelabError, warn
from anelab.files import canonical_json, copy_path, file_digest, json_text, read_json, replacing
from anelab.tracking.models import find_version
from anelab.tracking.query import tagged
from anelab.tracking.receipt import Dataset, Receipt, execution_path, receipt_path, write_execution
from anelab.tracking.recovery import has_logged_model, logged_model_of
from anelab.tracking.registration import REGISTERED_FORMATS, registered_model
from anelab.tracking.runs import find_run, publish
from anelab.tracking.store import Store
from anelab.workspace import Workspace

STAGE = "bench"
RESULT_TAG = "anelab.bench."
"""Followed by a result's short id, on a model version: the id of its run."""
SAMPLES_TAG = "anelab.samples_sha256"
SHORT = 12
MOST_RESULTS = 1000


def bundles_of(workspace: Workspace, workload: str) -> Path:
    return workspace.models(workload) / "bundles"


def bundle_path(workspace: Workspace, report: Report) -> Path:
    return bundles_of(workspace, report.subject.workload) / f"{report.id[:SHORT]}.bench.zip"


def restore_origin(workspace: Workspace, workload: str) -> None:
    """Let the project's last result say itself when and where it was measured, if DVC brought it back without the
    record of its execution. Before its run is published, or the run would be of here and now."""
    with suppress(AnelabError):  # a damaged one is told of when it is attached
        own, receipt = _own(workspace, workload)
        if own is not None and receipt is not None and not execution_path(workspace, receipt).is_file():
            _write_origin(workspace, receipt, own, {"anelab.restored": "true"})


def _own(workspace: Workspace, workload: str) -> tuple[Report | None, Receipt | None]:
    """The project's last result with its receipt; nothing if they are not of each other."""
    report, receipt = workspace.reports(workload) / REPORT, receipt_path(workspace, workload, STAGE)
    if not report.is_file() or not receipt.is_file():
        return None, None
    found, known = read_report(report), Receipt.read(receipt)
    return (found, known) if known.input_key == found.id else (None, None)


def attach_own(store: Store, workspace: Workspace, workload: str) -> list[str]:
    """Attach the project's last result and every imported bundle. What could not be is returned as warnings."""
    warnings = []
    report, receipt = _own(workspace, workload)
    if report is not None and receipt is not None:
        publish(store, workspace, receipt)
        _attach(store, report, workspace.models(workload) / "bench" / SAMPLES)
    for bundle in sorted(bundles_of(workspace, workload).glob("*.bench.zip")):
        try:
            with opened_bundle(bundle) as found:
                attach_result(store, workspace, found.report.model_copy(update={"imported": True}), found.samples)
        except (AnelabError, OSError, ValueError) as error:  # one that cannot be read must not keep the others out
            warnings.append(f"{bundle}: {error}")
    return warnings


def attach_result(
    store: Store, workspace: Workspace, report: Report, samples: Path, tags: dict[str, str] | None = None
) -> list[str]:
    """A run for a result that no stage of this project made, and its tag on every version it measured; which are
    returned, as model/version."""
    receipt = Receipt(
        report.subject.workload,
        STAGE,
        report.id,
        {**report.settings.model_dump(mode="json"), **subject_params(report)},
        medians(report),
        [Dataset(report.subject.workload, report.subject.data_digest, "test")],
    )
    _write_origin(workspace, receipt, report, tags or {})
    publish(store, workspace, receipt)
    return _attach(store, report, samples)


def _write_origin(workspace: Workspace, receipt: Receipt, report: Report, tags: dict[str, str]) -> None:
    """When and where a result was measured, as it says itself."""
    origin = {
        "anelab.host": report.host.fingerprint,
        "anelab.imported": str(report.imported).lower(),
        SAMPLES_TAG: report.samples_sha256,
    }
    started = int(datetime.fromisoformat(report.measured_at).timestamp() * 1000)
    write_execution(workspace, receipt, {**origin, **tags}, started, started + int(report.seconds * 1000))


def is_attached(store: Store, report: Report) -> bool:
    """The result itself, or another telling of the same samples."""
    experiment = store.existing_experiment(report.subject.workload)
    if experiment is None:
        return False
    same = store.client.search_runs([experiment], tagged(SAMPLES_TAG, report.samples_sha256), max_results=1)
    return bool(same) or find_run(store, report.subject.workload, report.id) is not None


def _attach(store: Store, report: Report, samples: Path) -> list[str]:
    run = find_run(store, report.subject.workload, report.id)
    if run is None:
        raise AnelabError(f"the run of benchmark {report.id[:SHORT]} is not in the store; run `anelab sync`")
    _log_files(store, run, report, samples)
    versions = versions_of(store, report)
    for version in versions:
        key = f"{RESULT_TAG}{report.id[:SHORT]}"
        if version.tags.get(key) != run.info.run_id:
            if has_logged_model(store, version):
                _log_on_model(store, run, version, report)
            store.client.set_model_version_tag(version.name, version.version, key, run.info.run_id)
    return [f"{version.name}/{version.version}" for version in versions]


def versions_of(store: Store, report: Report) -> list[ModelVersion]:
    """The registered versions whose files the report's arms ran, by sha256."""
    found: dict[tuple[str, str], ModelVersion] = {}
    for sha256 in report.timed_files():
        for format in REGISTERED_FORMATS:
            version = find_version(store, registered_model(report.subject.workload, format), sha256)
            if version is not None:
                found[version.name, str(version.version)] = version
    return list(found.values())


def _log_files(store: Store, run: MlflowRun, report: Report, samples: Path) -> None:
    """The report and its samples, as far as the run does not have them."""
    there = {item.path for item in store.client.list_artifacts(run.info.run_id)}
    with tempfile.TemporaryDirectory() as scratch:
        if REPORT not in there:
            file = Path(scratch, REPORT)
            file.write_text(canonical_json(report.as_json()), encoding="utf-8")
            store.client.log_artifact(run.info.run_id, str(file))
        if SAMPLES not in there:
            if samples.is_file() and file_digest(samples) == report.samples_sha256:
                store.client.log_artifact(run.info.run_id, str(samples))
            else:
                warn(
                    f"{samples}: is not there, or another result's; benchmark {report.id[:SHORT]} has none in the store"
                )


def _log_on_model(store: Store, run: MlflowRun, version: ModelVersion, report: Report) -> None:
    """Medians of the arms that ran the version's file, on its logged model."""
    sha256 = version.tags["anelab.sha256"]
    arms = {name: arm for name, arm in report.arms.items() if sha256 in arm.files.values()}
    own = report.model_copy(update={"arms": arms})
    model_id = logged_model_of(version)
    where = {"dataset_name": report.subject.workload, "dataset_digest": report.subject.data_digest}
    metrics = [
        Metric(name, value, run.info.end_time, 0, model_id=model_id, run_id=run.info.run_id, **where)
        for name, value in medians(own).items()
    ]
    store.client.log_batch(run.info.run_id, metrics=metrics)


def list_results(store: Store, workload: str) -> list[dict[str, Any]]:
    """The last MOST_RESULTS results in the store, oldest first: id, when, host, commit, imported, and medians by metric
    name."""
    query, newest = tagged("anelab.stage", STAGE), ["attributes.start_time DESC"]
    with store.reading():
        experiment = store.existing_experiment(workload)
        if experiment is None:
            return []
        runs = store.client.search_runs([experiment], query, order_by=newest, max_results=MOST_RESULTS)
    return [
        {
            "id": run.data.tags["anelab.input_key"],
            "run": run.info.run_id,
            "started_ms": run.info.start_time,
            "host": run.data.tags.get("anelab.host", ""),
            "commit": run.data.tags.get("mlflow.source.git.commit", "")[:8],
            "imported": run.data.tags.get("anelab.imported") == "true",
            "medians_us": {
                found.label: value for name, value in run.data.metrics.items() if (found := Median.of_metric(name))
            },
        }
        for run in reversed(runs)
        if run.info.status == "FINISHED"
    ]


def newest_result(store: Store, version: ModelVersion) -> str:
    """The short id of the version's newest result. Raises AnelabError if it has none."""
    runs = {key.removeprefix(RESULT_TAG): run for key, run in version.tags.items() if key.startswith(RESULT_TAG)}
    if not runs:
        named = f"{version.name}/{version.version}"
        raise AnelabError(f"{named} has no benchmark in this store; run `anelab bench run {named}`")
    with store.reading():
        return max(runs, key=lambda result: int(store.client.get_run(runs[result]).info.start_time))


@contextmanager
def opened_result(store: Store, workload: str, reference: str) -> Iterator[tuple[Report, Path]]:
    """A result of the store and its samples, by the beginning of its id. Raises AnelabError if there is none, or more
    than one."""
    found = [one for one in list_results(store, workload) if one["id"].startswith(reference)]
    if len(found) != 1:
        there = ", ".join(one["id"][:SHORT] for one in list_results(store, workload)) or "none"
        lost = "" if found else "; `anelab sync` brings back what the files record"
        raise AnelabError(f"{reference} names {len(found) or 'no'} results of {workload}; there are: {there}{lost}")
    with tempfile.TemporaryDirectory() as scratch:
        with store.reading():
            place = {
                name: Path(
                    mlflow.artifacts.download_artifacts(
                        run_id=found[0]["run"], artifact_path=name, dst_path=scratch, tracking_uri=store.uri
                    )
                )
                for name in (REPORT, SAMPLES)
            }
        yield parse_report(read_json(place[REPORT]), f"result {reference}"), place[SAMPLES]


def import_bundle(store: Store, workspace: Workspace, bundle: Path) -> tuple[Report, list[str]]:
    """Check a bundle, keep it, and attach it to the versions it measured, which are returned.

    Raises AnelabError if it was tampered with, is of models that this registry does not have, or is here already.
    """
    with opened_bundle(bundle) as found:
        report = found.report.model_copy(update={"imported": True})
        if report.subject.workload not in workloads.names():
            raise AnelabError(
                f"{bundle}: is of workload {report.subject.workload}, which this project does not have; it has "
                f"{', '.join(workloads.names())}"
            )
        kept = bundle_path(workspace, report)
        with store.writing():
            if is_attached(store, report):
                raise AnelabError(f"{bundle}: benchmark {report.id[:SHORT]} is here already")
            if not versions_of(store, report):
                measured = json_text(report.subject.files, indent=2)
                raise AnelabError(
                    f"{bundle}: measured files of {report.subject.workload} that no registered version here has:\n"
                    f"{measured}\nregister that model first, or sync the store that has it"
                )
            versions = attach_result(store, workspace, report, found.samples)
            with replacing(kept) as draft:
                copy_path(bundle, draft)
            return report, versions
