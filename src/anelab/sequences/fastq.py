"""FASTQ in blocks of arrays: newline index, one gather a block, every record checked.

Four lines a record, LF or CRLF, of any compression that `streams` reads. Nothing is dropped: what cannot be read is
an error that names source, record and line.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.sequences.nucleotides import LETTERS, ODD, PAD_CODE, Bytes, encode_bases, why_not_nucleotides
from anelab.sequences.streams import Source, other_format, read_bytes, title

DEFAULT_WIDTH = 150
"""Bases of each read that are coded at once, where the caller asks for no other number."""
MOST_BYTES = 32 << 20
"""Of a record; what is longer is no FASTQ."""
MOST_READS = 1 << 14
"""Of a block: a read of one base costs as much memory as one of 150."""
NEWLINE, RETURN, AT, PLUS, SPACE = b"\n\r@+ "
NAME_BYTES = bytes(range(SPACE + 1, 256))
"""Of a header's first word."""
MOST_HEADER = 1 << 20
"""Bytes of a header: the tags that nanopore's tools write there (MM, ML) are as long as the read."""
MOST_NAME = 4096
"""Bytes of its first word; names are gathered in rows as long as the longest."""
USUAL_NAME = 128
USUAL_HEADER = 512
"""What is longer is looked through on its own, so that one long header does not make all rows long."""
MULTI_LINE = "multi-line FASTQ is not read; `seqtk seq -l0` joins its lines"

Integers = NDArray[np.int64]


class FastqError(AnelabError):
    """A record that cannot be read. `record` and `line` count from 1."""

    def __init__(self, source: Source, record: int, line: int, problem: str) -> None:
        super().__init__(f"{title(source)}: record {record}, line {line}: {problem}")


@dataclass(frozen=True)
class Block:
    """Whole records of one source. `text` has their bytes and some after them; `starts` and `stops`, int64 [n, 4],
    bound the four lines of each in it, line ends left out; `ends`, int64 [n], is where the next record begins;
    `before` counts the records of the source that came earlier; `width` is how many bases of each read `codes` and
    `qualities` hold."""

    source: Source
    text: Bytes
    starts: Integers
    stops: Integers
    ends: Integers
    before: int
    width: int = DEFAULT_WIDTH

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def lengths(self) -> Integers:
        """Bases of each read, none cut."""
        return self.stops[:, 1] - self.starts[:, 1]

    @cached_property
    def name_stops(self) -> Integers:
        """Where the first word of each header ends."""
        longest = int((self.stops[:, 0] - self.starts[:, 0]).max(initial=0))
        ends = self.windows(min(longest, USUAL_NAME) + 1, 0) <= SPACE
        stops: Integers = self.starts[:, 0] + ends.argmax(axis=1)
        if longest > USUAL_NAME:
            for row in np.flatnonzero(~ends.any(axis=1)).tolist():
                header = self.line(row, 0)
                stops[row] = self.starts[row, 0] + len(header) - len(header.lstrip(NAME_BYTES))
        return stops

    def names(self) -> list[str]:
        """The first word of each header."""
        spans = zip((self.starts[:, 0] + 1).tolist(), self.name_stops.tolist(), strict=True)
        data = self.text.tobytes()
        return [data[start:stop].decode("ascii", "replace") for start, stop in spans]

    def name(self, row: int) -> str:
        """The first word of one header."""
        return self.text[self.starts[row, 0] + 1 : self.name_stops[row]].tobytes().decode("ascii", "replace")

    def take(self, rows: slice | Integers) -> "Block":
        """Some of the records. Their number in the source is known of the first ones only."""
        return replace(self, starts=self.starts[rows], stops=self.stops[rows], ends=self.ends[rows])

    def parts(self) -> Iterator["Block"]:
        """Of MOST_READS records at most."""
        for start in range(0, len(self), MOST_READS):
            yield replace(self.take(slice(start, start + MOST_READS)), before=self.before + start)

    def windows(self, width: int, line: int) -> Bytes:
        """uint8 [n, width]: the text from the start of a line of each record on."""
        text, starts = self.text, self.starts[:, line]
        if len(starts) and int(starts[-1]) + width > len(text):
            text = np.append(text, np.zeros(width, np.uint8))
        places = max(len(text) - width + 1, 0)
        found: Bytes = np.ndarray((places, width), np.uint8, text, 0, (1, 1))[starts]  # quicker than NumPy's own view
        return found

    @cached_property
    def codes(self) -> Bytes:
        """uint8 [n, width]: codes of the bases, cut or padded with PAD_CODE; ODD for what is no nucleotide code."""
        return encode_bases(self._padded(1, PAD_CODE, self.width))

    def whole_codes(self, width: int) -> Bytes:
        """uint8 [n, width]: as `codes`, of so many bases."""
        return encode_bases(self._padded(1, PAD_CODE, width))

    def qualities(self, pad: int) -> Bytes:
        """uint8 [n, width]: the source's own quality characters, cut or padded."""
        return self._padded(3, pad, self.width)

    def whole_qualities(self, pad: int, width: int) -> Bytes:
        """uint8 [n, width]: as `qualities`, of so many bases."""
        return self._padded(3, pad, width)

    def _padded(self, line: int, pad: int, width: int) -> Bytes:
        rows, lengths = self.windows(width, line), self.lengths
        short = np.flatnonzero(lengths < width)
        if short.size:
            rows[short] = np.where(np.arange(width) < lengths[short, None], rows[short], np.uint8(pad))
        return rows

    def line(self, record: int, line: int) -> bytes:
        return self.text[self.starts[record, line] : self.stops[record, line]].tobytes()

    def error(self, record: int, line: int, problem: str) -> FastqError:
        """Of the block's own record and line, counted from 0."""
        number = self.before + record
        return FastqError(self.source, number + 1, number * 4 + line + 1, problem)


def read_blocks(
    source: Source, max_records: int | None = None, together: int = 1, width: int = DEFAULT_WIDTH
) -> Iterator[Block]:
    """The source's records, or the first `max_records`, some MiB at a time, so many `together` in one block at
    least. Raises FastqError and AnelabError."""
    carry, records = b"", 0
    for chunk in _whole_lines(source):
        data = carry + chunk
        if not records:
            _refuse_other_formats(data, source)
        left = None if max_records is None else max_records - records
        block = _parse(data, source, records, together, left, width)
        if block is None:
            carry = data if data.strip(b"\r\n") else _few(data)
        else:
            carry = data[block.ends[-1] :]
            records += len(block)
            for part in block.parts():
                _check(part)
                yield part
            if len(block) == left:
                return
        if len(carry) > MOST_BYTES:
            raise FastqError(
                source, records + 1, records * 4 + 1, f"is longer than {MOST_BYTES:,} bytes; this is not FASTQ"
            )
    if carry.strip(b"\r\n"):
        _cut(carry, source, records, together)


def _refuse_other_formats(data: bytes, source: Source) -> None:
    if found := other_format(data):
        raise FastqError(source, 1, 1, f"this is {found}")


def _few(blank: bytes) -> bytes:
    """As many blank lines as tell that they are more than the end of a file."""
    return blank[-8:]


def _whole_lines(source: Source) -> Iterator[bytes]:
    """The source's bytes; at the end a newline, if it has none of its own."""
    last = b"\n"
    for chunk in read_bytes(source):
        yield chunk
        last = chunk[-1:]
    if last != b"\n":
        yield b"\n"


def _parse(
    data: bytes,
    source: Source,
    before: int,
    together: int = 1,
    most: int | None = None,
    width: int = DEFAULT_WIDTH,
) -> Block | None:
    """The whole records at the start of `data`, a multiple of `together`, and `most` at most."""
    spare = -len(data) % 8
    text = np.frombuffer(data + bytes(width + spare), np.uint8)
    ends = _newlines(text[: len(data) + spare])
    ends = ends[: ends.size // 4 * 4]
    starts = np.append(0, ends[:-1] + 1) if ends.size else ends
    stops = ends - ((text[ends - 1] == RETURN) & (ends > starts))
    starts, stops, ends = starts.reshape(-1, 4), stops.reshape(-1, 4), ends[3::4] + 1
    filled = np.flatnonzero((stops != starts).any(axis=1))
    whole = int(filled[-1]) + 1 if filled.size else 0  # blank lines at the end are none, unless more follows
    whole = min(whole - whole % together, whole if most is None else most)
    if not whole:
        return None
    return Block(source, text, starts[:whole], stops[:whole], ends[:whole], before, width)


def _newlines(text: Bytes) -> Integers:
    """Where they are, in bytes that are a multiple of eight: first in which eights, for they are few."""
    found = text == NEWLINE
    eights = np.flatnonzero(found.view(np.uint64) != 0)
    inside = np.flatnonzero(found.reshape(-1, 8)[eights])
    places: Integers = eights[inside >> 3] * 8 + (inside & 7)
    return places


def _check(block: Block) -> None:
    """Raise FastqError for the first record that breaks the format."""
    text, starts, lengths = block.text, block.starts, block.stops - block.starts
    wrong = (text[starts[:, 0]] != AT) | (text[starts[:, 2]] != PLUS) | (lengths[:, 1] != lengths[:, 3])
    _check_headers(block, lengths[:, 0])
    if int(lengths[:, 2].max()) > 1:
        wrong |= ~_repeated(block, lengths)
    first = int(wrong.argmax()) if wrong.any() else len(block)
    _check_letters(block, first)
    if first < len(block):
        _raise_problem(block, first)


def _check_headers(block: Block, lengths: Integers) -> None:
    """Raise FastqError for the first header, or first word of one, without measure."""
    if int(lengths.max()) <= USUAL_NAME:
        return
    for what, sizes, most in (
        ("header", lengths, MOST_HEADER),
        ("name", block.name_stops - block.starts[:, 0] - 1, MOST_NAME),
    ):
        if (sizes > most).any():
            record = int((sizes > most).argmax())
            raise block.error(
                record, 0, f"a {what} of {sizes[record]:,} bytes is longer than {most:,}; this is not FASTQ"
            )


def _repeated(block: Block, lengths: Integers) -> "NDArray[np.bool_]":
    """Whether the third line of each record has the header, or its first word, after the '+'."""
    repeats = lengths[:, 2] > 1
    same = np.ones(len(block), bool)
    alike = (lengths[:, 2] == lengths[:, 0]) & (lengths[:, 0] <= USUAL_HEADER)
    for record in np.flatnonzero(repeats & ~alike).tolist():
        words = block.line(record, 0)[1:].split(maxsplit=1)
        same[record] = block.line(record, 2)[1:].strip() in (block.line(record, 0)[1:].strip(), *words[:1])
    whole = np.flatnonzero(repeats & alike)
    if whole.size:
        part = block.take(whole)
        width = int(lengths[whole, 0].max())
        beyond = np.arange(1, width) >= lengths[whole, 0, None]
        same[whole] = ((part.windows(width, 0)[:, 1:] == part.windows(width, 2)[:, 1:]) | beyond).all(axis=1)
    return same


def _raise_problem(block: Block, record: int) -> NoReturn:
    """What is wrong with a record whose lines do not fit together."""
    header, bases, plus, qualities = (block.line(record, line) for line in range(4))
    if header[:1] == b">":
        raise block.error(record, 0, "this is FASTA, which has no qualities; give FASTQ")
    if header[:1] != b"@":
        raise block.error(record, 0, "the header must start with '@'")
    if plus[:1] != b"+":
        raise block.error(record, 2, f"the third line must start with '+'; {MULTI_LINE}")
    if len(plus) > 1 and not _repeated(block, block.stops - block.starts)[record]:
        raise block.error(record, 2, f"'+{_excerpt(plus[1:])}' repeats another header than '@{_excerpt(header[1:])}'")
    after = int(block.ends[record])
    wrapped = len(qualities) < len(bases) and block.text[after] not in (AT, 0)
    more = f"; the quality goes on in the next line, and {MULTI_LINE}" if wrapped else ""
    raise block.error(record, 3, f"sequence and quality differ in length: {len(bases)} and {len(qualities)}{more}")


def _check_letters(block: Block, count: int) -> None:
    """Raise FastqError for the first of `count` reads with a character that is no nucleotide code."""
    codes, lengths = block.codes[:count], block.lengths[:count]
    zeros = codes.size - np.count_nonzero(codes)  # more of them than pads: a character 0 is among the bases
    pads = int(np.maximum(block.width - lengths, 0).sum())
    if count and (codes.max() == ODD or zeros > pads or _odd_beyond(block, lengths)):
        for record in range(count):
            sequence = block.line(record, 1)
            if odd := sequence.translate(None, LETTERS):
                raise block.error(record, 1, why_not_nucleotides(sequence.index(odd[0]) + 1, odd[0]))


def _odd_beyond(block: Block, lengths: Integers) -> bool:
    """Whether what is cut off the long reads has a character that is no nucleotide code."""
    long = np.flatnonzero(lengths > block.width).tolist()
    return any(block.line(record, 1)[block.width :].translate(None, LETTERS) for record in long)


def _excerpt(text: bytes) -> str:
    """The beginning of a text from a file, fit for a message."""
    return text[:60].decode("ascii", "backslashreplace")


def _cut(carry: bytes, source: Source, before: int, together: int) -> NoReturn:
    if together > 1 and (rest := _parse(carry, source, before)) is not None:
        _check(rest)
        raise FastqError(source, before + len(rest), (before + len(rest)) * 4 - 3, "the file ends before its mate")
    if b"\n" not in carry.rstrip(b"\n") and b"\r" in carry:
        raise FastqError(source, before + 1, before * 4 + 1, "its lines end in CR only; convert them to LF")
    if carry[:1] not in (b"@", b""):
        raise FastqError(source, before + 1, before * 4 + 1, _not_fastq(carry))
    lines = carry.count(b"\n")
    problem = f"the file ends inside a record, after {lines} of its 4 lines"
    raise FastqError(source, before + 1, before * 4 + lines, problem)


def _not_fastq(carry: bytes) -> str:
    if carry[:1] == b">":
        return "this is FASTA, which has no qualities; give FASTQ"
    return "the header must start with '@'"
