import gzip
from pathlib import Path

import dnaio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anelab.errors import AnelabError
from anelab.workloads.read_quality import fastq
from anelab.workloads.read_quality.fastq import PAD_BASE, PAD_QUALITY, WIDTH, FastqError, read_fastq

record = st.integers(0, 200).flatmap(
    lambda size: st.tuples(
        st.text("abcxyz_.0123456789", min_size=1, max_size=20),
        st.text("ACGTN", min_size=size, max_size=size),
        st.text("!#5I~@+", min_size=size, max_size=size),
    )
)


def write(path: Path, records: list[tuple[str, str, str]], newline: str = "\n", last: str = "\n") -> Path:
    text = newline.join(
        f"@{name} extra{newline}{bases}{newline}+{newline}{quality}" for name, bases, quality in records
    )
    path.write_bytes((text + last).encode())
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(record, min_size=1, max_size=12), st.sampled_from([64, 500, 1 << 20]), st.booleans())
def test_reads_as_dnaio_does_whatever_the_block_size(
    tmp_path: Path, records: list[tuple[str, str, str]], block: int, crlf: bool
) -> None:
    path = write(tmp_path / "reads.fq", records, "\r\n" if crlf else "\n")
    before, fastq.BLOCK_BYTES = fastq.BLOCK_BYTES, block
    try:
        reads = read_fastq(path)
    finally:
        fastq.BLOCK_BYTES = before
    with dnaio.open(path) as expected:
        theirs = list(expected)
    assert len(reads) == len(theirs)
    for row, other in enumerate(theirs):
        size = min(len(other.sequence), WIDTH)
        assert reads.names[row] == other.id
        assert reads.lengths[row] == len(other.sequence)
        assert reads.bases[row, :size].tobytes().decode() == other.sequence[:WIDTH]
        assert reads.qualities[row, :size].tobytes().decode() == other.qualities[:WIDTH]
        assert (reads.bases[row, size:] == PAD_BASE).all()
        assert (reads.qualities[row, size:] == PAD_QUALITY).all()


GOOD = "@r1\nACGT\n+\nIIII\n"


@pytest.mark.parametrize(
    ("text", "record_number", "line", "problem"),
    [
        (GOOD + ">r2\nACGT\n+\nIIII\n", 2, 5, "must start with '@'"),
        (GOOD + "@r2\nACGT\nACGT\nIIII\n", 2, 7, "multi-line FASTQ is not read"),
        (GOOD + "@r2\nACGT\n+\nIII\n", 2, 8, "differ in length: 4 and 3"),
        (GOOD + "@r2\nACGT\n+\n", 2, 7, "ends inside a record"),
        (GOOD + "@r2\nAC\0T\n+\nIIII\n", 2, 6, "base 3 is character 0, which is no letter"),
        (GOOD + "@r2\nAC T\n+\nIIII\n", 2, 6, "base 3 is character 32, which is no letter"),
        (GOOD + "\n\n\n\n" + GOOD, 2, 5, "must start with '@'"),
        (GOOD * 3 + "@r2\nAC", 4, 14, "ends inside a record"),
    ],
)
def test_a_broken_record_is_named(text: str, record_number: int, line: int, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "reads.fq"
    path.write_text(text)
    with pytest.raises(FastqError) as caught:
        read_fastq(path)
    assert str(caught.value).startswith(f"{path}: record {record_number}, line {line}: ")
    assert problem in str(caught.value)


def test_a_cut_gzip_an_empty_and_an_absent_file_are_refused(tmp_path: Path) -> None:
    whole = gzip.compress(("@r\n" + "ACGT" * 20 + "\n+\n" + "I" * 80 + "\n").encode() * 5000)
    cut = tmp_path / "cut.fastq.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AnelabError, match=r"cut\.fastq\.gz: the gzip stream is damaged or cut short"):
        read_fastq(cut)
    (tmp_path / "empty.fq").write_bytes(b"")
    with pytest.raises(AnelabError, match="holds no reads"):
        read_fastq(tmp_path / "empty.fq")
    with pytest.raises(AnelabError, match="cannot be read"):
        read_fastq(tmp_path / "absent.fq")


def test_gzip_is_known_by_content_and_max_records_stops_early(tmp_path: Path) -> None:
    path = tmp_path / "named_plain.fq"
    path.write_bytes(gzip.compress((GOOD * 10).encode()))
    assert len(read_fastq(path)) == 10
    assert len(read_fastq(path, 3)) == 3


def test_every_broken_file_of_biopython_is_refused_or_its_fault_is_left_to_later(real_data: Path) -> None:
    """What four-line structure can show is refused here; characters and ids are checked elsewhere."""
    structural = [
        path
        for path in sorted((real_data / "fastq_odd" / "biopython_quality").glob("error_*.fastq"))
        if any(part in path.name for part in ("trunc", "double", "long_qual", "short_qual", "no_qual"))
    ]
    assert len(structural) >= 10
    for path in structural:
        with pytest.raises(AnelabError):
            read_fastq(path)


def test_real_reads_are_those_that_dnaio_reads(real_data: Path) -> None:
    path = real_data / "fastq" / "ERR127302" / "ERR127302_1_subset.fastq.gz"
    reads = read_fastq(path)
    with dnaio.open(path) as expected:
        theirs = list(expected)
    assert len(reads) == len(theirs) == 20000
    joined = np.frombuffer("".join(read.sequence for read in theirs).encode(), np.uint8).reshape(20000, -1)
    assert (reads.bases[:, : joined.shape[1]] == joined).all()


@pytest.mark.parametrize("blank", range(7))
def test_blank_lines_at_the_end_are_nothing(blank: int, tmp_path: Path) -> None:
    path = tmp_path / "reads.fq"
    path.write_text(GOOD * 2 + "\n" * blank)
    assert len(read_fastq(path)) == 2


def test_a_header_without_a_name_is_a_read_without_a_name(tmp_path: Path) -> None:
    path = tmp_path / "reads.fq"
    path.write_text("@ \nACGT\n+\nIIII\n@\nAC\n+\nII\n")
    assert read_fastq(path).names == ["", ""]
