"""Reads of offset 64 among those of 33, wherever they begin."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anelab.sequences import phred, streams
from anelab.sequences.fastq import FastqError
from anelab.sequences.mixed_offsets import RUN
from anelab.sequences.phred import read_reads
from tests.sequences.made_fastq import write

GOOD, LOW, MERGED, HIGHEST, MARKED, FOREIGN = "IIJI", "!IJI", "@Sa]", "IS~I", "ha" + "B" * 15, "BPYC"
"""Of offset 33: without a character below 64, with one, with both, and with one that offset 64 never has; of offset 64:
with a marked end, and without."""
UNMERGED = "!Sa]"


def found(tmp_path: Path, qualities: list[str], offset: phred.Phred = "auto") -> int | None:
    """The record from which on another offset is found."""
    path = write(tmp_path / "r.fq", [(f"r{n}", "A" * len(text), text) for n, text in enumerate(qualities)])
    try:
        list(read_reads(path, offset, "--phred "))
    except FastqError as error:
        found = re.search(r"record (\d+), .* as offset 64 has them", str(error))
        return int(found[1]) if found else -1
    return None


@pytest.mark.parametrize("before", [0, 1, 61, 450])
@pytest.mark.parametrize("after", [1, 300])
@pytest.mark.parametrize("count", [RUN, 99, 349])
def test_so_many_in_a_row_are_found_wherever_they_begin(before: int, after: int, count: int, tmp_path: Path) -> None:
    assert found(tmp_path, [LOW] * before + [FOREIGN] * count + [LOW] * after) == before + 1


def test_fewer_are_not_and_neither_are_some_apart(tmp_path: Path) -> None:
    assert found(tmp_path, [LOW] * 450 + [FOREIGN] * (RUN - 1) + [LOW] * 100) is None
    assert found(tmp_path, ([LOW] * 2 + [FOREIGN] * (RUN - 1)) * 20) is None


@pytest.mark.parametrize(
    "qualities",
    [
        [LOW] + [GOOD] * 5000,
        [UNMERGED] + [MERGED] * 3000,
        ([LOW] * 200 + [UNMERGED] * 3 + [MERGED] * 100) * 10,  # merged reads beside others
        [MERGED] * 200 + [UNMERGED] * 40 + [LOW] * 20,  # the first ones are judged by the later ones
        ([LOW] + [HIGHEST] * 50) * 20,
    ],
)
def test_high_qualities_of_offset_33_are_no_other_offset(qualities: list[str], tmp_path: Path) -> None:
    assert found(tmp_path, qualities) is None


def test_marked_ends_are_found_among_high_qualities_too(tmp_path: Path) -> None:
    assert found(tmp_path, [UNMERGED] * 100 + [MARKED] * RUN) == 101
    assert found(tmp_path, [UNMERGED] * 100 + [MERGED] * 50 + [MARKED] * 2) is None


def test_an_offset_that_is_set_is_kept_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert found(tmp_path, [LOW] * 450 + [FOREIGN] * 30, 33) is None
    assert "record 451: from here on quality characters span 66 to 89" in capsys.readouterr().err
    assert found(tmp_path, [MARKED] * 30, 33) is None
    assert "record 1: from here on" in capsys.readouterr().err
    assert found(tmp_path, [MERGED] * 100, 33) is None
    assert capsys.readouterr().err == ""


def test_real_reads_of_offset_33_are_of_one_file(real_data: Path) -> None:
    """Of two libraries, one behind the other, too."""
    for folder in ("ERR127302", "nanopore", "mifish_edna_150bp", "illumina_150bp", "trinity_rnaseq"):
        for path in (real_data / "fastq" / folder).iterdir():
            assert sum(map(len, read_reads(path, "auto", "--phred "))) > 0


def by_hand(qualities: list[str], first: int) -> int | None:
    """The rule of the module, read by read."""
    alike = [("low" if max(text) < "P" else "high" if min(text) < "@" else "") for text in qualities]
    run: list[int] = []
    for row, text in enumerate(qualities):
        run = [*run, row] if min(text) >= "@" and max(text) <= "l" else []
        high = [place for place in run if max(qualities[place]) >= "P"]
        if len(run) < RUN or not high:
            continue
        before = alike[: max(high[0], first)]
        if before.count("high") < 0.01 * before.count("low"):
            return high[0] + 1
        if sum(qualities[place].endswith("B" * 15) for place in run if place >= high[0]) >= 3:
            return high[0] + 1
    return None


stretch = st.tuples(st.sampled_from([GOOD, LOW, MERGED, HIGHEST, MARKED, FOREIGN, UNMERGED]), st.integers(1, 45))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(stretch, min_size=1, max_size=8), st.sampled_from([60, 300, 1000, 1 << 20]), st.integers(0, 5))
def test_it_is_the_rule_whatever_the_blocks(
    tmp_path: Path, stretches: list[tuple[str, int]], block: int, seed: int
) -> None:
    qualities = [LOW, *(text for text, count in stretches for _ in range(count))]
    if seed:
        qualities = np.random.default_rng(seed).permutation(qualities).tolist() + qualities
    first = min(40, len(qualities))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BLOCK_BYTES", "READ_BYTES", "LEAST_BYTES"):
            patch.setattr(streams, name, block)
        patch.setattr(phred, "FIRST", 40)
        if min("".join(qualities[:40])) < ";":
            assert found(tmp_path, qualities) == by_hand(qualities, first)
