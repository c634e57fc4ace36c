"""From FASTA and tables to splits: what is joined, left out, held out, and refused."""

from pathlib import Path

import numpy as np
import pytest

from anelab import workloads
from anelab.errors import AnelabError
from anelab.learning.base import DataCard, Split
from anelab.sequences.arrays import SequenceArray
from anelab.sequences.taxonomy import NOTHING, Taxonomy
from anelab.workloads.edna.rules import rules
from anelab.workloads.edna.splits import KNOWN, NOVEL, REFERENCE, clusters, split_sequences
from tests.conftest import tiny

WORKLOAD = workloads.get("edna")


def prepared(files: list[Path], out: Path, *more: str) -> DataCard:
    out.mkdir(exist_ok=True)
    return WORKLOAD.prepare(tiny("edna.data.min_length=5", *more).section("edna"), files, out)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    raw = tmp_path_factory.mktemp("raw")
    WORKLOAD.simulate(tiny("edna.data.simulation.genera=4").section("edna"), raw)
    return sorted(raw.iterdir())


def taxa_of(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    return np.load(folder / f"{name}.taxa.npy"), np.load(folder / f"{name}.kind.npy")


def test_simulated_genes_are_a_function_of_the_seed(tmp_path: Path) -> None:
    files = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / folder).mkdir()
        WORKLOAD.simulate(tiny().section("edna").model_copy(update={"seed": seed}), tmp_path / folder)
        files.append((tmp_path / folder / "genes.fasta.gz").read_bytes())
    assert files[0] == files[1] != files[2]


@pytest.mark.parametrize(("by", "rank"), [("species", 6), ("genus", 5)])
def test_whole_taxa_are_held_out(by: str, rank: int, simulated: list[Path], tmp_path: Path) -> None:
    prepared(simulated, tmp_path, f"edna.split.by={by}", "edna.split.novel=0.0")
    train, _ = taxa_of(tmp_path, "train")
    for name in ("validation", "test"):
        taxa, kind = taxa_of(tmp_path, name)
        asked = taxa[kind == KNOWN]
        assert len(asked)
        assert not (set(asked[:, rank]) & set(train[:, rank])) - {-1}
        assert set(taxa[kind == REFERENCE][:, rank]) <= set(train[:, rank])


def test_of_novel_genera_nothing_is_trained_on(simulated: list[Path], tmp_path: Path) -> None:
    card = prepared(simulated, tmp_path, "edna.split.novel=0.2")
    train, _ = taxa_of(tmp_path, "train")
    taxa, kind = taxa_of(tmp_path, "test")
    novel, known = set(taxa[kind == NOVEL][:, 5]), set(taxa[kind == KNOWN][:, 5])
    assert novel
    assert not novel & (set(train[:, 5]) | known)
    assert card.classes["test"]["novel"] == (kind == NOVEL).sum()


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25])
def test_no_more_is_held_out_than_asked_for_however_small_the_species(share: float) -> None:
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 8, 800)
    species = np.repeat(np.arange(800), sizes)
    config = tiny(f"edna.split={{validation: {share}, test: {share}, novel: 0.0}}").section("edna")
    lineages = [(*NOTHING[:5], f"Genus{code % 90}", f"Genus{code % 90} species{code}") for code in species]
    parts = split_sequences(config, SequenceArray.of(["ACGT"] * len(species)), Taxonomy.of(lineages))
    held = [parts.rows[name][parts.kinds[name] == KNOWN] for name in ("validation", "test")]
    for rows in held:
        assert 0.5 * share < len(rows) / len(species) < 1.05 * share
    train, asked = parts.rows["train"], np.concatenate(held)
    enough = np.bincount(species)[species[asked]] >= 3
    assert set(species[asked[enough]]) <= set(species[train])
    assert set(species[asked] % 90) <= set(species[train] % 90)


def test_alike_sequences_stay_together_if_clusters_are_split(simulated: list[Path], tmp_path: Path) -> None:
    prepared(simulated, tmp_path, "edna.split.by=cluster", "edna.split.novel=0.0")
    parts = [
        SequenceArray(*(np.load(tmp_path / f"{name}.{part}.npy") for part in ("letters", "offsets")))
        for name in ("train", "test")
    ]
    rows = np.flatnonzero(np.load(tmp_path / "test.kind.npy") == KNOWN)
    together = SequenceArray.of([*parts[0], *parts[1].take(rows)])
    found = clusters(together)
    assert not set(found[: len(parts[0])]) & set(found[len(parts[0]) :])


def test_a_cluster_is_what_is_linked_on_either_strand() -> None:
    rng = np.random.default_rng(1)
    one, other = ("".join("ACGT"[code] for code in rng.integers(0, 4, 300)) for _ in range(2))
    near = one[:150] + "A" + one[151:]
    turned = SequenceArray.of([near]).reverse_complement()[0]
    found = clusters(SequenceArray.of([one, other, turned, near]))
    assert found[0] == found[2] == found[3] != found[1]


SEQUENCES = ["ACGTACGTACGTAC", "TTGCATTGCATTGC", "GGGATCCGGGATCC", "CATCATCATCATCA", "TGACTGACTGACTG"]


def test_equal_sequences_of_several_taxa_keep_what_agrees_and_are_reported(tmp_path: Path) -> None:
    records = [f">s{number}\n{text}\n" for number, text in enumerate(SEQUENCES * 6)]
    varied = [record.replace("\n", f"\n{'ACGT'[n % 4]}{'ACGT'[n // 4 % 4]}", 1) for n, record in enumerate(records)]
    (tmp_path / "a.fasta").write_text("".join(varied) + ">twin\n" + varied[0].split("\n")[1] + "\n")
    taxa = [f"s{n}\td__E;f__F;g__Genus;s__Genus species{n % 5}\n" for n in range(30)]
    (tmp_path / "t.tsv").write_text("".join(taxa) + "twin\td__E;f__F;g__Genus;s__Genus other\nunused\td__E\n")
    card = prepared([tmp_path / "a.fasta", tmp_path / "t.tsv"], tmp_path / "out", "edna.split.novel=0.0")
    assert card.facts["with conflicting labels"] == 1
    assert card.facts["duplicates"] == 1
    assert card.facts["unused labels"] == 1
    assert any("Genus other, Genus species0" in text for text in card.warnings)
    assert card.facts["sequences with the rank"]["species"] == card.facts["sequences"] - 1
    assert card.facts["sequences with the rank"]["genus"] == card.facts["sequences"]


@pytest.mark.parametrize(
    ("fasta", "table", "says"),
    [
        (">a\nACGTACGT\n>b\nACGTACGA\n", "a\td__E\n", "1 of 2 sequences have no label, such as b"),
        (">a\nACGTACGT\n>a\nACGTACGA\n", "a\td__E\n", "two sequences have the id a"),
        (">a\nACGTACGT\n", None, "1 of 1 headers tell no taxon; add a table"),
        (">a\nMKVLEF\n", "a\td__E\n", "a letter of proteins"),
    ],
)
def test_what_cannot_be_joined_is_refused(fasta: str, table: str | None, says: str, tmp_path: Path) -> None:
    files = [tmp_path / "with spaces.fasta"]
    files[0].write_text(fasta)
    if table is not None:
        files.append(tmp_path / "t.tsv")
        files[1].write_text(table)
    with pytest.raises(AnelabError, match=says):
        prepared(files, tmp_path / "out")


def test_short_and_ambiguous_sequences_are_left_out_and_counted(simulated: list[Path], tmp_path: Path) -> None:
    more = tmp_path / "more.fasta"
    more.write_text(">short\nACGT\n>odd\n" + "ACGTN" * 20 + "\n")
    table = tmp_path / "more.tsv"
    table.write_text("short\td__E\nodd\td__E\n")
    card = prepared([*simulated, more, table], tmp_path / "out")
    assert (card.facts["too short"], card.facts["too ambiguous"]) == (1, 1)


def test_rules_without_the_split_they_look_in_say_so(tmp_path: Path) -> None:
    for rule in rules(tiny().section("edna"), tmp_path).values():
        with pytest.raises(AnelabError, match="cannot be timed by rows"):
            rule(Split({}, {"kind": np.zeros(2), "species": np.zeros(2)}, np.arange(2)))
