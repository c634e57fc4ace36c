"""An index of simulated genes, and what is asked of it."""

import csv
from pathlib import Path

import pytest

from anelab.sequences.records import read_all
from anelab.sequences.taxonomy import read_lineages
from tests.commands import Done, anelab
from tests.shared import copy_workspace


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


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    found = Files(copy_workspace(tmp_path_factory.mktemp("edna"), "edna"), tmp_path_factory.mktemp("with spaces"))
    done = found.make_index()
    assert done.returncode == 0, done.stderr
    assert "found by:" in done.stdout
    return found
