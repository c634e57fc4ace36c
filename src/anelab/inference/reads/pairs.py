"""Sources in step: one after the other, two with mates, or one with mates in turn."""

from collections.abc import Iterator, Sequence

from anelab.errors import AnelabError, warn
from anelab.sequences.fastq import Block
from anelab.sequences.mates import MateCheck, mark_of
from anelab.sequences.phred import Phred, Reads
from anelab.sequences.streams import Source, ahead, title
from anelab.workloads.read_quality.encode import read_reads

Group = tuple[Reads, ...]
"""Reads, or first and second mates, row by row."""


def singles(sources: Sequence[Source], phred: Phred, option: str, most: int | None) -> Iterator[Group]:
    """Every read of every source, in order."""
    left = most
    for source in sources:
        if left == 0:
            return
        seen = 0
        for reads in ahead(read_reads(source, phred, option, left)):
            left, seen = None if left is None else left - len(reads), seen + len(reads)
            yield (reads,)
        _warn_if_empty(source, seen)


def interleaved(sources: Sequence[Source], phred: Phred, option: str, most: int | None) -> Iterator[Group]:
    """First and second mates of sources in which they alternate. `most`: pairs."""
    left = None if most is None else 2 * most
    for source in sources:
        if left == 0:
            return
        seen, check = 0, MateCheck()
        for reads in ahead(read_reads(source, phred, option, left, together=2)):
            left, seen = None if left is None else left - len(reads), seen + len(reads)
            first, second = reads.take(slice(0, None, 2)), reads.take(slice(1, None, 2))
            _check_names(first.block, second.block, check, 2, reads.block.before)
            yield first, second
        _warn_if_empty(source, seen)


def paired(sources: Sequence[Source], phred: Phred, option: str, most: int | None) -> Iterator[Group]:
    """First and second mates of files named in turn: R1 R2, or R1 R2 R1 R2. `most`: pairs."""
    left = most
    for first, second in zip(sources[::2], sources[1::2], strict=True):
        if left == 0:
            return
        streams = [ahead(read_reads(source, phred, option, left)) for source in (first, second)]
        seen = 0
        for one, other in _in_step(streams[0], streams[1], first, second):
            left, seen = None if left is None else left - len(one), seen + len(one)
            yield one, other
        _warn_if_empty(first, seen)


def _warn_if_empty(source: Source, reads: int) -> None:
    if not reads:
        warn(f"{title(source)}: holds no reads")


def _in_step(
    left: Iterator[Reads], right: Iterator[Reads], first: Source, second: Source
) -> Iterator[tuple[Reads, Reads]]:
    """As many of each at a time. Raises AnelabError if one ends before the other, or their names differ."""
    done, check = 0, MateCheck()
    one, other = next(left, None), next(right, None)
    while one is not None and other is not None:
        count = min(len(one), len(other))
        mates = one.take(slice(count)), other.take(slice(count))
        _check_names(mates[0].block, mates[1].block, check, 1, done)
        yield mates
        done += count
        one = one.take(slice(count, None)) if count < len(one) else next(left, None)
        other = other.take(slice(count, None)) if count < len(other) else next(right, None)
    if one is not None or other is not None:
        short, long = (second, first) if other is None else (first, second)
        raise AnelabError(
            f"{title(short)}: ends after {done} records, but {title(long)} has more; both must have all mates, in "
            "one order"
        )


def _check_names(first: Block, second: Block, check: MateCheck, step: int, before: int) -> None:
    """Raise AnelabError for the first pair that is not one by its names, or whose marks are not 1 and 2."""
    marks = [mark_of(block.line(0, 0)[1:]) for block in (first, second)]
    if all(marks) and marks != ["1", "2"]:
        raise AnelabError(
            f"{title(second.source)}: record {before + step} is marked as mate {marks[1]}, and its mate in "
            f"{title(first.source)} as {marks[0]}; give first mates first, then second ones"
        )
    row = check.first_fault(first, second)
    if row is not None:
        raise AnelabError(
            f"{title(second.source)}: record {before + step * (row + 1)} is {second.name(row)}, but its mate in "
            f"{title(first.source)} is {first.name(row)}; mates must be in one order"
        )
