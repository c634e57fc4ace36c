"""What sources become: tables, a genome with its annotation, classes of variants; and splits that do not leak."""

import gzip
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from anelab.errors import AnelabError
from anelab.learning.base import SPLITS, DataCard
from anelab.sequences.annotation import read_transcripts
from anelab.sequences.homology import homology_groups
from anelab.sequences.nucleotides import encode_bases
from anelab.workloads.splice.classifications import Classifications
from anelab.workloads.splice.config import Config, DecoyConfig
from anelab.workloads.splice.features import SCORES
from anelab.workloads.splice.matrices import fit_matrices, matrix_scores
from anelab.workloads.splice.prepare import prepare
from anelab.workloads.splice.sites import windows_of
from anelab.workloads.splice.tables import TableReader
from anelab.workloads.splice.windows import ACCEPTOR, DONOR, NEITHER, Names, Windows, has_motif, joined, load_windows
from tests.conftest import tiny

LETTERS = np.frombuffer(b"ACGT", np.uint8)


def config(*settings: str) -> Config:
    found: Config = tiny(*settings).section("splice")
    return found


def prepared(files: list[Path], out: Path, *settings: str) -> DataCard:
    out.mkdir(exist_ok=True)
    return prepare(config(*settings), files, out)


def all_rows(out: Path) -> list[Windows]:
    return [load_windows(out, name) for name in SPLITS]


def table(rows: int = 120, seed: int = 0, **more: Any) -> pl.DataFrame:
    """Random windows with scores, a third of each label."""
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet([1, 1, 5], (rows, 5))
    columns = {name: chances[:, place % 5, place // 5] for place, name in enumerate(SCORES)}
    sequences = ["".join(map(chr, LETTERS[rng.integers(0, 4, 101)])) for _ in range(rows)]
    labels = [("donor", "acceptor", "neither")[row % 3] for row in range(rows)]
    return pl.DataFrame({"id": range(rows), "label": labels, **columns, "sequence": sequences, **more})


def write(frame: pl.DataFrame, path: Path, separator: str = "\t") -> Path:
    text = frame.write_csv(separator=separator)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["windows.tsv", "windows.tsv.gz", "windows.csv", "windows.parquet", "a name.txt"])
def test_a_table_of_any_form_gives_the_same_windows(tmp_path: Path, name: str) -> None:
    frame = table()
    first = write(frame, tmp_path / "plain.tsv")
    other = tmp_path / name
    if other.suffix == ".parquet":
        frame.write_parquet(other)
    else:
        write(frame, other, "," if other.suffix == ".csv" else "\t")
    cards = [prepared([path], tmp_path / f"out{place}") for place, path in enumerate((first, other))]
    assert cards[0].rows == cards[1].rows
    for left, right in zip(all_rows(tmp_path / "out0"), all_rows(tmp_path / "out1"), strict=True):
        np.testing.assert_array_equal(left.sequence, right.sequence)
        np.testing.assert_allclose(left.scores, right.scores, rtol=1e-6)
        np.testing.assert_array_equal(left.label, right.label)
    assert sum(cards[0].rows.values()) == 120


def test_a_base_layers_own_columns_are_read_and_leaks_are_left_out(tmp_path: Path) -> None:
    frame = table().drop("label", *SCORES)
    chances = np.random.default_rng(1).dirichlet([1, 1, 5], 120)
    frame = frame.with_columns(
        splice_type=pl.Series([("donor", "acceptor", "")[row % 3] for row in range(120)]),
        pred_type=pl.Series(["TP"] * 120),
        context_score_m1=pl.Series([0.5] * 120),
        gene_id=pl.Series([f"g{row // 4}" for row in range(120)]),
        **{
            f"{name}_score": pl.Series(chances[:, place]) for place, name in enumerate(("donor", "acceptor", "neither"))
        },
    )
    path = write(frame, tmp_path / "analysis_sequences_chr21_chunk_1_500.tsv")
    card = prepared([path], tmp_path / "out", "splice.split.by=gene")
    assert {"pred_type", "context_score_m1"} <= set(card.facts["columns left out"][path.name])
    assert any("of the position alone" in text for text in card.warnings)
    assert card.classes["train"]["neither"] > 0
    genes = [set(part.gene.tolist()) for part in all_rows(tmp_path / "out")]
    assert not genes[0] & genes[1] and not genes[0] & genes[2] and not genes[1] & genes[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"donor_p0": ["x"] + ["0.1"] * 119},
            "line 2: column donor_p0: must be a probability from 0 to 1, but it is 'x'",
        ),
        ({"acceptor_m1": ["0.1"] * 119 + ["1.5"]}, "line 121: column acceptor_m1"),
        ({"donor_p0": [""] + ["0.1"] * 119}, "line 2: column donor_p0"),
        ({"label": ["donor"] * 60 + ["doner"] * 60}, "line 62: column label: .*'doner'; 59 more rows"),
        ({"sequence": ["ACGTE" * 20] + ["ACGTA" * 20] * 119}, "line 2: column sequence: base 5 is 'E'"),
        ({"weight": ["1"] * 119 + ["-1"]}, "line 121: column weight"),
        ({"classification": ["Normal"] * 119 + ["odd"]}, "line 121: column classification: must be one of"),
    ],
)
def test_a_cell_that_is_wrong_is_named_by_file_and_line(
    tmp_path: Path, change: dict[str, list[str]], message: str
) -> None:
    path = write(
        table().with_columns(**{name: pl.Series(values) for name, values in change.items()}), tmp_path / "t.tsv"
    )
    with pytest.raises(AnelabError, match=rf"t\.tsv: {message}"):
        prepared([path], tmp_path / "out")


def test_what_a_table_lacks_is_listed_with_what_it_has(tmp_path: Path) -> None:
    path = write(table().rename({"sequence": "seq"}), tmp_path / "t.tsv")
    with pytest.raises(
        AnelabError, match=r"has no column for sequence; it has id, label, donor_m2.*splice.data.columns"
    ):
        prepared([path], tmp_path / "out")
    assert prepared([path], tmp_path / "out", "splice.data.columns={sequence: seq}").rows["train"]
    few = write(table().drop("donor_m2"), tmp_path / "few.tsv")
    with pytest.raises(AnelabError, match="no column for donor_m2"):
        prepared([few], tmp_path / "out")
    short = tmp_path / "short.tsv"
    short.write_text("label\tsequence\nneither\tACGTACGT\nneither\n")
    with pytest.raises(AnelabError, match=r"short.tsv: line 3: has 1 cells, but line 1 names 2 columns"):
        prepared([short], tmp_path / "out")


def test_sequences_longer_and_shorter_than_the_window_keep_their_middle(tmp_path: Path) -> None:
    frame = table()
    texts = frame["sequence"].to_list()
    longer = write(frame.with_columns(sequence=pl.Series(["AC" + text + "GT" for text in texts])), tmp_path / "l.tsv")
    shorter = write(frame.with_columns(sequence=pl.Series([text[20:-20] for text in texts])), tmp_path / "s.tsv")
    for place, path in enumerate((write(frame, tmp_path / "t.tsv"), longer, shorter)):
        prepared([path], tmp_path / f"out{place}")
    same, cut, filled = (all_rows(tmp_path / f"out{place}")[0] for place in range(3))
    np.testing.assert_array_equal(same.sequence, cut.sequence)
    np.testing.assert_array_equal(same.sequence[:, 20:-20], filled.sequence[:, 20:-20])
    assert (filled.sequence[:, :20] == 0).all()


def test_classes_of_variants_are_joined_and_what_never_applies_is_said(tmp_path: Path) -> None:
    frame = table().with_columns(
        chrom=pl.Series(["chr1"] * 120),
        position=pl.Series(range(100, 220)),
        ref=pl.Series(["A"] * 120),
        alt=pl.Series(["G"] * 120),
    )
    windows = write(frame, tmp_path / "t.tsv")
    classes = tmp_path / "splicevardb.download.tsv"
    classes.write_text(
        "variant_id\thg38\tclassification\n1\t1-100-A-G\tSplice-altering\n2\t1-101-A-G\tNormal\n3\t1-999-A-G\tNormal\n"
        "4\tNA\tNormal\n"
    )
    card = prepared([windows, classes], tmp_path / "out")
    weights = np.concatenate([part.weight for part in all_rows(tmp_path / "out")])
    assert sorted(weights.tolist())[-2:] == [1.5, 2.0]
    assert card.facts["variants without a row"] == 1
    assert any("class low-frequency" in text and "never applies" in text for text in card.warnings)
    classes.write_text("hg38\tclassification\n1-100-A-G\tNon-splice-altering\n")
    with pytest.raises(AnelabError, match="line 2: the class is 'Non-splice-altering', but must be one of"):
        prepared([windows, classes], tmp_path / "out")
    classes.write_text("place\tclassification\n1-100-A-G\tNormal\n")
    with pytest.raises(AnelabError, match=r"has no column hg38, and none for chrom.*it has place, classification"):
        prepared([windows, classes], tmp_path / "out")


def genome(folder: Path) -> tuple[Path, Path]:
    """Six genes of three exons on each strand, with GT after donors and AG before acceptors."""
    rng = np.random.default_rng(3)
    sequence, lines = LETTERS[rng.integers(0, 4, 9000)].copy(), []
    for gene in range(12):
        strand, start = "+-"[gene % 2], 200 + 700 * gene
        exons = [(start, start + 99), (start + 200, start + 299), (start + 400, start + 499)]
        for (_, left), (right, _) in pairwise(exons):
            before, after = ("GT", "AG") if strand == "+" else ("CT", "AC")
            sequence[left : left + 2] = np.frombuffer(before.encode(), np.uint8)
            sequence[right - 3 : right - 1] = np.frombuffer(after.encode(), np.uint8)
        lines.append(f"c1\tx\tmRNA\t{start}\t{start + 499}\t.\t{strand}\t.\tID=t{gene};Parent=g{gene}")
        lines += [f"c1\tx\texon\t{first}\t{last}\t.\t{strand}\t.\tParent=t{gene}" for first, last in exons]
        lines.append(f"c1\tx\tCDS\t{start}\t{start + 99}\t.\t{strand}\t0\tParent=t{gene}")
    (folder / "g.fa").write_text(">c1 a contig\n" + sequence.tobytes().decode() + "\n")
    (folder / "g.gff3").write_text("##gff-version 3\n" + "\n".join(lines) + "\n")
    return folder / "g.fa", folder / "g.gff3"


def test_sites_of_an_annotation_lie_beside_their_motifs_on_both_strands(tmp_path: Path) -> None:
    card = prepared(list(genome(tmp_path)), tmp_path / "out")
    parts = all_rows(tmp_path / "out")
    label = np.concatenate([part.label for part in parts])
    sequence = np.concatenate([part.sequence for part in parts])
    assert (label == DONOR).sum() == (label == ACCEPTOR).sum() == 24
    assert all(has_motif(sequence[label == kind], kind).all() for kind in (DONOR, ACCEPTOR))
    assert all(has_motif(sequence[label == NEITHER], kind).any() for kind in (DONOR, ACCEPTOR))
    assert card.facts["base scores from"] == "pwm"
    assert card.facts["genes"] == 12


def test_a_genome_of_another_build_is_refused(tmp_path: Path) -> None:
    fasta, annotation = genome(tmp_path)
    text = fasta.read_text()
    fasta.write_text(">c1\n" + "A" * 7 + text.partition("\n")[2][:-8])
    with pytest.raises(AnelabError, match="are of different builds, or strands are wrong"):
        prepared([fasta, annotation], tmp_path / "out")
    with pytest.raises(AnelabError, match="but lacks an annotation"):
        prepared([fasta], tmp_path / "out")
    fasta.write_text(text.replace(">c1", ">chr1"))
    with pytest.raises(AnelabError, match="contigs"):
        prepared([fasta, annotation], tmp_path / "out")


def test_relatives_are_in_one_split_on_either_strand(tmp_path: Path) -> None:
    frame = table(rows=150)
    texts = frame["sequence"].to_list()
    for row in range(0, 60, 2):
        back = texts[row][::-1].translate(str.maketrans("ACGT", "TGCA"))
        texts[row + 1] = "A" * 30 + back[:71] if row % 4 else back
    path = write(frame.with_columns(sequence=pl.Series(texts)), tmp_path / "t.tsv")
    prepared([path], tmp_path / "out")
    parts = all_rows(tmp_path / "out")
    groups = homology_groups(np.concatenate([part.sequence for part in parts]))
    where = np.repeat(np.arange(3), [len(part) for part in parts])
    assert len(np.unique(groups)) == 120
    assert all(len(set(where[groups == group])) == 1 for group in np.unique(groups))


def test_chromosomes_are_held_out_and_their_relatives_belong_to_none(tmp_path: Path) -> None:
    texts = table()["sequence"].to_list()
    texts[5] = texts[100]
    frame = table().with_columns(
        chrom=pl.Series(["chr1"] * 60 + ["chr2"] * 30 + ["chr3"] * 30), sequence=pl.Series(texts)
    )
    path = write(frame, tmp_path / "t.tsv")
    by = "splice.split={by: chromosome, chromosomes: {validation: [chr2], test: ['3']}}"
    card = prepared([path], tmp_path / "out", by)
    assert card.rows == {"train": 59, "validation": 30, "test": 30}
    assert card.facts["rows left out"] == {"related to rows of another split": 1}
    with pytest.raises(AnelabError, match="has 9, but the data have 1, 2, 3"):
        prepared([path], tmp_path / "out", by.replace("'3'", "'9'"))


def test_matrices_tell_sites_from_the_rest() -> None:
    rng = np.random.default_rng(5)
    sequence = rng.integers(4, 8, (600, 61)).astype(np.uint8)
    label = np.repeat(np.array([0, 1, 2], np.int8), 200)
    sequence[:200, 31:33], sequence[200:400, 28:30] = [6, 7], [4, 6]
    found = matrix_scores(fit_matrices(sequence, label), sequence)
    np.testing.assert_allclose(found.reshape(-1, 3, 5).sum(axis=1), 1, atol=1e-5)
    center = found.reshape(-1, 3, 5)[:, :, 2]
    assert (center.argmax(axis=1) == label).mean() > 0.9


def test_scores_that_only_some_rows_have_are_refused(tmp_path: Path) -> None:
    one = write(table(), tmp_path / "a.tsv")
    other = write(table(seed=2).drop(*SCORES), tmp_path / "b.tsv")
    with pytest.raises(AnelabError, match="120 of 240 rows have no scores"):
        prepared([one, other], tmp_path / "out")
    assert prepared([other], tmp_path / "out").facts["base scores from"] == "pwm"
    with pytest.raises(AnelabError, match="source=table, but the sources have no scores"):
        prepared([other], tmp_path / "out", "splice.data.base.source=table")


def test_some_of_the_scores_are_not_enough(tmp_path: Path) -> None:
    frame = table().drop(*SCORES).with_columns(donor_score=pl.lit("0.1"), neither_score=pl.lit("0.8"))
    with pytest.raises(AnelabError, match="no column for acceptor_score"):
        prepared([write(frame, tmp_path / "t.tsv")], tmp_path / "out")


def test_quotation_marks_blank_ends_and_odd_columns_lose_no_row(tmp_path: Path) -> None:
    frame = table().with_columns(note=pl.Series(['"5 end'] + ["x"] * 60 + ['3 end"'] + ['"whole"'] * 58))
    path = tmp_path / "t.tsv"
    lines = ["\t".join(map(str, row)) for row in [frame.columns, *frame.rows()]]
    path.write_text("\r\n".join(lines) + "\r\n\r\n\n")
    assert sum(prepared([path], tmp_path / "out").rows.values()) == 120
    path.write_text("\n".join([*lines[:5], "", *lines[5:]]))
    with pytest.raises(AnelabError, match="line 6: is blank"):
        prepared([path], tmp_path / "out")
    path.write_bytes("\n".join(lines).replace("3 end", "3\u00e4 end").encode("latin-1"))
    with pytest.raises(AnelabError, match="cannot be read as text in UTF-8"):
        prepared([path], tmp_path / "out")
    path.write_text(lines[0] + "\n")
    with pytest.raises(AnelabError, match="the sources have no row"):
        prepared([path], tmp_path / "out")
    path.write_text("label\tsequence\tlabel\nneither\tACGTACGT\tdonor\n")
    with pytest.raises(AnelabError, match="more than one column label"):
        prepared([path], tmp_path / "out")
    lists = frame.with_columns(places=pl.Series([[1, 2]] * 120))
    lists.write_parquet(tmp_path / "t.parquet")
    assert sum(prepared([tmp_path / "t.parquet"], tmp_path / "out").rows.values()) == 120


def test_what_is_not_known_joins_nothing_and_is_not_taken_for_training(tmp_path: Path) -> None:
    frame = table().with_columns(group=pl.lit(""), chrom=pl.Series(["chr1"] * 60 + [""] * 30 + ["chr3"] * 30))
    path = write(frame, tmp_path / "t.tsv")
    assert prepared([path], tmp_path / "out").facts["largest group"] == 1
    by = "splice.split={by: chromosome, chromosomes: {validation: ['1'], test: ['3']}}"
    with pytest.raises(AnelabError, match="30 rows have no chromosome"):
        prepared([path], tmp_path / "out", by)


@pytest.mark.parametrize(("window", "length"), [(51, 101), (101, 50)])
def test_the_same_short_sequence_is_in_one_split(tmp_path: Path, window: int, length: int) -> None:
    texts = [text[:length] for text in table(40)["sequence"].to_list()] * 3
    path = write(table().with_columns(sequence=pl.Series(texts)), tmp_path / "t.tsv")
    near = "splice.model.encoder={near: 41}"
    assert prepared([path], tmp_path / "out", f"splice.data.window={window}", near).facts["groups"] == 40


def test_donors_with_gc_are_of_the_same_build_and_without_cds_nothing_is_called_non_coding(tmp_path: Path) -> None:
    fasta, annotation = genome(tmp_path)
    annotation.write_text(
        "\n".join(line for line in annotation.read_text().splitlines() if "\tCDS\t" not in line) + "\n"
    )
    text = list(fasta.read_text().partition("\n")[2])
    for gene in range(0, 12, 2):
        text[200 + 700 * gene + 100] = "C"
    fasta.write_text(">c1\n" + "".join(text))
    card = prepared([fasta, annotation], tmp_path / "out")
    assert card.facts["subgroups not known"] == ["non_coding"]
    flags = np.concatenate([part.flags for part in all_rows(tmp_path / "out")])
    assert (flags[:, 3] == 1).sum() == 6


def base_layer(tmp_path: Path, reverse: bool) -> tuple[Path, pl.DataFrame]:
    """Of every position of two genes a row with the scores of it alone, in any order; positions count along the strand,
    or against it."""
    rng, rows = np.random.default_rng(8), []
    for gene in ("g1", "g2"):
        letters = "".join(map(chr, LETTERS[rng.integers(0, 4, 140)]))
        for place in range(20, 80):
            chances = rng.dirichlet([1, 1, 5]).round(6).tolist()
            position = 500 - place if reverse else place
            rows.append(
                (gene, position, "-", ("donor", "", "acceptor")[place % 3], *chances, letters[place : place + 61])
            )
    columns = ["gene_id", "position", "strand", "splice_type", "donor_score", "acceptor_score", "neither_score"]
    frame = pl.DataFrame(rows, [*columns, "sequence"], orient="row")
    return write(frame.sample(fraction=1, shuffle=True, seed=1), tmp_path / f"layer{reverse}.tsv"), frame


@pytest.mark.parametrize("reverse", [False, True])
def test_scores_beside_a_position_come_from_the_rows_that_lie_there(tmp_path: Path, reverse: bool) -> None:
    path, frame = base_layer(tmp_path, reverse)
    card = prepared([path], tmp_path / "out", "splice.data.window=61", "splice.split.by=gene")
    assert card.facts["without neighbours"] == 0
    parts = all_rows(tmp_path / "out")
    scores = np.concatenate([part.scores for part in parts])
    position = np.concatenate([part.position for part in parts])
    by_donor = {round(value, 6): row for row, value in enumerate(frame["donor_score"].to_list())}
    for place, row in enumerate(scores):
        at = by_donor[round(float(row[2]), 6)]
        assert frame["position"][at] == position[place]
        for offset in (-2, -1, 1, 2):
            there = at + offset
            same = 0 <= there < len(frame) and frame["gene_id"][there] == frame["gene_id"][at]
            wanted = [frame[f"{name}_score"][there] for name in ("donor", "acceptor", "neither")] if same else [0, 0, 1]
            np.testing.assert_allclose(row.reshape(3, 5)[:, 2 + offset], wanted, atol=1e-6)


def test_scores_of_a_table_by_position_join_an_annotation(tmp_path: Path) -> None:
    fasta, annotation = genome(tmp_path)
    prepared([fasta, annotation], tmp_path / "bare")
    rows = all_rows(tmp_path / "bare")
    rng = np.random.default_rng(9)
    places = sorted({(int(p), int(s)) for part in rows for p, s in zip(part.position, part.strand, strict=True)})
    chances = rng.dirichlet([1, 1, 5], (len(places), 5)).round(6)
    columns = {name: chances[:, place % 5, place // 5] for place, name in enumerate(SCORES)}
    frame = pl.DataFrame(
        {
            "chrom": ["chrc1"] * len(places),
            "position": [position for position, _ in places],
            "strand": ["+" if strand > 0 else "-" for _, strand in places],
            **columns,
        }
    )
    card = prepared([fasta, annotation, write(frame, tmp_path / "base.tsv")], tmp_path / "out")
    assert card.facts["base scores from"] == "table"
    for part in all_rows(tmp_path / "out"):
        at = [places.index((int(p), int(s))) for p, s in zip(part.position, part.strand, strict=True)]
        np.testing.assert_allclose(part.scores.reshape(-1, 3, 5), chances[at].transpose(0, 2, 1), atol=1e-6)
    few = prepared([fasta, annotation, write(frame[:-9], tmp_path / "few.tsv")], tmp_path / "out")
    assert few.facts["rows left out"]["no scores of the base model"] >= 9
    assert any("no table has scores" in text for text in few.warnings)
    elsewhere = frame.with_columns(chrom=pl.lit("c9"))
    with pytest.raises(AnelabError, match="has scores of none of the"):
        prepared([fasta, annotation, write(elsewhere, tmp_path / "other.tsv")], tmp_path / "out")
    with pytest.raises(AnelabError, match="has scores by position, but no sequence"):
        prepared([tmp_path / "base.tsv", write(table(), tmp_path / "t.tsv")], tmp_path / "out")


def test_scores_of_single_positions_give_those_beside_it_on_either_strand(tmp_path: Path) -> None:
    fasta, annotation = genome(tmp_path)
    rng = np.random.default_rng(10)
    chances = rng.dirichlet([1, 1, 5], (2, 9001)).round(6)
    rows = [
        ("c1", position, "+-"[side], *chances[side, position].tolist())
        for side in (0, 1)
        for position in range(1, 9001)
    ]
    names = ["chrom", "position", "strand", "donor_score", "acceptor_score", "neither_score"]
    base = write(pl.DataFrame(rows, names, orient="row"), tmp_path / "base.tsv.gz")
    prepared([fasta, annotation, base], tmp_path / "out")
    for part in all_rows(tmp_path / "out"):
        for offset in range(-2, 3):
            wanted = chances[(part.strand < 0).astype(int), part.position + offset * part.strand]
            np.testing.assert_allclose(part.scores.reshape(-1, 3, 5)[:, :, 2 + offset], wanted, atol=1e-6)


def test_a_sample_is_as_large_as_asked_for_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    frame = pl.concat([table(150, seed=seed).with_columns(id=pl.lit(seed)) for seed in range(3)])
    path = write(frame, tmp_path / "t.tsv")
    card = prepared([path], tmp_path / "out", "splice.data.max_samples=200")
    assert sum(card.rows.values()) == 200
    assert card.facts["rows left out"]["more than data.max_samples"] == 250
    whole = prepared([path], tmp_path / "whole", "splice.data.max_samples=450")
    assert sum(whole.rows.values()) == 450


def test_sites_deep_in_an_intron_of_another_transcript_are_a_subgroup(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    sequence = LETTERS[rng.integers(0, 4, 4000)].copy()
    exons = {"a": [(101, 200), (2001, 2100)], "b": [(101, 200), (1001, 1080), (2001, 2100)]}
    for _, left in [exon for one in exons.values() for exon in one[:-1]]:
        sequence[left : left + 2] = np.frombuffer(b"GT", np.uint8)
    for right, _ in [exon for one in exons.values() for exon in one[1:]]:
        sequence[right - 3 : right - 1] = np.frombuffer(b"AG", np.uint8)
    lines = []
    for name, own in exons.items():
        lines.append(f"c\tx\tmRNA\t101\t2100\t.\t+\t.\tID={name};Parent=g")
        lines += [f"c\tx\texon\t{first}\t{last}\t.\t+\t.\tParent={name}" for first, last in own]
    (tmp_path / "g.gff3").write_text("\n".join(lines) + "\n")
    contigs = iter([("c", encode_bases(sequence[None, :])[0])])
    transcripts = read_transcripts(tmp_path / "g.gff3")
    found = next(windows_of(contigs, transcripts, 61, DecoyConfig(), 0, Names(), Names(), []))
    deep = {int(position) for position, flag in zip(found.position, found.flags[:, 4], strict=True) if flag == 1}
    assert deep == {1001, 1080}
    alternative = {int(position) for position, flag in zip(found.position, found.flags[:, 0], strict=True) if flag == 1}
    assert alternative == {1001, 1080}


def test_alleles_of_one_position_have_neighbours_of_their_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    letters = LETTERS[rng.integers(0, 4, 200)]
    other = letters.copy()
    other[62] = ord("A") if letters[62] != ord("A") else ord("C")
    rows = []
    for sequence, chances in ((letters, (0.9, 0.05, 0.05)), (other, (0.1, 0.1, 0.8))):
        for place in range(20, 26):
            window = sequence[place : place + 61].tobytes().decode()
            rows.append(("g", 1000 + place, "+", "", *chances, window))
    rows.append(("", 0, "", "", 0.5, 0.25, 0.25, "".join(map(chr, LETTERS[rng.integers(0, 4, 61)]))))
    names = ["gene_id", "position", "strand", "label", "donor_score", "acceptor_score", "neither_score", "sequence"]
    frame = pl.DataFrame(rows, names, orient="row")
    for seed in range(2):
        path = write(frame.sample(fraction=1, shuffle=True, seed=seed), tmp_path / f"{seed}.tsv")
        found = joined(list(TableReader(config("splice.data.window=61").data, Classifications()).read(path)))
        center = found.scores[:, 2]
        for own, beside in ((0.9, 0.9), (0.1, 0.1)):
            mine = found.scores[np.isclose(center, own)].reshape(-1, 3, 5)
            inner = found.position[np.isclose(center, own)]
            mine = mine[(inner >= 1022) & (inner <= 1023)]
            assert len(mine) == 2 and np.allclose(mine[:, 0], beside)
        alone = found.scores[np.isclose(center, 0.5)].reshape(3, 5)
        assert alone[0].tolist() == [0, 0, 0.5, 0, 0]


def test_rows_that_contradict_each_other_and_data_without_decoys_are_refused(tmp_path: Path) -> None:
    fasta, annotation = genome(tmp_path)
    prepared([fasta, annotation], tmp_path / "out")
    part = all_rows(tmp_path / "out")[0]
    place = int(part.position[0]), "+" if part.strand[0] > 0 else "-"
    names = ["chrom", "position", "strand", "donor_score", "acceptor_score", "neither_score"]
    rows = [("c1", *place, 0.1, 0.1, 0.8), ("c1", *place, 0.8, 0.1, 0.1)]
    path = write(pl.DataFrame(rows, names, orient="row"), tmp_path / "b.tsv")
    with pytest.raises(AnelabError, match=f"position {place[0]:,} has different scores in two rows"):
        prepared([fasta, annotation, path], tmp_path / "out")
    with pytest.raises(AnelabError, match="there must be sites, and positions that are none"):
        prepared([fasta, annotation], tmp_path / "out", "splice.data.decoys={motif: 0.0, random: 0.0}")
    unused = prepared([fasta, annotation, path], tmp_path / "out", "splice.data.base.source=pwm")
    assert unused.facts["base scores from"] == "pwm" and sum(unused.rows.values()) > 100


def test_what_lies_elsewhere_or_on_no_strand_is_left_out_and_said(tmp_path: Path) -> None:
    fasta, annotation = genome(tmp_path)
    more = "MT\tx\texon\t1\t50\t.\t+\t.\tParent=m\nMT\tx\texon\t90\t150\t.\t+\t.\tParent=m\n"
    more += "c1\tx\texon\t10\t50\t.\t.\t.\tParent=u\n"
    more += "c1\tx\texon\t10\t50\t.\t+\t.\tParent=t\nc1\tx\texon\t90\t99\t.\t-\t.\tParent=t\n"
    annotation.write_text(annotation.read_text() + more)
    card = prepared([fasta, annotation], tmp_path / "out")
    assert any("genes on MT are left out" in text for text in card.warnings)
    assert any("1 transcripts have no strand" in text and "two strands" in text for text in card.warnings)
    assert card.facts["genes"] == 13
