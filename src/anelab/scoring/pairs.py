"""Sources in step: one after the other, two with mates, or one with mates in turn."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.workloads.read_quality.fastq import Block
from anelab.workloads.read_quality.phred import Phred, Reads, read_reads
from anelab.workloads.read_quality.streams import Source, ahead, title

Group = tuple[Reads, ...]
"""Reads, or first and second mates, row by row."""


def singles(sources: Sequence[Source], phred: Phred, option: str, most: int | None) -> Iterator[Group]:
    """Every read of every source, in order."""
    left = most
    for source in sources:
        if left == 0:
            return
        for reads in ahead(read_reads(source, phred, option, left)):
            left = None if left is None else left - len(reads)
            yield (reads,)


def interleaved(sources: Sequence[Source], phred: Phred, option: str, most: int | None) -> Iterator[Group]:
    """First and second mates of sources in which they alternate. `most`: pairs."""
    left = None if most is None else 2 * most
    for source in sources:
        if left == 0:
            return
        for reads in ahead(read_reads(source, phred, option, left, together=2)):
            left = None if left is None else left - len(reads)
            first, second = reads.take(slice(0, None, 2)), reads.take(slice(1, None, 2))
            _check_names(first.block, second.block, 2, reads.block.before)
            yield first, second


def paired(sources: Sequence[Source], phred: Phred, option: str, most: int | None) -> Iterator[Group]:
    """First and second mates of files named in turn: R1 R2, or R1 R2 R1 R2. `most`: pairs."""
    left = most
    for first, second in zip(sources[::2], sources[1::2], strict=True):
        if left == 0:
            return
        streams = [ahead(read_reads(source, phred, option, left)) for source in (first, second)]
        for one, other in _in_step(streams[0], streams[1], first, second):
            left = None if left is None else left - len(one)
            yield one, other


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
    """Raise AnelabError for the first pair whose names differ in more than /1 and /2."""
    if _alike(first, second).all():
        return
    for row, (one, other) in enumerate(zip(first.names(), second.names(), strict=True)):
        if _stem(one) != _stem(other):
            raise AnelabError(
                f"{title(second.source)}: record {before + step * (row + 1)} is {other}, but its mate in "
                f"{title(first.source)} is {one}; mates must be in one order"
            )


def _alike(first: Block, second: Block) -> NDArray[np.bool_]:
    """Whether names are the same letter by letter; what is not may still be mates."""
    sizes = first.name_stops - first.starts[:, 0]
    width = int(sizes.max(initial=1))
    same = first.windows(width, 0) == second.windows(width, 0)
    alike = (same | (np.arange(width) >= sizes[:, None])).all(axis=1)
    both: NDArray[np.bool_] = alike & (second.name_stops - second.starts[:, 0] == sizes)
    return both


def _stem(name: str) -> str:
    return name[:-2] if name.endswith(("/1", "/2")) else name
