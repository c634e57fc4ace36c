"""Who is whose mate, by the names of a file and not of a pair."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anelab.errors import AnelabError
from anelab.inference.reads.pairs import interleaved, paired
from anelab.sequences import streams
from anelab.sequences.fastq import read_blocks
from anelab.sequences.mates import fragments_of, mark_of, marks_in_comments
from tests.sequences.made_fastq import write

MARKED = {
    "slash": ("x{}/1", "x{}/2"),
    "dot": ("SRR31.{}.1", "SRR31.{}.2"),
    "underscore": ("x{}_1", "x{}_2"),
    "number and slash": ("SRR31.{}/1", "SRR31.{}/2"),
    "umi": ("9223{}/1:ACGTACGT", "9223{}/2:ACGTACGT"),
    "umis": ("C001R001_{}/1_ACGTACGTAAAA_TTGCA", "C001R001_{}/2_ACGTACGTAAAA_TTGCA"),
    "umi of each mate": ("x{}/1:ACGT", "x{}/2:TTTTTG"),
    "comment": ("M01:{}:1101 1:N:0:ACGT", "M01:{}:1101 2:N:0:ACGT"),
    "comment and tabs": ("M01:{}:1101\t1:Y:18:1\tx", "M01:{}:1101\t2:N:0:1"),
    "none": ("SRR31.{} {} length=9", "SRR31.{} {} length=8"),
}


def fragments(*files: list[str]) -> tuple[list[int], list[int]]:
    """Number and mark of the names of all files."""
    names = [name for file in files for name in file]
    file = np.repeat(np.arange(len(files)), [len(file) for file in files])
    found = fragments_of(names, file, np.zeros(len(names), np.uint8))
    return found.number.tolist(), found.mark.tolist()


def headers(form: str, count: int) -> list[str]:
    return [form.format(number, number) for number in range(1, count + 1)]


def as_file(path: Path, heads: list[str]) -> Path:
    return write(path, [(head, "ACGT", "!III") for head in heads])


@pytest.mark.parametrize("kind", MARKED)
@pytest.mark.parametrize("turns", [False, True])
def test_mates_are_of_one_fragment_in_two_files_or_in_turn(kind: str, turns: bool, tmp_path: Path) -> None:
    first, second = (headers(form, 9) for form in MARKED[kind])
    heads = [head for pair in zip(first, second, strict=True) for head in pair] if turns else first + second
    (block,) = read_blocks(as_file(tmp_path / "r.fq", heads))
    file = np.zeros(18, np.int64) if turns else np.repeat([0, 1], 9)
    found = fragments_of(block.names(), file, marks_in_comments(block))
    order = np.repeat(np.arange(9), 2) if turns else np.tile(np.arange(9), 2)
    assert found.number.tolist() == order.tolist()
    marks = [0, 0] if kind == "none" else [1, 2]
    assert found.mark.tolist() == (marks * 9 if turns else np.repeat(marks, 9).tolist())


@pytest.mark.parametrize(
    "names",
    [
        ["SRR123.1", "SRR123.2", "SRR123.3"],
        ["read_1", "read_2", "read_10"],
        ["movie/1", "movie/2", "movie/3"],
        ["read.1", "read.2"],
        ["lane1.1", "lane1.2", "lane2.1", "lane2.2", "lane2.0"],
        ["movie/12/0_500", "movie/12/1_500", "movie/12/2_500"],
        ["x.01", "x.02"],
        ["x1", "x2", "y-1", "y-2"],
        ["x/1:umi", "x/2:umi"],
    ],
)
def test_numbers_are_no_marks(names: list[str]) -> None:
    assert fragments(names) == (list(range(len(names))), [0] * len(names))


@pytest.mark.parametrize(
    ("files", "number", "mark"),
    [
        ([["x/1", "y", "z/1"], ["x/2", "y", "w"]], [0, 1, 2, 0, 1, 3], [1, 0, 1, 2, 0, 0]),  # some have lost it
        ([["x.1", "y.1", "orphan"], ["x.2", "y.2"]], [0, 1, 2, 0, 1], [1, 1, 0, 2, 2]),
        ([["x.1/1", "x.2/1", "x.3/1"], ["x.1/2", "x.2/2"]], [0, 1, 2, 0, 1], [1, 1, 1, 2, 2]),
        ([["a.1", "b.1", "c.1", "d/1"], ["a.2", "b.2", "c.2"]], [0, 1, 2, 3, 0, 1, 2], [1, 1, 1, 0, 2, 2, 2]),
        ([["s.1", "s.2", "s.3"], ["s.1", "s.2", "s.3"]], [0, 1, 2, 0, 1, 2], [0] * 6),  # the same names in both
        ([["s.1", "s.2"], ["s.1", "s.2"]], [0, 1, 0, 1], [0] * 4),
        ([["a.1", "b.1", "b.2", "a.2"]], [0, 1, 1, 0], [1, 1, 2, 2]),
        ([["a.1"], ["a.2"]], [0, 0], [1, 2]),
    ],
)
def test_a_mark_is_one_for_all_names_of_its_file(files: list[list[str]], number: list[int], mark: list[int]) -> None:
    assert fragments(*files) == (number, mark)


@pytest.mark.parametrize("kind", ["slash", "dot", "underscore"])
def test_one_odd_name_does_not_part_the_mates_of_a_file(kind: str) -> None:
    first, second = (headers(form, 100) for form in MARKED[kind])
    odd = second[0][:-1] + "7"
    number, mark = fragments([*first, *second, odd])
    assert (number, mark) == ([*range(100), *range(100), 100], [1] * 100 + [2] * 100 + [0])
    assert fragments([*first[:40], *second[:40], odd])[0] == [*range(81)]


@pytest.mark.parametrize("header", ["x/1 2:N:0:1", "x 1:N:0:1", "x/1_ACGT", "x.2\t1:Y:0:1", "x/1"])
def test_what_is_nothing_but_a_mark_is_read_of_one_header(header: str) -> None:
    assert mark_of(header.encode()) == "1"
    assert [mark_of(other) for other in (b"", b"x", b"x.1", b"x_1", b"x/3", b"x 1:2", b"x y 1:N:0:1")] == [""] * 7


def pairs(folder: Path, first: list[str], second: list[str], turns: bool) -> int:
    """How many pairs scoring reads. Raises AnelabError where it refuses them."""
    if turns:
        both = as_file(folder / "both.fq", [head for pair in zip(first, second, strict=True) for head in pair])
        return sum(len(group[0]) for group in interleaved([both], 33, "--phred ", None))
    files = as_file(folder / "R1.fq", first), as_file(folder / "R2.fq", second)
    return sum(len(group[0]) for group in paired(files, 33, "--phred ", None))


@pytest.mark.parametrize("kind", MARKED)
@pytest.mark.parametrize("turns", [False, True])
def test_scoring_takes_the_same_marks(kind: str, turns: bool, tmp_path: Path) -> None:
    first, second = (headers(form, 200) for form in MARKED[kind])
    assert pairs(tmp_path, first, second, turns) == 200
    second[120] = second[121]
    with pytest.raises(AnelabError, match=rf"record {242 if turns else 121} is .*; mates must be in one order"):
        pairs(tmp_path, first, second, turns)
    if kind != "none":
        first, second = (headers(form, 200) for form in MARKED[kind])
        with pytest.raises(AnelabError, match=r"marked as mate 1|mates must be in one order"):
            pairs(tmp_path, second, first, turns)


@pytest.mark.parametrize("turns", [False, True])
@pytest.mark.parametrize(
    ("first", "second", "row"),
    [
        (["a", "read.1"], ["a", "read.2"], 2),  # numbers, for the first pair has no such mark
        (["x.1", "y.1"], ["x.2", "y.1"], 2),
        (["x.1", "y_1"], ["x.2", "y_2"], 2),
        (["s.1", "s.2", "s.3"], ["s.2", "s.3", "s.4"], 2),
        (["s.2", "s.3"], ["s.3", "s.4"], 1),
        (["movie/12/1_500"], ["movie/12/2_500"], 1),
        (["x-1"], ["x-2"], 1),
        (["x/1:"], ["x/2:"], 1),
        (["x/1:acgt"], ["x/2:acgt"], 1),
        (["x/1:ACGT"], ["y/2:ACGT"], 1),
        (["x/1", "y"], ["x/2", "y"], 0),
        (["x", "y/1:ACGT"], ["x", "y/2:ACGT"], 0),
    ],
)
def test_scoring_refuses_what_is_a_mark_in_one_pair_only(
    first: list[str], second: list[str], row: int, turns: bool, tmp_path: Path
) -> None:
    """`row` counts pairs from 1; 0 where all are mates."""
    if row:
        with pytest.raises(AnelabError, match=f"record {row * (1 + turns)} is .*; mates must be in one order"):
            pairs(tmp_path, first, second, turns)
    else:
        assert pairs(tmp_path, first, second, turns) == len(first)


stems = st.lists(st.text("abc.123/_", min_size=1, max_size=5), min_size=1, max_size=30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(stems, st.sampled_from([kind for kind in MARKED if "umi" not in kind]), st.sampled_from([60, 300, 1 << 20]))
def test_names_of_any_letters_are_mates_whatever_the_blocks(
    tmp_path: Path, stems: list[str], kind: str, block: int
) -> None:
    first, second = ([form.format(stem, stem) for stem in stems] for form in MARKED[kind])
    if kind == "none" and any(mark_of(head.encode()) for head in first):
        return
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BLOCK_BYTES", "READ_BYTES", "LEAST_BYTES"):
            patch.setattr(streams, name, block)
        for turns in (False, True):
            assert pairs(tmp_path, first, second, turns) == len(stems)


def test_the_trials_mates_are_found(real_data: Path) -> None:
    folder = real_data / "trial"
    for one, other in (("f14_umi_after_mark_R1", "f14_umi_after_mark_R2"), ("f14_umitools_R1", "f14_umitools_R2")):
        files = [folder / f"{one}.fastq", folder / f"{other}.fastq"]
        assert sum(len(group[0]) for group in paired(files, "auto", "--phred ", None)) == 30
    for number in (31, 32, 33):
        files = [folder / "sra_dot_mates" / f"sradot_SRR{number}_{mate}.fastq" for mate in (1, 2)]
        assert sum(len(group[0]) for group in paired(files, "auto", "--phred ", None)) == 100
