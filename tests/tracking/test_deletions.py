"""Whatever is deleted in MLflow: every command says what to do, `anelab sync` brings back what the files record, and
`anelab store gc` erases nothing that is needed."""

import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mlflow.cli import gc
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache, _get_store

from anelab.errors import AnelabError
from anelab.files import read_json
from anelab.tracking import reading
from anelab.tracking.store import Store, open_store
from anelab.workspace import Workspace
from tests.commands import SETTINGS, Done, anelab
from tests.conftest import ROOT

WORKLOAD, MODEL = "read_quality", "read_quality-onnx"
SMALL = ("read_quality.export.coreml=null", "read_quality.registry.margin=1.0")
OPTIONS = (*SETTINGS, *(word for override in SMALL for word in ("-S", override)))
LONGER = (*OPTIONS, "-S", "read_quality.training.max_epochs=3")
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models: the second is champion, the first challenger and what a roll-back needs; files are of the second."""
    folder = tmp_path_factory.mktemp("trained")
    assert anelab(folder, "run", WORKLOAD, *OPTIONS).returncode == 0
    for stage in (("train",), ("export",), ("bench", "run"), ("register",)):
        done = anelab(folder, *stage, WORKLOAD, *LONGER)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """A copy: its store mends the addresses when it is opened."""
    _artifact_repos_cache.clear()  # by the ids of runs, which every copy has
    folder = tmp_path / "workspace"
    shutil.copytree(trained, folder)
    return folder


def opened(home: Path) -> Store:
    return open_store(Workspace(ROOT, home))


def mlflow_gc(store: Store) -> None:
    """`mlflow gc`, which spares nothing that was deleted."""
    done = CliRunner().invoke(gc, ["--backend-store-uri", store.uri, "--tracking-uri", store.uri])
    assert done.exit_code == 0, done.output


def champion(store: Store) -> Any:
    return store.client.get_model_version_by_alias(MODEL, "champion")


def logged_model(store: Store) -> str:
    return str(champion(store).source).removeprefix("models:/")


def all_runs(store: Store) -> list[str]:
    return [run.info.run_id for run in store.client.search_runs([store.experiment(WORKLOAD)])]


def delete_training_run(home: Path) -> None:
    store = opened(home)
    store.client.delete_run(champion(store).run_id)


def erase_training_run(home: Path) -> None:
    delete_training_run(home)
    mlflow_gc(opened(home))


def delete_runs(home: Path) -> None:
    store = opened(home)
    for run in all_runs(store):
        store.client.delete_run(run)


def erase_runs(home: Path) -> None:
    delete_runs(home)
    mlflow_gc(opened(home))


def delete_experiment(home: Path) -> None:
    store = opened(home)
    store.client.delete_experiment(store.experiment(WORKLOAD))


def erase_experiment(home: Path) -> None:
    delete_experiment(home)
    mlflow_gc(opened(home))


def delete_version(home: Path) -> None:
    store = opened(home)
    store.client.delete_model_version(MODEL, champion(store).version)


def delete_registered_model(home: Path) -> None:
    opened(home).client.delete_registered_model(MODEL)


def delete_logged_model(home: Path) -> None:
    store = opened(home)
    store.client.delete_logged_model(logged_model(store))


def erase_logged_model(home: Path) -> None:
    delete_logged_model(home)
    mlflow_gc(opened(home))


def remove_artifacts(home: Path) -> None:
    shutil.rmtree(home / "mlruns/artifacts")


def remove_store(home: Path) -> None:
    (home / "mlruns/mlflow.db").unlink()


def remove_all(home: Path) -> None:
    shutil.rmtree(home / "mlruns")


WITHOUT_OTHERS = (remove_artifacts, remove_store, remove_all)
"""Of the former champion, whose files are not there, nothing is left."""
DELETIONS = (
    delete_training_run,
    erase_training_run,
    delete_runs,
    erase_runs,
    delete_experiment,
    delete_version,
    delete_registered_model,
    delete_logged_model,
    erase_logged_model,
    erase_experiment,
    *WITHOUT_OTHERS,
)


def inspect(home: Path, reference: str = "champion") -> Any:
    done = anelab(home, "model", "inspect", MODEL, reference, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def score(home: Path) -> Done:
    reads = home.parent / "reads.fastq"
    reads.write_text("@a\nACGT\n+\nII#I\n")
    return anelab(home, "score", str(reads), "-o", str(home.parent / "verdicts.tsv"))


def result(home: Path) -> str:
    return str(read_json(home / "reports/read_quality/bench.json")["id"])[:12]


def asked(home: Path) -> list[Done]:
    """Every command that reads the store."""
    commands = (
        ("model", "list", MODEL),
        ("model", "inspect", MODEL),
        ("bench", "show", f"{WORKLOAD}:{result(home)}"),
        ("bench", "history", WORKLOAD),
    )
    return [score(home), *(anelab(home, *command) for command in commands)]


def is_whole(home: Path) -> None:
    """Champion and score work, and the runs that the receipts record are there."""
    recorded = read_json(home / "reports/read_quality/champion.json")["models"][MODEL]["champion"]["sha256"]
    found = inspect(home)
    assert recorded in found["files"]["model.onnx"]
    assert score(home).returncode == 0
    shown = anelab(home, "bench", "show", f"{WORKLOAD}:{result(home)}")
    assert shown.returncode == 0, shown.stderr
    store = opened(home)
    assert reading.workloads_in(store) == [WORKLOAD]
    (version,) = [one for one in reading.versions(store, WORKLOAD) if "champion" in one.aliases]
    assert version.run_id is not None
    assert found["run"] == version.run_id
    assert reading.run(store, version.run_id).stage == "train"
    assert set(reading.files_of(store, version)) >= {"model.onnx", "manifest.json"}
    assert result(home) in version.results
    assert reading.benchmark(store, version.results[result(home)]).id.startswith(result(home))
    (search,) = reading.runs(store, WORKLOAD, "search")
    assert len(reading.trials(store, search)) == 2
    for stage in ("prepare", "search", "train", "export", "bench", "register"):
        assert reading.runs(store, WORKLOAD, stage), stage


@pytest.mark.parametrize("delete", DELETIONS)
def test_sync_brings_back_what_the_files_record(home: Path, delete: Callable[[Path], None]) -> None:
    delete(home)
    for done in asked(home):
        if done.returncode:
            assert "`anelab sync`" in done.stderr
    synced = anelab(home, "sync")
    assert synced.returncode == 0, synced.stderr
    is_whole(home)
    again = json.loads(anelab(home, "sync", "--json").stdout)
    assert (again["runs_made"], again["warnings"]) == (0, [])
    registered = anelab(home, "register", WORKLOAD, *LONGER)
    assert (registered.returncode, "(fp32): champion" in registered.stdout) == (0, True), registered.stderr
    back = anelab(home, "model", "rollback", MODEL)
    if delete in WITHOUT_OTHERS:
        assert back.returncode == 1
        assert "check out the commit that made it" in back.stderr
    else:
        assert back.returncode == 0, back.stderr
        assert inspect(home, "champion")["variant"] == "fp32"
        assert score(home).returncode == 0
        assert anelab(home, "model", "promote", MODEL, newest(home)).returncode == 0


def newest(home: Path) -> str:
    """The number of the newest version that may be champion."""
    listed = json.loads(anelab(home, "model", "list", MODEL, "--json").stdout)
    return next(str(row["version"]) for row in listed if row["variant"] == "fp32")


def collect(home: Path, older_than: str) -> str:
    done = anelab(home, "store", "gc", "--older-than", older_than)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_collecting_keeps_the_experiment_that_registered_models_come_from(home: Path) -> None:
    store = opened(home)
    runs, kept = len(all_runs(store)), {one.run_id for one in reading.versions(store, WORKLOAD)}
    assert len(kept) == 2
    delete_experiment(home)
    assert collect(home, "0s") == (
        f"deleted runs: {runs - 2} erased, 2 kept for champions, challengers and roll-backs\n"
        "deleted experiments: 0 erased, 1 kept because registered versions come from them, or they were restored\n"
    )
    assert score(home).returncode == 0
    assert inspect(home)["run"] in kept
    assert "`anelab sync`, which restores it with its runs" in anelab(home, "bench", "history", WORKLOAD).stderr
    synced = anelab(home, "sync")
    assert (synced.returncode, "is restored with its runs" in synced.stderr) == (0, True)
    is_whole(home)
    assert kept < set(all_runs(opened(home)))
    assert anelab(home, "model", "rollback", MODEL).returncode == 0
    assert inspect(home)["run"] in kept


def test_collecting_keeps_what_was_deleted_lately_and_erases_the_rest(home: Path) -> None:
    store = opened(home)
    old, late = (store.client.create_experiment(name, (home / name).as_uri()) for name in ("old", "late"))
    made = {experiment: things_in(store, experiment) for experiment in (old, late)}
    run, model, _ = things_in(store, store.experiment(WORKLOAD))
    store.client.delete_run(run)
    store.client.delete_logged_model(model)
    for experiment in (old, late):
        store.client.delete_experiment(experiment)
    backdate(home, "experiments", "last_update_time", "experiment_id", old)
    backdate(home, "runs", "deleted_time", "run_uuid", made[old][0], run)
    delete_experiment(home)  # just now, and all its runs with it
    assert collect(home, "30d") == (
        "deleted runs: 1 erased, 0 kept for champions, challengers and roll-backs\n"
        "deleted logged models: 1 erased, 0 kept because registered versions come from them, or they were restored\n"
        "deleted experiments: 1 erased, 0 kept because registered versions come from them, or they were restored\n"
    )
    assert not any(path.is_file() for path in made[old][2].rglob("*"))
    assert any(path.is_file() for path in made[late][2].rglob("*"))
    there = _get_store(store.uri)
    assert there.get_run(made[late][0]).info.lifecycle_stage == "deleted"
    assert there.get_logged_model(model, allow_deleted=True).model_id == model
    assert anelab(home, "sync").returncode == 0
    is_whole(home)
    assert collect(home, "0s").startswith("deleted runs: 1 erased, 0 kept")
    assert not any(path.is_file() for path in made[late][2].rglob("*"))


def things_in(store: Store, experiment: str) -> tuple[str, str, Path]:
    """A run and a logged model with a file each, and the experiment's folder."""
    run = store.client.create_run(experiment).info.run_id
    store.client.log_text(run, "of a run", "run.txt")
    model = store.client.create_logged_model(experiment, "other", run).model_id
    file = Path(store.client.get_logged_model(model).artifact_location.removeprefix("file://"), "model.txt")
    file.parent.mkdir(parents=True)
    file.write_text("of a model")
    return run, model, file.parents[3]


def backdate(home: Path, table: str, column: str, key: str, *ids: str) -> None:
    """As if it was deleted 40 days ago."""
    with closing(sqlite3.connect(home / "mlruns/mlflow.db")) as connection, connection:
        for one in ids:
            when = int(time.time() * 1000) - 40 * DAY_MS
            connection.execute(f"update {table} set {column} = ? where {key} = ?", (when, one))


def test_collecting_keeps_what_a_roll_back_needs_even_if_the_registry_lost_it(home: Path) -> None:
    store = opened(home)
    former = min(reading.versions(store, WORKLOAD), key=lambda one: one.version)
    store.client.delete_logged_model(former.model_id)
    store.client.delete_run(str(former.run_id))
    store.client.delete_registered_model(MODEL)
    assert collect(home, "0s").splitlines() == [
        "deleted runs: 0 erased, 1 kept for champions, challengers and roll-backs",
        "deleted logged models: 0 erased, 1 kept because registered versions come from them, or they were restored",
    ]
    assert anelab(home, "sync").returncode == 0
    is_whole(home)
    assert anelab(home, "model", "rollback", MODEL).returncode == 0
    assert (inspect(home)["run"], score(home).returncode) == (former.run_id, 0)


def test_nothing_is_collected_while_the_record_of_promotions_is_damaged(home: Path) -> None:
    delete_experiment(home)
    record = home / "reports/read_quality/champion.json"
    whole = record.read_text()
    record.write_text(whole[:100])
    refused = anelab(home, "store", "gc", "--older-than", "0s")
    assert (refused.returncode, "restore it with git" in refused.stderr) == (1, True)
    record.unlink()
    refused = anelab(home, "store", "gc", "--older-than", "0s")
    assert (refused.returncode, "has no record of read_quality-onnx, which has a champion" in refused.stderr) == (
        1,
        True,
    )
    record.write_text(whole)
    assert anelab(home, "sync").returncode == 0
    is_whole(home)


def test_a_server_is_asked_for_its_own_database(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert anelab(home, "store", "gc").returncode == 1


def test_a_version_that_a_person_deleted_does_not_come_back(home: Path) -> None:
    assert anelab(home, "model", "delete", MODEL, "4").returncode == 0
    opened(home).client.delete_registered_model(MODEL)
    assert anelab(home, "sync").returncode == 0
    listed = json.loads(anelab(home, "model", "list", MODEL, "--json").stdout)
    assert [row["variant"] for row in listed] == ["fp32", "fp32"]


def test_a_benchmark_of_a_version_restores_what_it_needs(home: Path) -> None:
    delete_experiment(home)
    done = anelab(home, "bench", "run", f"{MODEL}@champion", *LONGER)
    assert (done.returncode, "is restored with its runs" in done.stderr) == (0, True), done.stderr
    delete_logged_model(home)
    again = anelab(home, "bench", "run", f"{MODEL}@champion", *LONGER)
    assert again.returncode == 0, again.stderr


def test_a_reader_names_the_deleted_experiment(home: Path) -> None:
    delete_experiment(home)
    store = opened(home)
    with pytest.raises(AnelabError, match="was deleted in MLflow; run `anelab sync`"):
        reading.runs(store, WORKLOAD, "train")
    assert reading.workloads_in(store) == []
    assert len(reading.versions(store, WORKLOAD)) == 4
