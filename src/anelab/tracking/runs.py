"""Receipts as MLflow runs. Publishing is idempotent: a run is known by its input key."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from mlflow.entities import Dataset as MlflowDataset
from mlflow.entities import DatasetInput, InputTag, Metric, Param, ViewType
from mlflow.entities import Run as MlflowRun

from anelab.files import inside
from anelab.tracking.query import tagged
from anelab.tracking.receipt import Receipt, execution_path, receipt_path
from anelab.tracking.records import ExecutionJson, read_record
from anelab.tracking.recovery import restore_run, search_runs
from anelab.tracking.store import DELETED, Store
from anelab.workspace import Workspace

KEY_TAG = "anelab.input_key"
PARENT_TAG = "mlflow.parentRunId"
STAGES = ("prepare", "search", "train", "export", "bench", "register")
ITEMS_AT_ONCE = 100
PARAM_LENGTH = 6000


def find_run(store: Store, workload: str, input_key: str) -> MlflowRun | None:
    """The finished run of that input key; what a broken publication left behind is removed."""
    runs = store.client.search_runs([store.experiment(workload)], tagged(KEY_TAG, input_key))
    finished = [run for run in runs if run.info.status == "FINISHED"]
    for run in runs:
        if run.info.status != "FINISHED" and store.root:  # on a server another machine may be writing it
            _remove(store, run)
    return finished[0] if finished else None


def _remove(store: Store, run: MlflowRun) -> None:
    for child in store.client.search_runs([run.info.experiment_id], tagged(PARENT_TAG, run.info.run_id)):
        store.client.delete_run(child.info.run_id)
    store.client.delete_run(run.info.run_id)


def publish(store: Store, workspace: Workspace, receipt: Receipt) -> bool:
    """Make the receipt's run, with a child run for each trial, unless it is there; restore what was deleted. Whether
    the run was made or restored."""
    there = find_run(store, receipt.workload, receipt.input_key)
    run = there or restore_run(store, receipt.workload, tagged(KEY_TAG, receipt.input_key))
    execution = _execution(workspace, receipt)
    if run is None:
        run_id = _start(store, receipt, execution["tags"], execution["started_ms"])
        _log(store, run_id, receipt, execution)
    else:
        run_id = str(run.info.run_id)
    _publish_trials(store, run_id, receipt, execution)
    _attach_reports(store, workspace, run_id, receipt)
    if run is None:
        store.client.set_terminated(run_id, end_time=execution["ended_ms"])
    return there is None


def _publish_trials(store: Store, parent: str, receipt: Receipt, execution: dict[str, Any]) -> None:
    """Those that the run lacks; a deleted one is restored."""
    if not receipt.trials:
        return
    children = search_runs(store, receipt.workload, tagged(PARENT_TAG, parent), ViewType.ALL)
    by_number = {run.data.tags.get("anelab.trial"): run for run in sorted(children, key=_is_active)}
    for trial in receipt.trials:
        run = by_number.get(str(trial["number"]))
        if run is None:
            _publish_trial(store, parent, receipt, trial, execution)
        elif not _is_active(run):
            store.client.restore_run(run.info.run_id)


def _is_active(run: MlflowRun) -> bool:
    return bool(run.info.lifecycle_stage != DELETED)


def _attach_reports(store: Store, workspace: Workspace, run_id: str, receipt: Receipt) -> None:
    """Log those of the receipt's reports that the run does not have."""
    there = {item.path for item in store.client.list_artifacts(run_id)}
    for report in receipt.reports:
        folder = workspace.reports(receipt.workload)
        if report not in there and (folder / report).is_file():
            store.client.log_artifact(run_id, str(inside(folder, report)))


def publish_all(store: Store, workspace: Workspace, workload: str) -> list[bool]:
    """Publish every receipt of a workload, in the order of the stages; which of them were made."""
    paths = [receipt_path(workspace, workload, stage) for stage in STAGES]
    return [publish(store, workspace, Receipt.read(path)) for path in paths if path.is_file()]


def _execution(workspace: Workspace, receipt: Receipt) -> dict[str, Any]:
    """When and where the stage ran; a result that DVC restored from its cache says so."""
    with suppress(OSError, ValueError):
        return read_record(ExecutionJson, execution_path(workspace, receipt), "delete it")
    now = int(time.time() * 1000)
    return {"tags": {"anelab.restored": "true"}, "started_ms": now, "ended_ms": now}


def _start(store: Store, receipt: Receipt, tags: dict[str, str], started_ms: int) -> str:
    name = f"{receipt.stage}-{receipt.input_key[:8]}"
    own = {"anelab.workload": receipt.workload, "anelab.stage": receipt.stage, KEY_TAG: receipt.input_key}
    source = {
        "mlflow.source.name": f"anelab {receipt.stage} {receipt.workload}",
        "mlflow.source.type": "LOCAL",
    }
    experiment = store.experiment(receipt.workload)
    run = store.client.create_run(experiment, started_ms, {**tags, **source, **own}, name)
    return str(run.info.run_id)


def _log(store: Store, run_id: str, receipt: Receipt, execution: dict[str, Any]) -> None:
    ended = execution["ended_ms"]
    params = [Param(key, str(value)[:PARAM_LENGTH]) for key, value in receipt.params.items()]
    figures = [Metric(key, value, ended, 0) for key, value in receipt.metrics.items()]
    if execution["started_ms"] != ended:
        figures.append(Metric("duration_s", (ended - execution["started_ms"]) / 1000, ended, 0))
    for step, row in enumerate(receipt.history):
        figures += [Metric(key, value, ended, step) for key, value in row.items()]
    _log_batches(store, run_id, figures, params)
    if receipt.datasets:
        store.client.log_inputs(run_id, [_dataset(item) for item in receipt.datasets])


def _dataset(item: Any) -> DatasetInput:
    entity = MlflowDataset(item.name, item.digest, "local", f'{{"uri": "data/prepared/{item.name}"}}')
    return DatasetInput(entity, [InputTag("mlflow.data.context", item.context)])


def _publish_trial(
    store: Store, parent: str, receipt: Receipt, trial: dict[str, Any], execution: dict[str, Any]
) -> None:
    ended = execution["ended_ms"]
    tags = {
        **execution["tags"],
        PARENT_TAG: parent,
        "anelab.workload": receipt.workload,
        "anelab.stage": "trial",
        "anelab.trial": str(trial["number"]),
    }
    experiment = store.experiment(receipt.workload)
    run = store.client.create_run(experiment, execution["started_ms"], tags, f"trial-{trial['number']}")
    params = [Param(key, str(value)) for key, value in trial["values"].items()]
    figures = [Metric("curve", value, ended, step) for step, value in enumerate(trial["curve"])]
    diverged = trial["value"] is None
    best = [] if diverged else [Metric("value", trial["value"], ended, 0)]
    _log_batches(store, run.info.run_id, [*figures, *best], params)
    store.client.set_terminated(run.info.run_id, "FAILED" if diverged else "FINISHED", ended)


def _log_batches(store: Store, run_id: str, metrics: Sequence[Metric], params: Sequence[Param]) -> None:
    """The backend takes at most 1,000 metrics and 100 parameters at a time."""
    for part in _parts(params):
        store.client.log_batch(run_id, params=part)
    for many in _parts(metrics, 10 * ITEMS_AT_ONCE):
        store.client.log_batch(run_id, metrics=many)


def _parts(items: Sequence[Any], size: int = ITEMS_AT_ONCE) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
