"""GFF3 and GTF to transcripts, and windows of a genome."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from anelab.errors import AnelabError
from anelab.sequences import homology
from anelab.sequences.annotation import is_annotation, read_transcripts
from anelab.sequences.genome import read_genome, reverse_complement
from anelab.sequences.homology import Relations, homology_groups

GFF3 = """##gff-version 3
c1\tx\tgene\t1\t90\t.\t+\t.\tID=g1
c1\tx\tmRNA\t1\t90\t.\t+\t.\tID=t1;Parent=g1
c1\tx\texon\t61\t90\t.\t+\t.\tParent=t1,t2
c1\tx\texon\t1\t20\t.\t+\t.\tParent=t1
c1\tx\tCDS\t5\t20\t.\t+\t0\tParent=t1
"""
GTF = (
    'c1\tx\texon\t1\t20\t.\t+\t.\tgene_id "g1"; transcript_id "t1"; note "a; b";\n'
    'c1\tx\texon\t61\t90\t.\t+\t.\tgene_id "g1"; transcript_id "t1";\n'
    'c1\tx\tCDS\t5\t20\t.\t+\t0\tgene_id "g1"; transcript_id "t1";\n'
)


@pytest.mark.parametrize("text", [GFF3, GTF, GFF3.replace("\n", "\r\n"), GTF.rstrip("\n")])
def test_both_formats_give_the_same_transcript(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.gff"
    path.write_bytes(text.encode())
    first = read_transcripts(path)[0]
    found = next(one for one in read_transcripts(path) if one.name == "t1")
    assert found.exons == ((1, 20), (61, 90)) and found.introns == ((21, 60),)
    assert (found.gene, found.strand, found.coding) == ("g1", 1, True)
    assert is_annotation(GTF.splitlines()[0]) and not is_annotation("a\tb")
    assert first.contig == "c1"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("c1\tx\texon\t30\t20\t.\t+\t.\tParent=t1", "line 7: runs from 30 to 20"),
        ("c1\tx\texon\t10\t30\t.\t+\t.\tParent=t1", "t1 has exons that overlap: 1-20 and 10-30"),
        ("c1\tx\texon\t30\t40\t.\tx\t.\tParent=t1", "the strand 'x'; it must be"),
        ("c1\tx\texon\t30\t40\t.\t+\t.\tID=e", "line 7: this exon names no transcript"),
        ("c1\tx\texon\t30", "line 7: has 4 columns"),
    ],
)
def test_what_contradicts_itself_names_the_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "a.gff3"
    path.write_text(GFF3 + line + "\n")
    with pytest.raises(AnelabError, match=message):
        read_transcripts(path)


def test_a_file_without_exons_is_refused_and_a_fasta_section_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "a.gff3"
    path.write_text("##gff-version 3\nc1\tx\tgene\t1\t90\t.\t+\t.\tID=g1\n")
    with pytest.raises(AnelabError, match="has no line `exon`"):
        read_transcripts(path)
    path.write_text(GFF3 + "##FASTA\n>c1\nACGT\n")
    assert len(read_transcripts(path)) == 2


def test_windows_of_both_strands_and_beyond_the_ends(tmp_path: Path) -> None:
    path = tmp_path / "g.fa"
    path.write_text(">c1\nACGTN\nGG\n>c2\nTTTT\n")
    genome = read_genome(path)
    windows = genome.windows("c1", np.array([1, 4, 7]), 1, 5)
    assert windows.tolist() == [[0, 0, 4, 5, 6], [5, 6, 7, 8, 6], [8, 6, 6, 0, 0]]
    back = genome.windows("c1", np.array([4]), -1, 5)
    assert back.tolist() == reverse_complement(windows[1:2]).tolist() == [[5, 8, 4, 5, 6]]
    assert list(read_genome(path, {"c2"}).contigs) == ["c2"]
    with pytest.raises(AnelabError, match="c1 has 7 bases, but position 8"):
        genome.windows("c1", np.array([8]), 1, 5)
    assert read_genome(path, {"c9"}).contigs == {}


def test_a_shared_stretch_joins_on_either_strand_and_other_letters_part() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(4, 8, (6, 100)).astype(np.uint8)
    rows[1, 10:70] = rows[0, 30:90]
    rows[2, 5:65] = reverse_complement(rows[1, 20:80])
    rows[4, 10:69] = rows[3, 10:69]
    rows[5, 10:80] = rows[3, 10:80]
    rows[5, 40] = 8
    groups = homology_groups(rows)
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups.tolist())) == 4
    assert homology_groups(rows, np.array([-1, -1, 7, 7, -1, -1]))[3] == homology_groups(rows, np.full(6, 1))[0]
    ((hashes, of),) = Relations(rows[:1])
    assert len(hashes) == 41 + 1 and (of == 0).all()
    ((hashes, _),) = Relations(rows[:, :30])
    assert len(hashes) == 2 * 6


def test_relatives_are_found_alike_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    rows = rng.integers(4, 8, (60, 90)).astype(np.uint8)
    rows[30:50, :70] = reverse_complement(rows[:20, 5:75])
    whole = homology_groups(rows)
    monkeypatch.setattr(homology, "ROWS_A_PART", 7)
    relations = Relations(rows)
    assert sum(len(hashes) for hashes, _ in relations) == 60 * 32
    parts = homology_groups(rows)
    assert len(np.unique(parts)) == len(np.unique(whole)) == 40
    np.testing.assert_array_equal(whole[:, None] == whole, parts[:, None] == parts)


def test_refseqs_parents_and_notes_in_quotation_marks(tmp_path: Path) -> None:
    path = tmp_path / "a.gff3"
    path.write_text(
        "c1\tx\tmRNA\t1\t90\t.\t+\t.\tID=rna-NM_1;Parent=gene-A;transcript_id=NM_1\n"
        'c1\tx\texon\t1\t20\t.\t+\t.\tID=e1;Parent=rna-NM_1;gene=A;transcript_id=NM_1;Note=the "best" one\n'
        "c1\tx\texon\t61\t90\t.\t+\t.\tID=e2;Parent=rna-NM_1;gene=A;transcript_id=NM_1\n"
        "c1\tx\tCDS\t5\t20\t.\t+\t0\tID=c;Parent=rna-NM_1;gene=A\n"
    )
    (found,) = read_transcripts(path)
    assert (found.name, found.gene, found.coding, len(found.introns)) == ("rna-NM_1", "gene-A", True, 1)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("c1\tx\texon\t30\t40\t.\t-\t.\tParent=odd", "transcripts are on two strands or contigs"),
        ("c1\tx\texon\t30\t40\t.\t.\t.\tParent=odd", "transcripts have no strand"),
    ],
)
def test_transcripts_without_one_strand_are_left_out_and_counted(tmp_path: Path, line: str, reason: str) -> None:
    path, left = tmp_path / "a.gff3", Counter[str]()
    path.write_text("c1\tx\texon\t1\t9\t.\t+\t.\tParent=odd\nc1\tx\texon\t1\t9\t.\t+\t.\tParent=t\n" + line + "\n")
    assert [one.name for one in read_transcripts(path, left)] == ["t"]
    assert left == {reason: 1}
