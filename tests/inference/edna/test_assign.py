"""From references and queries to a table of taxa, by the command line and a model that the pipeline made."""

import csv
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from anelab.files import file_digest
from anelab.inference.edna.index import open_index
from anelab.sequences.arrays import SequenceArray
from anelab.sequences.records import read_all
from anelab.sequences.taxonomy import read_lineages
from anelab.workspace import Workspace
from tests.commands import Done, anelab
from tests.shared import copy_workspace

RANKS = ("domain", "phylum", "class", "order", "family", "genus", "species")


class Files:
    """Half of the simulated families are references, but for a sequence of each species."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder
        raw = home / "data/raw/edna"
        records, taxa = read_all(raw / "genes.fasta.gz"), read_lineages(raw / "taxonomy.tsv")
        self.taxa = taxa
        families = sorted({lineage[4] for lineage in taxa.values()})
        self.known = set(families[: len(families) // 2])
        seen: set[str] = set()
        self.sequences = dict(zip(records.names, records.sequences, strict=True))
        self.references, self.held, self.novel = [], [], []
        for name in records.names:
            lineage = taxa[name]
            if lineage[4] not in self.known:
                self.novel.append(name)
            elif lineage[6] in seen:
                self.references.append(name)
            else:
                seen.add(lineage[6])
                self.held.append(name)
        self.fasta("refs.fasta", self.references)
        self.index = folder / "index"

    def fasta(self, name: str, records: list[str]) -> Path:
        path = self.folder / name
        path.write_text("".join(f">{one}\n{self.sequences[one]}\n" for one in records))
        return path

    def make_index(self, *words: str) -> Done:
        labels = str(self.home / "data/raw/edna/taxonomy.tsv")
        refs = str(self.folder / "refs.fasta")
        return anelab(self.home, "edna", "index", refs, "--labels", labels, "-o", str(self.index), *words)

    def assign(self, queries: Path, *words: str) -> list[dict[str, str]]:
        out = self.folder / "out.tsv"
        done = anelab(self.home, "edna", "assign", str(queries), "--index", str(self.index), "-o", str(out), *words)
        assert done.returncode == 0, done.stderr
        return list(csv.DictReader(out.read_text().splitlines(), delimiter="\t"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    found = Files(copy_workspace(tmp_path_factory.mktemp("edna"), "edna"), tmp_path_factory.mktemp("with spaces"))
    done = found.make_index()
    assert done.returncode == 0, done.stderr
    assert "found by:" in done.stderr
    return found


def test_a_left_out_sequence_gets_its_taxa(files: Files) -> None:
    rows = files.assign(files.fasta("held.fasta", files.held))
    assert [row["query"] for row in rows] == files.held
    genus = [row["genus"] == files.taxa[row["query"]][5] for row in rows if row["genus"]]
    assert np.mean(genus) > 0.9
    assert np.mean([row["verdict"] in ("called", "ambiguous") for row in rows]) > 0.7


def test_order_and_duplicates_are_kept_and_both_strands_are_tried(files: Files) -> None:
    one, other = files.held[0], files.novel[0]
    turned = SequenceArray.of([files.sequences[one]]).reverse_complement()[0]
    queries = files.folder / "queries.fasta.gz"
    text = f">a\n{files.sequences[one]}\n>b\n{files.sequences[other]}\n>c\n{turned}\n>a\n{files.sequences[one]}\n"
    queries.write_bytes(gzip.compress(text.encode()))
    first, second, third, fourth = (list(row.values()) for row in files.assign(queries))
    assert first[1:] == third[1:] == fourth[1:] != second[1:]
    assert (first[0], second[0], third[0], fourth[0]) == ("a", "b", "c", "a")


def test_all_species_that_are_equally_near_are_told(files: Files, tmp_path: Path) -> None:
    other = Files(files.home, tmp_path)
    name, twin = next(
        (one, two)
        for one in other.references
        for two in other.references
        if other.taxa[one][5] == other.taxa[two][5] and other.taxa[one][6] != other.taxa[two][6]
    )
    other.sequences[twin] = other.sequences[name]
    other.fasta("refs.fasta", other.references)
    assert other.make_index("--model", "kmers").returncode == 0
    (row,) = other.assign(other.fasta("one.fasta", [name]))
    assert row["ties"] == ";".join(sorted({other.taxa[name][6], other.taxa[twin][6]}))
    assert (row["genus"], row["species"], row["verdict"]) == (other.taxa[name][5], "", "ambiguous")


def test_short_and_foreign_sequences_are_said_to_be_so(files: Files) -> None:
    rng = np.random.default_rng(1)
    noise = "".join("ACGT"[code] for code in rng.integers(0, 4, 300))
    queries = files.folder / "odd.fasta"
    queries.write_text(f">short\n{files.sequences[files.held[0]][:40]}\n>noise\n{noise}\n>n\n{'N' * 200}\n")
    found = {row["query"]: row for row in files.assign(queries)}
    assert {name: row["verdict"] for name, row in found.items()} == {
        "short": "too short",
        "noise": "off-target",
        "n": "too short",
    }
    assert all(row[rank] == "" for row in found.values() for rank in RANKS)


def test_a_confidence_of_0_empties_nothing_and_1_nearly_all(files: Files) -> None:
    queries = files.fasta("novel.fasta", files.novel)
    named = [sum(bool(row["genus"]) for row in files.assign(queries, "--min-confidence", text)) for text in ("0", "1")]
    assert named[0] > named[1]
    assert named[1] == 0


def test_an_index_needs_nothing_but_its_folder_and_notices_damage(files: Files, tmp_path: Path) -> None:
    def no_workspace() -> Workspace:
        raise AssertionError

    with open_index(no_workspace, files.index) as index:
        assert len(index) == len(index.points) == len(index.among.rows)
    (files.index / "taxa.npy").touch()
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in files.index.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    with (copy / "taxa.npy").open("ab") as handle:
        handle.write(b"x")
    query = files.fasta("one.fasta", files.held[:1])
    for folder, says in (
        (copy, "taxa.npy: is missing or changed"),
        (tmp_path, "is no index"),
        (tmp_path / "no", "is no index"),
    ):
        done = anelab(files.home, "edna", "assign", str(query), "--index", str(folder), "-o", str(tmp_path / "out.tsv"))
        assert (done.returncode, says in done.stderr) == (1, True), done.stderr
        assert not (tmp_path / "out.tsv").exists()


def test_an_index_whose_numbers_lead_out_of_it_is_refused(files: Files, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(files.index, copy)
    rows = np.load(copy / "near_rows.npy")
    rows[0, 0] = 10**6
    np.save(copy / "near_rows.npy", rows)
    facts = json.loads((copy / "index.json").read_text())
    facts["files"]["near_rows.npy"] = file_digest(copy / "near_rows.npy")
    (copy / "index.json").write_text(json.dumps(facts))
    query = files.fasta("one.fasta", files.held[:1])
    done = anelab(files.home, "edna", "assign", str(query), "--index", str(copy), "-o", str(tmp_path / "out.tsv"))
    assert (done.returncode, "its tables do not fit each other" in done.stderr) == (1, True), done.stderr


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


def test_a_folder_of_something_else_is_not_replaced(files: Files, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    refs = str(files.folder / "refs.fasta")
    done = anelab(files.home, "edna", "index", refs, "-o", str(tmp_path))
    assert (done.returncode, "holds 'thesis.txt', and is no index" in done.stderr) == (2, True)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
