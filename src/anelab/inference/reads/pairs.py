"""Sources in step: one after the other, two with mates, or one with mates in turn."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError, warn
from anelab.sequences.fastq import Block
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
        _tell_if_empty(source, seen)


def interleaved(sources: Sequence[Source], phred: Phred, option: str, most: int | None) -> Iterator[Group]:
    """First and second mates of sources in which they alternate. `most`: pairs."""
    left = None if most is None else 2 * most
    for source in sources:
        if left == 0:
            return
        seen = 0
        for reads in ahead(read_reads(source, phred, option, left, together=2)):
            left, seen = None if left is None else left - len(reads), seen + len(reads)
            first, second = reads.take(slice(0, None, 2)), reads.take(slice(1, None, 2))
            _check_names(first.block, second.block, 2, reads.block.before)
            yield first, second
        _tell_if_empty(source, seen)


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
        _tell_if_empty(first, seen)


def _tell_if_empty(source: Source, reads: int) -> None:
    if not reads:
        warn(f"{title(source)}: holds no reads")


def _in_step(
    left: Iterator[Reads], right: Iterator[Reads], first: Source, second: Source
) -> Iterator[tuple[Reads, Reads]]:
    """As many of each at a time. Raises AnelabError if one ends before the other, or their names differ."""
    done = 0
    one, other = next(left, None), next(right, None)
    while one is not None and other is not None:
        count = min(len(one), len(other))
        mates = one.take(slice(count)), other.take(slice(count))
        _check_names(mates[0].block, mates[1].block, 1, done)
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


def _check_names(first: Block, second: Block, step: int, before: int) -> None:
    """Raise AnelabError for the first pair whose names differ in more than the mate's mark, or whose marks are not 1
    and 2."""
    marks = [_mark(block) for block in (first, second)]
    if all(marks) and marks != ["1", "2"]:
        raise AnelabError(
            f"{title(second.source)}: record {before + step} is marked as mate {marks[1]}, and its mate in "
            f"{title(first.source)} as {marks[0]}; give first mates first, then second ones"
        )
    if _alike(first, second).all():
        return
    for row, (one, other) in enumerate(zip(first.names(), second.names(), strict=True)):
        if one != other and not _are_mates(one, other):
            raise AnelabError(
                f"{title(second.source)}: record {before + step * (row + 1)} is {other}, but its mate in "
                f"{title(first.source)} is {one}; mates must be in one order"
            )


def _mark(block: Block) -> str:
    """1 or 2 as the first header says, by /1 or 1:N:0; nothing if it does not."""
    words = block.line(0, 0)[1:].decode("ascii", "replace").split()
    if words and words[0].endswith(("/1", "/2")):
        return words[0][-1]
    return words[1][0] if len(words) > 1 and words[1].startswith(("1:", "2:")) else ""


def _alike(first: Block, second: Block) -> NDArray[np.bool_]:
    """Whether names are the same letter by letter; what is not may still be mates."""
    sizes = first.name_stops - first.starts[:, 0]
    width = int(sizes.max(initial=1))
    same = first.windows(width, 0) == second.windows(width, 0)
    alike = (same | (np.arange(width) >= sizes[:, None])).all(axis=1)
    both: NDArray[np.bool_] = alike & (second.name_stops - second.starts[:, 0] == sizes)
    return both


def _are_mates(one: str, other: str) -> bool:
    """Names that differ in a last 1 and 2 only, after / or, as SRA's tools write them, after . or _."""
    return one[:-1] == other[:-1] and one[-2:-1] in ("/", ".", "_") and (one[-1:], other[-1:]) == ("1", "2")
