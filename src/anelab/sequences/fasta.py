"""FASTA in pieces or whole records, of any compression that `streams` reads, every letter checked.

A piece has as much of one record as a block of the stream does, so that memory does not grow with the record: a genome
is read by `read_pieces`, and of windows up to `overlap` + 1 bases each lies whole in a piece. `read_records` joins the
pieces, for records that fit into memory.

Lines may end in LF or CRLF, the last in nothing; sequences may be wrapped, and blank lines mean nothing. Letters are
those of IUPAC, U among them; they come in upper case, unless `soft_masked` asks for them as they are, lower case where
a repeat was masked. Nothing is dropped: what is no FASTA of nucleotides is an error that names source, record and line.
Lines of comments (';'), which old files have, gaps ('-', '.') and stops ('*') are refused too.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from anelab.errors import AnelabError
from anelab.sequences.nucleotides import NUCLEOTIDES, Bytes, why_not_nucleotides
from anelab.sequences.streams import Source, other_format, read_bytes, title

MOST_HEADER = 1 << 20
"""Bytes of a header line; what is longer is no FASTA."""
CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
BEGIN, NEWLINE = b">\n"


def _table(upper: bool) -> bytes:
    """Each of 256 characters to the letter that it is read as, 0 for what is none."""
    table = bytearray(256)
    for letter in NUCLEOTIDES:
        lower = letter | 32
        table[letter], table[lower] = letter, letter if upper else lower
    return bytes(table)


UPPER_CASE, AS_WRITTEN = _table(True), _table(False)


class FastaError(AnelabError):
    """A record that cannot be read. `record` and `line` count from 1."""

    def __init__(self, source: Source, record: int, line: int, problem: str) -> None:
        super().__init__(f"{title(source)}: record {record}, line {line}: {problem}")


@dataclass(frozen=True, slots=True)
class Piece:
    """Bases of one record, which is the source's `number`-th, counted from 1. `sequence` is uint8 [n], letters;
    `start` is the place of its first base in the record, from 0."""

    number: int
    name: str
    description: str
    start: int
    sequence: Bytes


@dataclass(frozen=True, slots=True)
class Record:
    """The first word of its header, what follows that, and uint8 [n] of letters."""

    name: str
    description: str
    sequence: Bytes


def read_records(source: Source, unique_names: bool = False, soft_masked: bool = False) -> Iterator[Record]:
    """Whole records. Raises FastaError and AnelabError as `read_pieces` does."""
    parts: list[Piece] = []
    for piece in read_pieces(source, 0, unique_names, soft_masked):
        if parts and piece.number != parts[0].number:
            yield _joined(parts)
            parts = []
        parts.append(piece)
    if parts:
        yield _joined(parts)


def _joined(parts: list[Piece]) -> Record:
    first = parts[0]
    sequence = first.sequence if len(parts) == 1 else np.concatenate([part.sequence for part in parts])
    return Record(first.name, first.description, sequence)


def read_pieces(
    source: Source, overlap: int = 0, unique_names: bool = False, soft_masked: bool = False
) -> Iterator[Piece]:
    """Records in their order, each in pieces, every piece but a record's first beginning with the last `overlap` bases
    of what came before. Raises FastaError, for a name that another record has too if `unique_names` is asked for, and
    AnelabError for a source that cannot be read."""
    reader = _Reader(source, AS_WRITTEN if soft_masked else UPPER_CASE, {} if unique_names else None)
    return _overlapping(reader.pieces(), overlap) if overlap else reader.pieces()


def _overlapping(pieces: Iterator[Piece], overlap: int) -> Iterator[Piece]:
    number, tail = 0, np.empty(0, np.uint8)
    for piece in pieces:
        if piece.number != number:
            number, tail = piece.number, tail[:0]
        sequence = np.concatenate([tail, piece.sequence]) if tail.size else piece.sequence
        yield Piece(number, piece.name, piece.description, piece.start - tail.size, sequence)
        tail = sequence[-overlap:].copy()


class _Reader:
    """Where in a source it is: `line` counts its line ends so far, `bases` those of the record that is read."""

    def __init__(self, source: Source, table: bytes, numbers: dict[str, int] | None) -> None:
        self.source, self.table, self.numbers = source, table, numbers
        self.number = self.bases = self.line = self.header_line = 0
        self.name = self.description = ""
        self.fresh = True  # at the start of a line

    def pieces(self) -> Iterator[Piece]:
        rest = b""
        for data in read_bytes(self.source):
            if not self.line and not rest and (found := other_format(data)):
                raise FastaError(self.source, 1, 1, f"this is {found}")
            text = rest + data
            end = self._end(text)
            rest = text[end:]
            yield from self._parsed(text[:end] if rest else text)
            if len(rest) > MOST_HEADER + 2:
                self._refuse_header(len(rest) - 1, 1)
        if rest:
            yield from self._parsed(rest + b"\n")
        self._close()

    def _end(self, text: bytes) -> int:
        """How much of it can be read: a header without its end waits for more, and so does half a CRLF."""
        start = text.rfind(b"\n") + 1
        if text[start : start + 1] == b">" and (start or self.fresh):
            return start
        return len(text) - text.endswith(b"\r")

    def _parsed(self, text: bytes) -> Iterator[Piece]:
        """The pieces of a text in which every header is whole."""
        at = 0
        for start in self._headers(text):
            if piece := self._piece(text[at:start]):
                yield piece
            at = text.index(b"\n", start) + 1
            self._open(text[start + 1 : at - 1])
        if piece := self._piece(text[at:]):
            yield piece
        if text:
            self.fresh = text[-1] == NEWLINE

    def _headers(self, text: bytes) -> list[int]:
        letters = np.frombuffer(text, np.uint8)
        found = np.flatnonzero(letters == BEGIN)
        before = letters[found - 1] if found.size else found
        keep = before == NEWLINE
        if found.size and found[0] == 0:
            keep[0] = self.fresh
        places: list[int] = found[keep].tolist()
        return places

    def _open(self, header: bytes) -> None:
        """A record begins."""
        self._close()
        self.line += 1
        self.number, self.header_line, self.bases = self.number + 1, self.line, 0
        if len(header) > MOST_HEADER:
            self._refuse_header(len(header))
        header = header.removesuffix(b"\r")
        if control := CONTROL.search(header):
            self._refuse(f"the header has the control character {control[0][0]}; write it without")
        words = header.decode("utf-8", "backslashreplace").split(None, 1)
        if not words:
            self._refuse("the header has no name; write one after '>'")
        self.name, self.description = words[0], words[1].rstrip() if len(words) > 1 else ""
        if self.numbers is not None:
            first = self.numbers.setdefault(self.name, self.number)
            if first != self.number:
                self._refuse(f"the name {self.name} is that of record {first} too; names must be unique here")

    def _close(self) -> None:
        """The record is at its end."""
        if self.number and not self.bases:
            raise FastaError(
                self.source, self.number, self.header_line, f"{self.name} has no sequence; give it one, or take it out"
            )

    def _piece(self, text: bytes) -> Piece | None:
        """What follows a header, or goes on in a sequence."""
        if not text:
            return None
        if not self.number:
            self._check_blank(text)
        lines = text.replace(b"\r\n", b"\n") if b"\r" in text else text
        letters = lines.replace(b"\n", b"").translate(self.table)
        if b"\0" in letters:
            self._refuse_letter(lines, letters.index(0))
        self.line += len(lines) - len(letters)
        start, self.bases = self.bases, self.bases + len(letters)
        if not letters:
            return None
        return Piece(self.number, self.name, self.description, start, np.frombuffer(letters, np.uint8))

    def _check_blank(self, text: bytes) -> None:
        """Nothing but blank lines may stand before the first record."""
        if not (found := text.lstrip(b"\r\n")):
            return
        self.line += text[: len(text) - len(found)].count(b"\n")
        hints = {
            b"@": "this is FASTQ; `seqtk seq -a` writes it as FASTA",
            b";": "a line of comment; take such lines out (`grep -v '^;'`)",
        }
        self._refuse(hints.get(found[:1], "FASTA begins with '>'; text before the first record is not read"), 1)

    def _refuse_letter(self, lines: bytes, place: int) -> NoReturn:
        """The letter at a place of the text that is none; `lines` has its line ends."""
        self.line += 1
        left = place
        for line in lines.split(b"\n"):
            if left < len(line):
                self._refuse(_why_not(line, left, self.bases + place + 1))
            left -= len(line)
            self.line += 1
        raise AssertionError("the place is not in the text")

    def _refuse_header(self, size: int, ahead: int = 0) -> NoReturn:
        self._refuse(f"a header of {size:,} bytes and more is longer than {MOST_HEADER:,}: no FASTA", ahead)

    def _refuse(self, problem: str, ahead: int = 0) -> NoReturn:
        """Of the record and the line that are read, or `ahead` of them."""
        raise FastaError(self.source, self.number + ahead, self.line + ahead, problem)


def _why_not(line: bytes, place: int, base: int) -> str:
    character = line[place]
    if place == 0 and character == ord(";"):
        return "a line of comment; take such lines out (`grep -v '^;'`)"
    if character in b"-.":
        return f"base {base} is '{chr(character)}', a gap of an alignment; take gaps out first (`seqkit seq -g`)"
    if character == ord("*"):
        return f"base {base} is '*', the stop of a protein; give nucleotides"
    return why_not_nucleotides(base, character, dots=False)
