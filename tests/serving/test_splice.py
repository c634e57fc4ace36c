"""Chances over HTTP are those of the command."""

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anelab.workloads.splice.features import LABELS, SCORES
from tests.commands import anelab
from tests.serving.conftest import Client, repository, running
from tests.shared import copy_workspace

PREDICT = "/api/v1/splice/predict"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_workspace(tmp_path_factory.mktemp("splice"), "splice", "mnist")


@pytest.fixture(scope="module")
def rows(home: Path) -> list[dict[str, str]]:
    text = gzip.decompress((home / "data/raw/splice/windows.tsv.gz").read_bytes()).decode()
    return list(csv.DictReader(text.splitlines()[:21], delimiter="\t"))


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[Client]:
    models = repository(home, "splice=models:/splice-onnx@champion", "mnist=models:/mnist-onnx@champion")
    with running(models) as found:
        yield found
    models.close()


def window(row: dict[str, str]) -> dict[str, Any]:
    return {"sequence": row["sequence"], "scores": {name: float(row[name]) for name in SCORES}}


def test_predictions_are_those_of_the_command(
    client: Client, home: Path, rows: list[dict[str, str]], tmp_path: Path
) -> None:
    answer = client.post(PREDICT, {"windows": [window(row) for row in rows]}).json()
    table = tmp_path / "t.tsv"
    table.write_text("\n".join(["\t".join(rows[0]), *("\t".join(row.values()) for row in rows), ""]))
    done = anelab(home, "splice", "score", str(table), "-o", str(tmp_path / "out.tsv"))
    assert done.returncode == 0, done.stderr
    scored = list(csv.DictReader((tmp_path / "out.tsv").read_text().splitlines(), delimiter="\t"))
    assert len(answer["predictions"]) == len(scored) == 20
    for found, wanted in zip(answer["predictions"], scored, strict=True):
        assert found["verdict"] == wanted["verdict"]
        for label in LABELS:
            assert found[label] == pytest.approx(float(wanted[f"probability_{label}"]), rel=1e-4, abs=1e-6)
            assert found["base"][label] == pytest.approx(float(wanted[f"base_{label}"]), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sequence": "ACGTEACGT"}, "window 1: base 5 is 'E'"),
        ({"scores": None}, "has no scores of the base model"),
        ({"scores": {"donor_p0": 0.5}}, "window 1: scores must be donor_m2"),
        ({"scores": dict.fromkeys(SCORES, 2.0)}, "less than or equal to 1"),
    ],
)
def test_what_is_wrong_is_said(
    client: Client, rows: list[dict[str, str]], change: dict[str, Any], message: str
) -> None:
    answer = client.post(PREDICT, {"windows": [{**window(rows[0]), **change}]})
    assert (answer.status, message in str(answer.json())) == (422, True), answer.json()


def test_a_model_of_another_workload_is_refused(client: Client, rows: list[dict[str, str]]) -> None:
    answer = client.post(PREDICT, {"windows": [window(rows[0])], "model_name": "mnist"})
    assert (answer.status, "is a model of workload mnist" in str(answer.json())) == (422, True), answer.json()
    assert client.post(PREDICT, {"windows": [window(rows[0])], "model_name": "absent"}).status == 404
