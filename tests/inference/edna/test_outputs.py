"""Embeddings as files; sequences among clusters; options."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from anelab.sequences.arrays import SequenceArray
from tests.commands import anelab
from tests.inference.edna.conftest import Files


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--min-confidence", "nan"), "--min-confidence takes"),
        (("--out", "-", "--json"), "both write to standard output"),
    ],
)
def test_options_without_sense_are_refused(words: tuple[str, ...], says: str, files: Files, tmp_path: Path) -> None:
    query = str(files.fasta("one.fasta", files.held[:1]))
    out = () if "--out" in words else ("-o", str(tmp_path / "out.tsv"))
    done = anelab(files.home, "edna", "assign", query, "--index", str(files.index), *out, *words)
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr


def embedded(files: Files, out: Path, sequences: Path) -> Any:
    done = anelab(files.home, "edna", "embed", str(sequences), "-o", str(out))
    assert done.returncode == 0, done.stderr
    return np.load(out) if out.suffix == ".npy" else pq.read_table(out)


def test_embeddings_keep_the_order_and_are_the_same_in_both_formats(files: Files, tmp_path: Path) -> None:
    sequences = files.fasta("held.fasta", files.held)
    array, table = (embedded(files, tmp_path / name, sequences) for name in ("e.npy", "e.parquet"))
    assert table["id"].to_pylist() == files.held
    np.testing.assert_array_equal(array, np.array(table["embedding"].to_pylist(), np.float32))
    np.testing.assert_allclose(np.linalg.norm(array, axis=1), 1, rtol=1e-5)


def test_both_strands_have_one_embedding_to_the_last_bit(files: Files, tmp_path: Path) -> None:
    turned = SequenceArray.of([files.sequences[name] for name in files.held]).reverse_complement()
    other = tmp_path / "turned.fasta"
    other.write_text("".join(f">{name}\n{text}\n" for name, text in zip(files.held, turned, strict=True)))
    there, back = (
        embedded(files, tmp_path / f"{n}.npy", path)
        for n, path in enumerate((files.fasta("held.fasta", files.held), other))
    )
    np.testing.assert_array_equal(there, back)


def test_sequences_are_placed_among_the_clusters_of_references(files: Files) -> None:
    queries = files.fasta("held.fasta", files.held)
    words = ("edna", "clusters", str(queries), "--index", str(files.index))
    done = anelab(files.home, *words, "--name", "a survey", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    table = pq.read_table(found["table"]).to_pandas()
    assert Path(found["table"]) == files.home / ".anelab/clusters/a survey.parquet"
    assert table["id"].tolist()[found["references"] :] == files.held
    assert set(table["id"][: found["references"]]) <= set(files.references)
    assert (table["verdict"] == "reference").sum() == found["references"]
    asked = table[table["verdict"] != "reference"]
    assert found["queries"] == len(asked) == len(files.held)
    assert found["in a cluster"] == (asked["cluster"] >= 0).sum()
    assert found["clusters"] > 1
    assert np.mean(asked["cluster"] >= 0) > 0.5
    done = anelab(files.home, *words, "--name", "../up")
    assert (done.returncode, "--name takes" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["e.csv", "e"])
def test_another_format_is_refused_before_any_work(name: str, files: Files, tmp_path: Path) -> None:
    done = anelab(files.home, "edna", "embed", "nowhere.fasta", "-o", str(tmp_path / name))
    assert (done.returncode, "ends in .parquet or .npy" in done.stderr) == (2, True)
