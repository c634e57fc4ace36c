"""From references and queries to a table of taxa, by the command line and a model that the pipeline made."""

import gzip
from pathlib import Path

import numpy as np

from anelab.sequences.arrays import SequenceArray
from tests.inference.edna.conftest import Files

RANKS = ("domain", "phylum", "class", "order", "family", "genus", "species")


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
    noise = {f"noise of {n}": "".join("ACGT"[code] for code in rng.integers(0, 4, n)) for n in (150, 300, 200_000)}
    short = {"short": files.sequences[files.held[0]][:40], "n": "N" * 200}
    queries = files.folder / "odd.fasta"
    queries.write_text("".join(f">{name.replace(' ', '_')}\n{text}\n" for name, text in (noise | short).items()))
    rows = files.assign(queries)
    assert [row["verdict"] for row in rows] == ["off-target"] * len(noise) + ["too short"] * len(short)
    assert all(row[rank] == "" for row in rows for rank in RANKS)
    assert [(row["nearest"], row["ties"]) for row in rows[-2:]] == [("", "")] * 2


def test_a_confidence_of_0_empties_nothing_and_1_nearly_all(files: Files) -> None:
    queries = files.fasta("novel.fasta", files.novel)
    named = [sum(bool(row["genus"]) for row in files.assign(queries, "--min-confidence", text)) for text in ("0", "1")]
    assert named[0] > named[1]
    assert named[1] == 0
