"""FASTA: every letter of every record, in pieces or whole, or an error that says where."""

import gzip
import tracemalloc
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anelab.errors import AnelabError
from anelab.sequences import streams
from anelab.sequences.fasta import FastaError, Piece, read_pieces, read_records

LETTERS = "ACGTURYSWKMBDHVN"

made_record = st.tuples(
    st.text("abcXYZ>019._|;@", min_size=1, max_size=12),
    st.text("ab >\t;@é", max_size=10),
    st.text(LETTERS + LETTERS.lower(), min_size=1, max_size=90),
)


def naive(text: str) -> list[tuple[str, str, str]]:
    """Name, description and sequence of each record, line by line."""
    found: list[tuple[str, str, str]] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.startswith(">"):
            name, *more = line[1:].split(None, 1)
            found.append((name, more[0].rstrip() if more else "", ""))
        elif found:
            found[-1] = (*found[-1][:2], found[-1][2] + line)
    return found


def small_blocks(patch: pytest.MonkeyPatch, size: int) -> None:
    for name in ("BLOCK_BYTES", "READ_BYTES", "LEAST_BYTES"):
        patch.setattr(streams, name, size)


def whole(path: Path, soft_masked: bool = False) -> list[tuple[str, str, str]]:
    found = read_records(path, soft_masked=soft_masked)
    return [(record.name, record.description, record.sequence.tobytes().decode()) for record in found]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(made_record, min_size=1, max_size=8),
    st.integers(1, 100),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\n", "\n\n\n"]),
    st.booleans(),
    st.integers(1, 40),
)
def test_it_reads_what_a_naive_parser_reads_whatever_the_blocks(
    tmp_path: Path,
    records: list[tuple[str, str, str]],
    width: int,
    newline: str,
    end: str,
    soft_masked: bool,
    block: int,
) -> None:
    lines = []
    for name, description, sequence in records:
        lines += [f">{name} {description}", *(sequence[at : at + width] for at in range(0, len(sequence), width))]
        lines += [""] * (len(sequence) % 3 == 0)
    text = "\n".join(lines).rstrip("\n") + end
    path = tmp_path / "x.fa"
    path.write_bytes(text.replace("\n", newline).encode())
    expected = [(name, more, letters if soft_masked else letters.upper()) for name, more, letters in naive(text)]
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch, block)
        assert whole(path, soft_masked) == expected


GOOD = ">a x\nACGT\n"


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("text", "record", "line", "problem"),
    [
        (GOOD + ">b\nACGT\nMKLV\n", 2, 5, "base 7 is 'L', a letter of proteins: no nucleotide code; allowed are ACGT"),
        (GOOD + ">b\nAC-T\n", 2, 4, "base 3 is '-', a gap of an alignment; take gaps out first"),
        (GOOD + ">b\nAC.T\n", 2, 4, "base 3 is '.', a gap"),
        (GOOD + ">b\nACT*\n", 2, 4, "base 4 is '*', the stop of a protein"),
        (GOOD + ">b\nAC T\n", 2, 4, "base 3 is character 32"),
        (GOOD + ">b\nAC\0T\n", 2, 4, "base 3 is character 0"),
        (GOOD + ">b\r\nACGT\r\nAC\x1bT\r\n", 2, 5, "base 7 is character 27"),
        (GOOD + ">b\nACGT\rACGT\n", 2, 4, "base 5 is character 13"),
        (GOOD + ">b\nACGT>c\nAC\n", 2, 4, "base 5 is '>'"),
        (GOOD + ">b\n0123\n", 2, 4, "digits, as of colour space"),
        (GOOD + ">b\n>c\nAC\n", 2, 3, "b has no sequence"),
        (GOOD + ">b\n\n\n", 2, 3, "b has no sequence"),
        (GOOD + "\n>b", 2, 4, "b has no sequence"),
        (GOOD + ">\nACGT\n", 2, 3, "the header has no name"),
        (GOOD + "> \t\nACGT\n", 2, 3, "the header has no name"),
        (GOOD + ">b\x07\nACGT\n", 2, 3, "the header has the control character 7"),
        (GOOD + ";old\nACGT\n", 1, 3, "a line of comment; take such lines out"),
        ("; old\n" + GOOD, 1, 1, "a line of comment"),
        ("\n\nACGT\n" + GOOD, 1, 3, "FASTA begins with '>'; text before the first record is not read"),
        ("@r\nACGT\n+\nIIII\n", 1, 1, "this is FASTQ; `seqtk seq -a` writes it as FASTA"),
        (">a\rACGT\r>b\rAC\r", 1, 1, "the header has the control character 13"),
    ],
)
def test_what_is_no_fasta_of_nucleotides_is_named(
    text: str, record: int, line: int, problem: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_blocks(monkeypatch, block)
    path = tmp_path / "x.fa"
    path.write_text(text, newline="")
    with pytest.raises(FastaError) as caught:
        list(read_records(path))
    assert str(caught.value).startswith(f"{path}: record {record}, line {line}: ")
    assert problem in str(caught.value)


def test_names_are_unique_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x.fa"
    path.write_text(">a one\nAC\n>b\nGT\n>a two\nTT\n")
    assert [name for name, _, _ in whole(path)] == ["a", "b", "a"]
    with pytest.raises(FastaError, match="record 3, line 5: the name a is that of record 1 too; names must be unique"):
        list(read_records(path, unique_names=True))


def test_other_formats_and_what_is_still_compressed_are_called_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "x.fa.gz"
    path.write_bytes(gzip.compress(gzip.compress(GOOD.encode())))
    with pytest.raises(FastaError, match=r"x\.fa\.gz: record 1, line 1: this is still compressed \(gzip inside"):
        list(read_records(path))
    path.write_bytes(b"BAM\1" + bytes(100))
    with pytest.raises(FastaError, match="this is BAM"):
        list(read_records(path))
    path.write_bytes(gzip.compress(GOOD.encode() * 1000)[:-9])
    with pytest.raises(AnelabError, match="the gzip stream is cut short"):
        list(read_records(path))


def test_an_empty_file_has_no_records_and_blank_lines_before_the_first_are_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.fa"
    path.write_text("")
    assert whole(path) == []
    path.write_text("\n\r\n" + GOOD, newline="")
    assert whole(path) == [("a", "x", "ACGT")]


def test_a_header_without_end_is_refused_before_memory_is_full(tmp_path: Path) -> None:
    path = tmp_path / "x.fa"
    path.write_bytes(GOOD.encode() + b">" + b"x" * (40 << 20))
    with pytest.raises(FastaError, match=r"record 2, line 3: a header of .* is longer than 1,048,576: no FASTA"):
        list(read_records(path))
    path.write_bytes(b">" + b"x" * (1 << 20) + b"\nACGT\n")
    assert [len(name) for name, _, _ in whole(path)] == [1 << 20]
    path.write_bytes(b">" + b"x" * (1 << 20) + b"x\nACGT\n")
    with pytest.raises(FastaError, match="a header of 1,048,577 bytes"):
        whole(path)


@pytest.mark.parametrize("width", [60, 1 << 30])
def test_memory_does_not_grow_with_the_record(width: int, tmp_path: Path) -> None:
    size, path = 40_000_000, tmp_path / "one.fa"
    bases = np.frombuffer(b"ACGTacgtN", np.uint8)[np.random.default_rng(0).integers(0, 9, size, np.uint8)]
    with path.open("wb") as out:
        out.write(b">chr1 one record\n")
        for start in range(0, size, min(width, size)):
            out.write(bases[start : start + width].tobytes() + b"\n")
    tracemalloc.start()
    count = 0
    for piece in read_pieces(path, overlap=1000):
        first = piece.start + (1000 if piece.start else 0)
        assert count in (piece.start, first)
        count = piece.start + len(piece.sequence)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == size
    assert peak < 32 << 20


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.text("ACGTN", min_size=1, max_size=200), min_size=1, max_size=5), st.integers(1, 30), st.integers(2, 50)
)
def test_every_window_lies_whole_in_a_piece(tmp_path: Path, sequences: list[str], overlap: int, block: int) -> None:
    path = tmp_path / "x.fa"
    path.write_text("".join(f">r{n}\n{text}\n" for n, text in enumerate(sequences)))
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch, block)
        pieces = [list(some) for _, some in groupby(read_pieces(path, overlap), key=lambda piece: piece.number)]
    for number, (text, parts) in enumerate(zip(sequences, pieces, strict=True), start=1):
        assert {part.number for part in parts} == {number}
        assert all(part.sequence.tobytes().decode() == text[part.start :][: len(part.sequence)] for part in parts)
        width = min(overlap + 1, len(text))
        for start in range(len(text) - width + 1):
            assert any(holds(part, start, width) for part in parts)


def holds(part: Piece, start: int, width: int) -> bool:
    return part.start <= start and start + width <= part.start + len(part.sequence)


def test_real_records_are_all_read(real_data: Path) -> None:
    folder = real_data / "edna" / "mitofish_12S"
    records = list(read_records(folder / "12S-seqs-derep-uniq.fasta.gz", unique_names=True))
    sizes = [len(record.sequence) for record in records]
    assert (len(records), min(sizes), max(sizes), float(np.median(sizes))) == (38_350, 52, 9_583, 554.5)
    assert len({record.sequence.tobytes() for record in records}) == 35_826
    table = gzip.decompress((folder / "12S-tax-derep-uniq.tsv.gz").read_bytes()).decode().splitlines()[1:]
    assert {record.name for record in records} == {line.split("\t")[0] for line in table}
    worm = list(read_records(real_data / "splice" / "korflab_ce" / "ce.1pct.fa.gz"))
    names = ["I", "II", "III", "IV", "V", "X", "MtDNA"]
    sizes = [150_724, 152_794, 137_838, 174_938, 209_241, 177_189, 137]  # one fewer than the descriptions say
    found = [(record.name, record.description, len(record.sequence)) for record in worm]
    assert found == [(name, f"1..{size + 1}", size) for name, size in zip(names, sizes, strict=True)]
