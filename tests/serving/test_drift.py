"""Drift of what a server is sent: its table, its metric, and what the dashboard reads."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from anelab.serving import server
from anelab.serving.drift import MOST_ROWS, ROWS_A_SECOND, InputDrift, Monitor, Sampler, add_rows, references_of
from anelab.serving.repository import Repository, parse_source
from anelab.views.drift import drift_chart, read_drift
from anelab.workspace import Workspace
from tests.conftest import ROOT
from tests.serving.conftest import running
from tests.serving.test_inference import INFER, request
from tests.serving.test_metrics import samples

FOUND = {"input": InputDrift(rows=60, mean=0.02, largest=0.3, feature=4, noise=0.01)}


@pytest.fixture
def own(home: Path, tmp_path: Path) -> Iterator[Repository]:
    """mnist, whose drift is written into `tmp_path`."""
    source = parse_source("mnist=models:/mnist-onnx@champion")
    models = Repository(lambda: Workspace(ROOT, home), [source], drift_folder=tmp_path)
    models.load()
    yield models
    models.close()


def rows_of(home: Path) -> Any:
    """Rows that an export ships, which are like the training rows."""
    with np.load(home / "models/mnist/export/examples.npz") as shipped:
        arrays = [shipped[name] for name in shipped]
    return next(one for one in arrays if (one.shape[1:], one.dtype) == ((1, 28, 28), np.float32))


def test_an_export_says_what_its_training_rows_were_like(models: Repository) -> None:
    reads = references_of(models.version("reads").model)["input"]
    mnist = references_of(models.version("mnist").model)["input"]
    assert (len(reads.edges), len(mnist.edges), mnist.projected) == (300, 784, False)
    assert references_of(models.version("simple").model) == {}


def test_rows_that_are_not_like_the_training_rows_have_a_larger_index(own: Repository, home: Path) -> None:
    monitor, rows = own.version("mnist").monitor, rows_of(home)
    found = []
    for sent in (rows, 1 - rows):
        monitor.sampler.offer({"input": sent}, len(sent))
        monitor.sampler.count()
        monitor.finish_minute()
        found.append(monitor.last["input"])
    assert found[0].rows == min(len(rows), ROWS_A_SECOND)
    assert found[0].mean < 5 * found[0].noise + 0.05 < found[1].mean


def test_a_row_a_minute_is_added_for_each_input(
    own: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MINUTE_S", 1)
    with running(own) as client:
        while not (tmp_path / "mnist.parquet").exists():
            client.post(INFER, request())
        found = samples(client)
    assert found["anelab_input_psi", "input", "mnist", "mean"] > found["anelab_input_psi", "input", "mnist", "noise"]
    frame = read_drift(tmp_path, "mnist")["mnist"]
    assert (frame["rows"] > 0).all()
    assert read_drift(tmp_path, "read_quality") == {}
    assert drift_chart(frame).to_dict()["height"] == 260


def test_processes_add_rows_to_one_table(tmp_path: Path) -> None:
    table = tmp_path / "m.parquet"
    adding = [threading.Thread(target=add_rows, args=(table, "mnist", str(number), FOUND)) for number in range(8)]
    for one in adding:
        one.start()
    for one in adding:
        one.join()
    assert sorted(pq.read_table(table)["version"].to_pylist()) == [str(number) for number in range(8)]


def test_a_table_has_a_bound_and_a_damaged_one_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "m.parquet"
    table.write_bytes(b"PAR1 no table")
    monkeypatch.setattr("anelab.serving.drift.MOST_ROWS", 3)
    for number in range(5):
        add_rows(table, "mnist", str(number), FOUND)
    assert pq.read_table(table)["version"].to_pylist() == ["2", "3", "4"]
    assert MOST_ROWS == 100_000


def test_a_full_disk_loses_a_minute_and_nothing_else(own: Repository, tmp_path: Path, caplog: Any) -> None:
    monitor = Monitor(replace(own.version("mnist").model, name="m"), "1", tmp_path / "file")
    (tmp_path / "file").write_text("where a folder should be")
    monitor.sampler.offer({"input": np.zeros((5, 1, 28, 28), np.float32)}, 5)
    monitor.sampler.count()
    monitor.finish_minute()
    assert "this minute's drift is lost" in caplog.text
    assert monitor.last["input"].rows == 5


def test_no_more_rows_are_counted_than_are_looked_at(models: Repository) -> None:
    sampler = Sampler(references_of(models.version("mnist").model))
    for _ in range(50):
        sampler.offer({"input": np.zeros((100, 1, 28, 28), np.float32)}, 100)
    sampler.count()
    assert sampler.taken()["input"][0].sum() == ROWS_A_SECOND
    assert sampler.taken()["input"].sum() == 0
