"""The same commands on another gene: the 16S of named bacteria, as Debian's microbiomeutil-data has them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from anelab.learning.metrics import roc_auc
from anelab.sequences.records import read_all
from anelab.sequences.taxonomy import GENUS, Taxonomy, lineage_of_header
from tests.commands import anelab

GOLD = Path("/usr/share/microbiomeutil-data/RESOURCES/rRNA16S.gold.fasta")
SEQUENCES = 700
SETTINGS = (
    "edna.model={width: 32, hidden: [128], dimension: 64, max_length: 1600}",
    "edna.training.max_epochs=4",
    "edna.split={validation: 0.1, test: 0.1, novel: 0.0}",
    "edna.export.coreml=null",
)

pytestmark = pytest.mark.skipif(not GOLD.is_file(), reason="Debian's microbiomeutil-data is not installed")


class Gold:
    """Some sequences of genera of which there are several; all of every eighth genus are queries, and of the others
    every fifth sequence."""

    def __init__(self, folder: Path) -> None:
        records = read_all(GOLD)
        lineages = [lineage_of_header(*pair) for pair in zip(records.names, records.descriptions, strict=True)]
        genus = Taxonomy.of(lineages).codes[:, GENUS]
        several = np.flatnonzero((genus >= 0) & (np.bincount(genus[genus >= 0])[genus] >= 6))
        rows = np.sort(np.random.default_rng(1).permutation(several)[:SEQUENCES])
        is_novel = genus[rows] % 8 == 0
        asked = is_novel | (np.arange(len(rows)) % 5 == 0)
        self.genus = {records.names[row]: lineages[row][GENUS] for row in rows}
        self.novel = {records.names[row] for row in rows[is_novel]}
        self.references, self.queries = folder / "references.fasta", folder / "queries.fasta"
        for path, chosen in ((self.references, rows[~asked]), (self.queries, rows[asked])):
            lines = (
                f">{records.names[row]}\t{records.descriptions[row]}\n{records.sequences[int(row)]}" for row in chosen
            )
            path.write_text("\n".join(lines) + "\n")


def test_bacteria_are_told_by_their_16s_and_what_has_no_reference_is_novel(tmp_path: Path) -> None:
    gold, home = Gold(tmp_path), tmp_path / "home"
    home.mkdir()
    settings = [word for text in (f"edna.data.source=[{gold.references}]", *SETTINGS) for word in ("-S", text)]
    for stage in ("inputs", "simulate", "prepare", "search", "train", "export"):
        done = anelab(home, stage, "edna", *settings)
        assert done.returncode == 0, done.stderr
    model, index, table = str(home / "models/edna/export"), str(tmp_path / "index"), tmp_path / "taxa.tsv"
    done = anelab(home, "edna", "index", str(gold.references), "-o", index, "--model", model, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    compared = facts["left-out references whose nearest has their"]
    assert len(compared) == 2
    assert max(one["genus"] for one in compared.values()) > 0.9
    done = anelab(home, "edna", "assign", str(gold.queries), "--index", index, "-o", str(table))
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(table.read_text().splitlines(), delimiter="\t"))
    known = [row for row in rows if row["query"] not in gold.novel and row["genus"]]
    assert len(known) > 0.8 * sum(row["query"] not in gold.novel for row in rows)
    assert np.mean([row["genus"] == gold.genus[row["query"]] for row in known]) > 0.9
    truth = np.array([row["query"] in gold.novel for row in rows])
    assert roc_auc(np.array([float(row["novelty"]) for row in rows]), truth) > 0.85
