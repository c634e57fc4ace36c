"""Embeddings and taxa over HTTP are those of the commands."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anelab.errors import UsageError
from anelab.inference.edna.embed import open_embedder
from anelab.sequences.records import read_all
from anelab.serving.repository import parse_index
from anelab.workspace import Workspace
from tests.commands import anelab
from tests.conftest import ROOT
from tests.serving.conftest import Client, repository, running
from tests.shared import copy_workspace

EMBED, ASSIGN = "/api/v1/edna/embed", "/api/v1/edna/assign"


class Served:
    def __init__(self, home: Path, folder: Path) -> None:
        raw, self.home, self.index = home / "data/raw/edna", home, folder / "index"
        self.genes, labels = raw / "genes.fasta.gz", raw / "taxonomy.tsv"
        done = anelab(home, "edna", "index", str(self.genes), "--labels", str(labels), "-o", str(self.index))
        assert done.returncode == 0, done.stderr
        records = read_all(self.genes)
        self.names, self.sequences = records.names[:20], list(records.sequences)[:20]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return Served(copy_workspace(tmp_path_factory.mktemp("edna"), "edna"), tmp_path_factory.mktemp("index"))


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[Client]:
    models = repository(served.home, "edna=models:/edna-onnx@champion", indexes={"fish": served.index})
    with running(models) as found:
        yield found
    models.close()


def test_embeddings_are_those_of_the_command(client: Client, served: Served) -> None:
    answer = client.post(EMBED, {"sequences": served.sequences}).json()
    with open_embedder(lambda: Workspace(ROOT, served.home)) as embedder:
        wanted = embedder(read_all(served.genes).sequences.take(np.arange(20)))
    np.testing.assert_allclose(answer["embeddings"], wanted, atol=1e-6)
    assert answer["dimension"] == embedder.dimension


def test_taxa_are_those_of_the_command(client: Client, served: Served, tmp_path: Path) -> None:
    queries = tmp_path / "q.fasta"
    queries.write_text("".join(f">{one}\n{two}\n" for one, two in zip(served.names, served.sequences, strict=True)))
    done = anelab(
        served.home, "edna", "assign", str(queries), "--index", str(served.index), "-o", str(tmp_path / "t.tsv")
    )
    assert done.returncode == 0, done.stderr
    wanted = list(csv.DictReader((tmp_path / "t.tsv").read_text().splitlines(), delimiter="\t"))
    answer = client.post(ASSIGN, {"sequences": served.sequences, "ids": served.names, "index": "fish"}).json()
    for found, row in zip(answer["assignments"], wanted, strict=True):
        assert found["query"] == row["query"]
        assert found["taxa"] == {rank: row[rank] for rank in found["taxa"]}
        assert ";".join(found["ties"]) == row["ties"]
        assert (f"{found['confidence']:.4f}", found["verdict"]) == (row["confidence"], row["verdict"])


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    (EMBED, {"sequences": []}, 422, "sequences"),
    (EMBED, {"sequences": ["ACGT", "MKVLE"]}, 422, "sequence 2: base 4 is 'L'"),
    (EMBED, {"sequences": ["AC\u00e9T"]}, 422, "sequence 1: base 3"),
    (EMBED, {"sequences": ["A" * 20_001]}, 422, "sequences"),
    (EMBED, {"sequences": ["ACGT"], "model_name": "../x"}, 404, "is not served"),
    (ASSIGN, {"sequences": ["ACGT"], "ids": ["a", "b"]}, 422, "1 sequences but 2 ids"),
    (ASSIGN, {"sequences": ["ACGT"], "index": "birds"}, 404, "index 'birds' is not served; served are fish"),
    (ASSIGN, {"sequences": ["ACGT"], "min_confidence": 2}, 422, "min_confidence"),
    (ASSIGN, {"sequences": ["ACGT"], "more": 1}, 422, "more"),
]


@pytest.mark.parametrize(("path", "body", "status", "says"), REFUSED)
def test_what_is_wrong_is_said(path: str, body: dict[str, Any], status: int, says: str, client: Client) -> None:
    answer = client.post(path, body)
    assert (answer.status, says in answer.json()["error"]) == (status, True), answer.body


def test_without_an_index_and_with_another_model_the_reason_is_said(client: Client, served: Served) -> None:
    assert client.post(ASSIGN, {"sequences": ["ACGT"]}).status == 200
    models = repository(served.home, "edna=models:/edna-onnx@champion", simple=True)
    with running(models) as bare:
        answer = bare.post(ASSIGN, {"sequences": ["ACGT"]})
        assert (answer.status, "--index NAME=FOLDER" in answer.json()["error"]) == (404, True)
        answer = bare.post(EMBED, {"sequences": ["ACGT"], "model_name": "simple"})
        assert (answer.status, answer.json()["error"]) == (422, "simple is no model of edna")
    models.close()


def test_an_index_is_named_by_its_folder_or_by_hand(tmp_path: Path) -> None:
    assert parse_index("fish=some/where") == ("fish", Path("some/where"))
    assert parse_index("some/fish-12S") == ("fish-12S", Path("some/fish-12S"))
    with pytest.raises(UsageError, match="'two words', which is no name"):
        parse_index("some/two words")


def test_a_server_of_something_else_does_not_start(served: Served, tmp_path: Path) -> None:
    done = anelab(
        served.home, "serve", "--model", "models:/edna-onnx@champion", "--index", f"x={tmp_path}", "--port", "0"
    )
    assert (done.returncode, "is no index" in done.stderr) == (1, True), done.stderr
