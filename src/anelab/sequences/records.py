"""Sequences of FASTA or FASTQ, some thousand at a time, in their order."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from anelab.sequences.arrays import UPPER, SequenceArray, join
from anelab.sequences.fasta import read_records
from anelab.sequences.fastq import read_blocks
from anelab.sequences.streams import STANDARD_INPUT, Source, read_bytes

MOST_RECORDS = 4096
MOST_BASES = 8 << 20
"""Of a block, and of the record that fills it."""


class Records(NamedTuple):
    """First words of the headers, what follows them (empty for FASTQ), and the sequences."""

    names: list[str]
    descriptions: list[str]
    sequences: SequenceArray


def read_sequences(source: Source) -> Iterator[Records]:
    """Of any compression. What a file is follows from its first character; standard input, or a pipe, which can be read
    but once, is FASTA. Raises AnelabError for what is neither, with its line."""
    if str(source) != STANDARD_INPUT and Path(source).is_file() and _first(source) == b"@":
        yield from _fastq(source)
        return
    names, descriptions, letters, bases = [], [], [], 0
    for record in read_records(source):
        names.append(record.name)
        descriptions.append(record.description)
        letters.append(record.sequence)
        bases += len(record.sequence)
        if len(names) == MOST_RECORDS or bases >= MOST_BASES:
            yield Records(names, descriptions, SequenceArray.of(letters))
            names, descriptions, letters, bases = [], [], [], 0
    if names:
        yield Records(names, descriptions, SequenceArray.of(letters))


def _first(source: Source) -> bytes:
    """The first character that is no white space."""
    for data in read_bytes(source):
        if text := data.lstrip():
            return text[:1]
    return b""


def _fastq(source: Source) -> Iterator[Records]:
    for block in read_blocks(source):
        for part in block.parts():
            found = SequenceArray.gather(part.text, part.starts[:, 1], part.lengths)
            yield Records(part.names(), [""] * len(part), SequenceArray(UPPER[found.letters], found.offsets))


def read_all(source: Source) -> Records:
    """The whole file."""
    parts = list(read_sequences(source))
    names = [name for part in parts for name in part.names]
    descriptions = [text for part in parts for text in part.descriptions]
    return Records(names, descriptions, join(part.sequences for part in parts))


def is_sequences(source: Source) -> bool:
    """Whether a file begins as FASTA or FASTQ do."""
    return _first(source) in (b">", b"@", b"")
