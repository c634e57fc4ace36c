import gzip
import tracemalloc
from pathlib import Path

import dnaio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anelab.errors import AnelabError
from anelab.sequences import fastq, streams
from anelab.sequences.fastq import Block, FastqError, read_blocks
from anelab.sequences.nucleotides import CODES, PAD_CODE
from anelab.workloads.read_quality.encode import WIDTH, read_reads
from tests.sequences.made_fastq import write

record = st.integers(0, 200).flatmap(
    lambda size: st.tuples(
        st.text("abcxyz_.0123456789", min_size=1, max_size=20).map(lambda name: f"{name} extra"),
        st.text("ACGTN", min_size=size, max_size=size),
        st.text("!#5I~@+", min_size=size, max_size=size),
    )
)


def names(blocks: list[Block]) -> list[str]:
    return [name for block in blocks for name in block.names()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(record, min_size=1, max_size=12), st.sampled_from([64, 500, 1 << 20]), st.booleans(), st.booleans())
def test_reads_as_dnaio_does_whatever_the_block_size(
    tmp_path: Path, records: list[tuple[str, str, str]], block: int, crlf: bool, repeat: bool
) -> None:
    path = write(tmp_path / "reads.fq", records, "\r\n" if crlf else "\n", repeat=repeat)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "BLOCK_BYTES", block)
        patch.setattr(streams, "LEAST_BYTES", 1)
        patch.setattr(streams, "READ_BYTES", block)
        reads = list(read_reads(path, 33, "--phred "))
    with dnaio.open(path) as expected:
        theirs = list(expected)
    raw = np.concatenate([part.raw for part in reads])
    assert len(raw) == len(theirs)
    assert names([part.block for part in reads]) == [other.id for other in theirs]
    for row, other in enumerate(theirs):
        size = min(len(other.sequence), WIDTH)
        assert raw[row, :size].tobytes() == other.sequence[:WIDTH].encode().translate(CODES)
        assert (raw[row, WIDTH : WIDTH + size] + 33).tobytes().decode() == other.qualities[:WIDTH]
        assert (raw[row, size:WIDTH] == PAD_CODE).all()
        assert (raw[row, WIDTH + size :] == 20).all()
    assert [int(size) for part in reads for size in part.block.lengths] == [len(other.sequence) for other in theirs]


GOOD = "@r1\nACGT\n+\nIIII\n"


@pytest.mark.parametrize(
    ("text", "record_number", "line", "problem"),
    [
        (GOOD + "r2\nACGT\n+\nIIII\n", 2, 5, "must start with '@'"),
        (GOOD + ">r2\nACGT\n+\nIIII\n", 2, 5, "this is FASTA, which has no qualities"),
        (">r2\nACGT\n", 1, 1, "this is FASTA"),
        (GOOD + "@r2\nACGT\nACGT\nIIII\n", 2, 7, "multi-line FASTQ is not read; `seqtk seq -l0` joins its lines"),
        (GOOD + "@r2\nACGTAC\n+\nIII\nIII\n", 2, 8, "6 and 3; the quality goes on in the next line"),
        (GOOD + "@r2\nACGT\n+\nIII\n", 2, 8, "differ in length: 4 and 3"),
        (GOOD + "@r2\nACGT\n+r3\nIIII\n", 2, 7, "'+r3' repeats another header than '@r2'"),
        (GOOD + "@r2\nACGT\n+\n", 2, 7, "ends inside a record"),
        (GOOD + "@r2\nAC\0T\n+\nIIII\n", 2, 6, "base 3 is character 0, no nucleotide code"),
        (GOOD + "@r2\nAC T\n+\nIIII\n", 2, 6, "base 3 is character 32, no nucleotide code"),
        (GOOD + "@r2\nT0123\n+\nIIIII\n", 2, 6, "base 2 is '0', digits, as of colour space (SOLiD)"),
        (GOOD + "@r2\nMKLV\n+\nIIII\n", 2, 6, "base 3 is 'L', a letter of proteins"),
        (GOOD + "@r2\nAC-T\n+\nIIII\n", 2, 6, "base 3 is '-', no nucleotide code; allowed are ACGTU"),
        (GOOD + "@r2\n" + "A" * 200 + "!" + "\n+\n" + "I" * 201 + "\n", 2, 6, "base 201 is '!'"),
        (GOOD + "\n\n\n\n" + GOOD, 2, 5, "must start with '@'"),
        (GOOD * 3 + "@r2\nAC", 4, 14, "ends inside a record"),
        (GOOD.replace("\n", "\r") * 3, 1, 1, "its lines end in CR only"),
        (GOOD + "@r2\nACGT\n+\nII I\n", 2, 8, "quality character 32 is outside 33 to 126"),
        (GOOD + "@r2\n" + "A" * 160 + "\n+\n" + "I" * 159 + "\x7f\n", 2, 8, "quality character 127"),
    ],
)
def test_a_broken_record_is_named(text: str, record_number: int, line: int, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "reads.fq"
    path.write_text(text, newline="")
    with pytest.raises(FastqError) as caught:
        list(read_reads(path, 33, "--phred "))
    assert str(caught.value).startswith(f"{path}: record {record_number}, line {line}: ")
    assert problem in str(caught.value)


def test_the_first_fault_of_a_file_is_the_one_that_is_told(tmp_path: Path) -> None:
    path = tmp_path / "reads.fq"
    path.write_text(GOOD + "@r2\nAC!T\n+\nIIII\n" + "@r3\nACGT\n+\nII\n")
    with pytest.raises(FastqError, match="record 2, line 6"):
        list(read_blocks(path))


@pytest.mark.parametrize("start", streams.OTHER_FORMATS)
def test_other_formats_are_called_by_their_names(start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "r.fq"
    path.write_bytes(start + bytes(200))
    with pytest.raises(FastqError, match=r"r\.fq: record 1, line 1: this is (BAM|CRAM|SAM|a zip archive|HDF5)"):
        list(read_blocks(path))
    path.write_bytes(gzip.compress(start + bytes(200), mtime=0))
    with pytest.raises(FastqError, match="this is"):
        list(read_blocks(path))


def test_every_letter_has_its_code(tmp_path: Path) -> None:
    letters = "ACGTUacgtuNRYSWKMBDHVnryswkmbdhv."
    path = write(tmp_path / "reads.fq", [("r", letters, "I" * len(letters))])
    (block,) = read_blocks(path)
    known = dict(zip("ACGTU", (4, 5, 6, 7, 7), strict=True))
    assert block.codes[0, : len(letters)].tolist() == [known.get(letter.upper(), 8) for letter in letters]


@pytest.mark.parametrize("others", [0, 1, 40])
def test_codes_by_arithmetic_are_those_of_the_table(others: int, tmp_path: Path) -> None:
    """In blocks of A, C, G and T alone, and where some reads have other letters or are short."""
    rng = np.random.default_rng(others)
    reads = ["".join(rng.choice(list("ACGT"), WIDTH + 10)) for _ in range(50)]
    for row in rng.permutation(50)[:others].tolist():
        reads[row] = "".join(rng.choice(list("acgtuNRY.ACGT"), int(rng.integers(1, WIDTH + 10))))
    path = write(tmp_path / "r.fq", [(f"r{n}", read, "I" * len(read)) for n, read in enumerate(reads)])
    (block,) = read_blocks(path)
    expected = [read[:WIDTH].encode().translate(CODES).ljust(WIDTH, b"\0") for read in reads]
    assert block.codes.tobytes() == b"".join(expected)


def test_a_header_may_be_repeated_whole_or_by_its_first_word(tmp_path: Path) -> None:
    path = tmp_path / "reads.fq"
    path.write_text("@r1 more\nAC\n+r1 more\nII\n@r2 more\nAC\n+r2\nII\n@r3\nAC\n+\nII\n")
    assert names(list(read_blocks(path))) == ["r1", "r2", "r3"]


def test_an_empty_file_has_no_reads_and_empty_reads_are_reads(tmp_path: Path) -> None:
    path = tmp_path / "reads.fq"
    path.write_text("")
    assert list(read_blocks(path)) == []
    path.write_text("@r1\n\n+\n\n" * 3)
    (reads,) = read_reads(path, "auto", "--phred ")
    assert reads.block.lengths.tolist() == [0, 0, 0]


def test_as_many_as_are_asked_for_and_as_many_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BLOCK_BYTES", 50)
    monkeypatch.setattr(streams, "LEAST_BYTES", 1)
    monkeypatch.setattr(streams, "READ_BYTES", 50)
    path = write(tmp_path / "reads.fq", [(f"r{number}", "ACGT", "IIII") for number in range(11)])
    assert len(names(list(read_blocks(path, 3)))) == 3
    assert len(names(list(read_blocks(path)))) == 11
    with pytest.raises(FastqError, match=r"record 11, line 41: the file ends before its mate"):
        list(read_blocks(path, together=2))
    assert all(len(block) % 2 == 0 for block in read_blocks(path, 10, together=2))


def test_a_header_without_measure_is_refused_before_memory_is_full(tmp_path: Path) -> None:
    path = tmp_path / "reads.fq"
    path.write_text(GOOD * 1000 + "@" + "x" * 400_000 + "\nA\n+\nI\n")
    with pytest.raises(FastqError, match="record 1001, line 4001: a name of 400,000 bytes is longer than 4,096"):
        list(read_blocks(path))
    path.write_text(GOOD * 1000 + "@r " + "x" * (1 << 20) + "\nA\n+\nI\n")
    with pytest.raises(FastqError, match="record 1001, line 4001: a header of 1,048,579 bytes is longer than 1,048,57"):
        list(read_blocks(path))


@pytest.mark.parametrize("repeat", [False, True])
def test_one_long_header_costs_its_own_length_only(repeat: bool, tmp_path: Path) -> None:
    """As long as nanopore's tags make it, among so many reads that rows of its length would be 10 GB."""
    tags = "MM:Z:C+m?," + "7,0,6," * 120_000
    reads = [(f"r{number}\tqs:f:14", "ACGT", "!III") for number in range(14_000)]
    path = write(tmp_path / "r.fq", [*reads, (f"{'n' * 300}\t{tags}", "ACGT", "!III")], repeat=repeat)
    tracemalloc.start()
    found = [part.block for part in read_reads(path, "auto", "--phred ")]
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert names(found) == [f"r{number}" for number in range(14_000)] + ["n" * 300]
    assert size < 100 << 20


def test_what_is_not_asked_for_is_not_judged(tmp_path: Path) -> None:
    path = tmp_path / "reads.fq"
    path.write_text(GOOD * 10 + "@bad\nAC!T\n+\nIIII\n")
    assert len(names(list(read_blocks(path, 10)))) == 10


def test_a_line_without_end_is_refused_before_memory_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastq, "MOST_BYTES", 1 << 20)
    path = tmp_path / "endless.fq"
    path.write_bytes(b"@r1\n" + b"A" * (8 << 20))
    with pytest.raises(FastqError, match="record 1, line 1: is longer than 1,048,576 bytes; this is not FASTQ"):
        list(read_blocks(path))


READ = {  # of biopython_quality: how many reads, at which offset; all others are refused
    "example.fastq": (3, 33), "example.fastq.bgz": (3, 33), "example.fastq.gz": (3, 33), "example_dos.fastq": (3, 33),
    "example_dos.fastq.bgz": (3, 33), "illumina_faked.fastq": (1, 64), "illumina_full_range_as_sanger.fastq": (2, 33),
    "longreads_as_illumina.fastq": (10, 64), "longreads_as_sanger.fastq": (10, 33),
    "misc_dna_as_illumina.fastq": (4, 64), "misc_dna_as_sanger.fastq": (4, 33),
    "misc_dna_original_sanger.fastq": (4, 33), "misc_rna_as_illumina.fastq": (4, 64),
    "misc_rna_as_sanger.fastq": (4, 33), "misc_rna_original_sanger.fastq": (4, 33), "sanger_93.fastq": (1, 33),
    "sanger_faked.fastq": (1, 33), "sanger_full_range_as_sanger.fastq": (2, 33),
    "sanger_full_range_original_sanger.fastq": (2, 33), "solexa_full_range_as_sanger.fastq": (2, 33),
    "wrapping_as_sanger.fastq": (3, 33), "zero_length.fastq": (5, 33),
}  # fmt: skip


def test_all_of_biopythons_files_are_read_or_refused_with_the_reason(real_data: Path) -> None:
    files = sorted((real_data / "fastq_odd" / "biopython_quality").iterdir())
    assert len(files) >= 64
    for path in files:
        if path.name in READ:
            reads = list(read_reads(path, "auto", "--phred "))
            assert (sum(map(len, reads)), reads[0].offset) == READ[path.name], path.name
        else:
            with pytest.raises(AnelabError) as caught:
                list(read_reads(path, "auto", "--phred "))
            told = str(caught.value)
            assert (
                ": record " in told if path.name.startswith("error_") else "record" in told or "--phred 33" in told
            ), path.name


def test_real_reads_are_those_that_dnaio_reads(real_data: Path) -> None:
    path = real_data / "fastq" / "ERR127302" / "ERR127302_1_subset.fastq.gz"
    raw = np.concatenate([reads.raw for reads in read_reads(path, "auto", "--phred ")])
    with dnaio.open(path) as expected:
        theirs = list(expected)
    assert len(raw) == len(theirs) == 20000
    joined = np.frombuffer("".join(read.sequence for read in theirs).encode().translate(CODES), np.uint8)
    assert (raw[:, :72] == joined.reshape(20000, -1)).all()


@pytest.mark.parametrize("blank", range(7))
def test_blank_lines_at_the_end_are_nothing(blank: int, tmp_path: Path) -> None:
    path = tmp_path / "reads.fq"
    path.write_text(GOOD * 2 + "\n" * blank)
    assert len(names(list(read_blocks(path)))) == 2


def test_a_header_without_a_name_is_a_read_without_a_name(tmp_path: Path) -> None:
    path = tmp_path / "reads.fq"
    path.write_text("@ \nACGT\n+\nIIII\n@\nAC\n+\nII\n")
    assert names(list(read_blocks(path))) == ["", ""]
