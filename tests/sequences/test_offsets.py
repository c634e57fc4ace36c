"""Which offset qualities have: what is impossible is not asked, what fits two scales is."""

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anelab.errors import AnelabError
from anelab.sequences.fastq import read_blocks
from anelab.sequences.offsets import span_of
from anelab.sequences.phred import read_reads
from tests.sequences.made_fastq import write

SIZE = 80


def made(tmp_path: Path, qualities: list[str]) -> Path:
    return write(tmp_path / "r.fq", [(f"r{n}", "A" * len(text), text) for n, text in enumerate(qualities)])


def at_random(lowest: int, highest: int, count: int = 400, seed: int = 0) -> list[str]:
    """Characters from `lowest` to `highest`, both of which occur."""
    rows = np.random.default_rng(seed).integers(lowest, highest + 1, (count, SIZE)).astype(np.uint8)
    rows[0, :2] = lowest, highest
    return [row.tobytes().decode() for row in rows]


def with_bad_ends(lowest: int, highest: int) -> list[str]:
    """As Illumina 1.5 writes them: every fifth read ends in `B`."""
    return [text[:50] + "B" * 30 if row % 5 == 0 else text for row, text in enumerate(at_random(lowest, highest))]


def merged(starts: int = 12) -> list[str]:
    """Both ends at Q33, as MiSeq begins its reads, and sums of qualities between them."""
    return ["B" * starts + text + "B" * starts for text in at_random(66, 105)]


@pytest.mark.parametrize(
    ("qualities", "offset"),
    [
        (["?" * SIZE] * 400, 33),  # SRA Lite has nothing else
        (at_random(63, 79), 33),
        (at_random(59, 79), 33),
        (at_random(35, 73), 33),
        (at_random(33, 126), 33),
        (at_random(58, 104), 33),
        (at_random(64, 104), 64),
        (at_random(69, 104), 64),
        (with_bad_ends(66, 105), 64),
        (with_bad_ends(66, 98), 64),
    ],
)
def test_what_only_one_offset_has_is_not_asked(qualities: list[str], offset: int, tmp_path: Path) -> None:
    assert {part.offset for part in read_reads(made(tmp_path, qualities), "auto", "--phred ")} == {offset}


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(0, 3))
def test_what_is_found_does_not_depend_on_the_blocks(sizes: list[int], seed: int) -> None:
    """Low reads among high ones, runs of `B` in both."""
    reads = [*with_bad_ends(66, 79)[:100], *with_bad_ends(66, 98)[seed * 50 : seed * 50 + 100], *merged()[:100]]
    with tempfile.TemporaryDirectory() as folder:
        (whole,) = read_blocks(made(Path(folder), reads))
    bounds = [0, *np.cumsum(sizes).clip(max=len(reads)).tolist(), len(reads)]
    parts = [whole.take(slice(start, stop)) for start, stop in pairwise(bounds) if stop > start]
    assert span_of(parts, len(reads)) == span_of([whole], len(reads))


@pytest.mark.parametrize(
    ("qualities", "problem"),
    [
        (at_random(64, 93), "at 33 they are Q31 to Q60, as of merged reads; at 64 Q0 to Q29"),
        (at_random(66, 105), "at 33 they are Q33 to Q72"),
        (at_random(70, 104), "at 33 they are Q37 to Q71"),
        (merged(), "at 33 they are Q33 to Q72"),
        (merged(15), "at 33 they are Q33 to Q72"),
        (at_random(64, 126), "at 64 Q0 to Q62"),
        (["I" * SIZE] * 400, "span 73 to 73, which may be offset 33 or 64"),
        (at_random(64, 79), "may be offset 33 or 64"),
        ([*at_random(69, 103), "h" * 10], "may be offset 33 or 64"),  # one base in 3,000 is no cap
    ],
)
def test_what_both_offsets_have_is_asked(qualities: list[str], problem: str, tmp_path: Path) -> None:
    path = made(tmp_path, qualities)
    with pytest.raises(AnelabError, match=r"r\.fq: .*say which: --phred 33 or --phred 64") as caught:
        list(read_reads(path, "auto", "--phred "))
    assert problem in str(caught.value)
    assert {part.offset for part in read_reads(path, 33, "--phred ")} == {33}
    assert {part.offset for part in read_reads(path, 64, "--phred ")} == {64}


def test_solexa_and_33_are_told_apart_by_the_user_and_64_is_not_offered(tmp_path: Path) -> None:
    path = made(tmp_path, at_random(59, 104))
    with pytest.raises(AnelabError, match=r"offset 33 \(Q26 to Q71\) or Solexa's scale") as caught:
        list(read_reads(path, "auto", "-S read_quality.data.phred="))
    assert "set -S read_quality.data.phred=33" in str(caught.value)
    assert "phred=64" not in str(caught.value)


def test_real_libraries_are_read_at_the_offset_they_have(real_data: Path) -> None:
    files = sorted((real_data / "fastq").glob("*/*"))
    found = {path: {part.offset for part in read_reads(path, "auto", "--phred ")} for path in files}
    at_64 = {path.parent.name for path, offsets in found.items() if offsets == {64}}
    assert at_64 == {"callings_rnaseq", "sickle_phred64_150bp"}
    assert all(offsets == {33} for path, offsets in found.items() if path.parent.name not in at_64)
