import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anelab.tracking.receipt import Dataset, Receipt, receipt_path, work_folder
from anelab.tracking.runs import find_run, publish
from anelab.tracking.store import Store, open_store
from anelab.tracking.sync import sync
from anelab.workspace import Workspace

RECEIPT = Receipt(
    workload="mnist",
    stage="search",
    input_key="a" * 64,
    params={f"training.p{index}": index for index in range(150)},
    metrics={"best": 0.9},
    datasets=[Dataset("mnist", "0123456789abcdef0123456789abcdef.dir", "search")],
    history=[{"train_loss": 1.0, "validation_accuracy": 0.5}, {"train_loss": 0.5, "validation_accuracy": 0.9}],
    trials=[{"number": n, "values": {"x": n}, "curve": [0.1, 0.2 * n], "value": 0.2 * n} for n in range(3)],
    reports=["search.json"],
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path, tmp_path)
    made.reports("mnist").mkdir(parents=True)
    (made.reports("mnist") / "search.json").write_text("{}")
    RECEIPT.write(receipt_path(made, "mnist", "search"))
    return made


@pytest.fixture
def store(workspace: Workspace) -> Store:
    return open_store(workspace)


def runs_of(store: Store, query: str = "") -> list[Any]:
    return list(store.client.search_runs([store.experiment("mnist")], query))


def test_a_receipt_becomes_one_run_with_a_child_for_each_trial(workspace: Workspace, store: Store) -> None:
    assert publish(store, workspace, RECEIPT)
    assert not publish(store, workspace, RECEIPT)
    run = find_run(store, "mnist", RECEIPT.input_key)
    assert run is not None
    assert len(run.data.params) == 150
    assert run.data.metrics["best"] == 0.9
    assert run.data.tags["anelab.stage"] == "search"
    assert [m.value for m in store.client.get_metric_history(run.info.run_id, "train_loss")] == [1.0, 0.5]
    (entered,) = run.inputs.dataset_inputs
    assert (entered.dataset.name, entered.dataset.digest) == ("mnist", RECEIPT.datasets[0].digest)
    assert [item.path for item in store.client.list_artifacts(run.info.run_id)] == ["search.json"]
    children = runs_of(store, f"tags.`mlflow.parentRunId` = '{run.info.run_id}'")
    assert sorted(child.data.metrics["value"] for child in children) == [0.0, 0.2, 0.4]
    assert len(runs_of(store)) == 4


def test_sync_rebuilds_a_lost_store_and_changes_nothing_the_second_time(workspace: Workspace) -> None:
    first = sync(workspace, ["mnist"])
    assert (first.runs_made, first.runs_found) == (1, 0)
    second = sync(workspace, ["mnist"])
    assert (second.runs_made, second.runs_found) == (0, 1)
    shutil.copytree(workspace.root, elsewhere := workspace.root.with_name("elsewhere"))
    shutil.rmtree(elsewhere / "mlruns")  # MLflow keeps an open database by address, so lose it at a new one
    lost = Workspace(elsewhere, elsewhere)
    assert sync(lost, ["mnist"]).runs_made == 1
    run = find_run(open_store(lost), "mnist", RECEIPT.input_key)
    assert run is not None
    assert run.data.tags["anelab.restored"] == "true"
    assert "duration_s" not in run.data.metrics


def test_an_execution_record_gives_the_run_its_time_and_origin(workspace: Workspace, store: Store) -> None:
    work = work_folder(workspace, "mnist", RECEIPT.input_key)
    work.mkdir(parents=True)
    text = '{"tags": {"anelab.host": "h"}, "started_ms": 1000, "ended_ms": 3500}'
    (work / "search.execution.json").write_text(text)
    publish(store, workspace, RECEIPT)
    run = find_run(store, "mnist", RECEIPT.input_key)
    assert run is not None
    assert run.data.metrics["duration_s"] == 2.5
    assert (run.info.start_time, run.info.end_time) == (1000, 3500)
    assert run.data.tags["anelab.host"] == "h"
    assert "anelab.restored" not in run.data.tags


def test_a_half_written_run_is_made_anew(workspace: Workspace, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ConnectionError("the server went away")

    with monkeypatch.context() as patched:
        patched.setattr(store.client, "log_artifact", broken)
        with pytest.raises(ConnectionError):
            publish(store, workspace, RECEIPT)
    assert [run.info.status for run in runs_of(store, "tags.`anelab.stage` = 'search'")] == ["RUNNING"]
    assert publish(store, workspace, RECEIPT)
    assert [run.info.status for run in runs_of(store, "tags.`anelab.stage` = 'search'")] == ["FINISHED"]
    assert len(runs_of(store)) == 4


def test_a_moved_repository_finds_its_artifacts_again(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    before = Workspace(old, old)
    before.reports("mnist").mkdir(parents=True)
    (before.reports("mnist") / "search.json").write_text("{}")
    RECEIPT.write(receipt_path(before, "mnist", "search"))
    sync(before, ["mnist"])
    shutil.move(old, new)
    done = sync(Workspace(new, new), ["mnist"])
    assert (done.runs_made, done.runs_found) == (0, 1)
    assert done.moved >= 2
    store = open_store(Workspace(new, new))
    run = find_run(store, "mnist", RECEIPT.input_key)
    assert run is not None
    assert Path(store.client.download_artifacts(run.info.run_id, "search.json")).read_text() == "{}"
    assert sync(Workspace(new, new), ["mnist"]).moved == 0


@pytest.mark.parametrize("text", ["{", '{"schema": 1}', '{"schema": 99, "datasets": []}'])
def test_a_damaged_receipt_is_named_and_stops_no_other_workload(text: str, workspace: Workspace) -> None:
    path = receipt_path(workspace, "mnist", "search")
    other = receipt_path(workspace, "read_quality", "search")
    other.parent.mkdir(parents=True)
    whole = path.read_text()
    other.write_text(whole.replace('"mnist"', '"read_quality"'))
    path.write_text(text)
    done = sync(workspace, ["mnist", "read_quality"])
    assert (done.failed, done.runs_made + done.runs_found) == (["mnist"], 1)
    (warning,) = [text for text in done.warnings if "mnist is not published" in text]
    assert re.search(r"search\.json: .*run `dvc repro -f`", warning)


def test_what_cannot_be_restored_is_said(workspace: Workspace, tmp_path: Path) -> None:
    replace(RECEIPT, stage="register").write(receipt_path(workspace, "mnist", "register"))
    warnings = "\n".join(sync(workspace, ["mnist"]).warnings)
    assert "registry.json is missing, so no version of mnist can be restored" in warnings
    typo = tmp_path / "typo"
    assert "has neither models/ nor reports/" in sync(Workspace(typo, typo), ["mnist"]).warnings[-1]
