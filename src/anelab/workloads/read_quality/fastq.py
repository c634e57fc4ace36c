"""FASTQ in blocks of arrays: newline index, one gather a block, every record checked.

Plain or gzip (by content), four lines a record, LF or CRLF. Reads longer than `WIDTH` are cut.
"""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from anelab.errors import AnelabError

WIDTH = 150
PAD_BASE = 0
PAD_QUALITY = 53  # '5' is Q20 at offset 33: what the features are centred on
BLOCK_BYTES = 4 << 20
NEWLINE, RETURN, AT, PLUS = 10, 13, 64, 43
LETTERS = np.zeros(256, bool)
LETTERS[[*range(65, 91), *range(97, 123), *b".-*"]] = True

Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]


class FastqError(AnelabError):
    """A record that cannot be read. `record` and `line` count from 1."""

    def __init__(self, path: Path, record: int, line: int, problem: str) -> None:
        super().__init__(f"{path}: record {record}, line {line}: {problem}")


@dataclass(frozen=True)
class Reads:
    """Rows of reads. `bases` and `qualities` are the file's own characters, uint8 [n, WIDTH], padded
    with PAD_BASE and PAD_QUALITY; `lengths` are those of the uncut reads; `names` as in the header."""

    bases: Bytes
    qualities: Bytes
    lengths: Integers
    names: list[str]

    def __len__(self) -> int:
        return len(self.lengths)


def read_fastq(path: Path, max_records: int | None = None) -> Reads:
    """Every record of one file, or the first `max_records`. Raises FastqError."""
    blocks, left = [], max_records
    for block in read_blocks(path):
        blocks.append(block if left is None else _head(block, left))
        left = None if left is None else left - len(blocks[-1])
        if left == 0:
            break
    if not blocks:
        raise AnelabError(f"{path}: holds no reads")
    return concatenate(blocks)


def concatenate(parts: Sequence[Reads]) -> Reads:
    return Reads(
        np.concatenate([part.bases for part in parts]),
        np.concatenate([part.qualities for part in parts]),
        np.concatenate([part.lengths for part in parts]),
        [name for part in parts for name in part.names],
    )


def _head(reads: Reads, count: int) -> Reads:
    return Reads(reads.bases[:count], reads.qualities[:count], reads.lengths[:count], reads.names[:count])


def read_blocks(path: Path) -> Iterator[Reads]:
    """The file's records, a few MiB at a time."""
    carry, records = b"", 0
    for chunk in _chunks(path):
        data = carry + chunk
        block, used = _parse(data, path, records)
        carry = data[used:]
        records += len(block)
        if len(block):
            yield block
    if carry.strip():
        _cut(carry, path, records)


def _chunks(path: Path) -> Iterator[bytes]:
    """Decompressed bytes; the last chunk is made to end with a newline."""
    last = b"\n"
    try:
        with _open(path) as handle:
            while chunk := handle.read(BLOCK_BYTES):
                yield chunk
                last = chunk[-1:]
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise AnelabError(f"{path}: the gzip stream is damaged or cut short ({error})") from None
    except OSError as error:
        raise AnelabError(f"{path}: cannot be read: {error.strerror or error}") from None
    if last != b"\n":
        yield b"\n"


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as handle:
        zipped = handle.read(2) == b"\x1f\x8b"
    return gzip.open(path) if zipped else path.open("rb")  # type: ignore[return-value]


def _parse(data: bytes, path: Path, before: int) -> tuple[Reads, int]:
    """The whole records at the start of `data`, and how many bytes they take."""
    text = np.frombuffer(data + bytes(WIDTH), np.uint8)
    ends = np.flatnonzero(text[: len(data)] == NEWLINE)
    ends = ends[: ends.size // 4 * 4]
    if not ends.size:
        return _empty(), 0
    starts = np.append(0, ends[:-1] + 1)
    stops = ends - ((text[ends - 1] == RETURN) & (ends > starts))
    starts, stops = starts.reshape(-1, 4), stops.reshape(-1, 4)
    blank = (stops == starts).all(axis=1)
    whole = blank.size - int(np.argmin(blank[::-1])) if not blank.all() else 0  # blank lines at the end are none
    starts, stops, ends = starts[:whole], stops[:whole], ends[: 4 * whole]
    if not whole:
        return _empty(), 0
    _check(text, starts, stops, path, before)
    lengths = stops[:, 1] - starts[:, 1]
    spans = zip(starts[:, 0].tolist(), stops[:, 0].tolist(), strict=True)
    names = [_name(data[start + 1 : stop]) for start, stop in spans]
    bases = _gather(text, starts[:, 1], lengths, PAD_BASE)
    _check_letters(bases, lengths, path, before)
    qualities = _gather(text, starts[:, 3], lengths, PAD_QUALITY)
    return Reads(bases, qualities, lengths, names), int(ends[-1]) + 1


def _name(header: bytes) -> str:
    words = header.decode("ascii", "replace").split(maxsplit=1)
    return words[0] if words else ""


def _empty() -> Reads:
    nothing = np.empty((0, WIDTH), np.uint8)
    return Reads(nothing, nothing, np.empty(0, np.int64), [])


def _gather(text: Bytes, starts: Integers, lengths: Integers, pad: int) -> Bytes:
    rows = sliding_window_view(text, WIDTH)[starts]
    rows[np.arange(WIDTH) >= lengths[:, None]] = pad
    return rows


def _check(text: Bytes, starts: Integers, stops: Integers, path: Path, before: int) -> None:
    """Raise FastqError for the first record that breaks the format."""
    lengths = stops - starts
    faults = (
        (text[starts[:, 0]] != AT, 0, "the header must start with '@'"),
        (text[starts[:, 2]] != PLUS, 2, "the third line must start with '+'; multi-line FASTQ is not read"),
        (lengths[:, 1] != lengths[:, 3], 3, "sequence and quality differ in length"),
    )
    broken = [(int(np.argmax(rows)), line, problem) for rows, line, problem in faults if rows.any()]
    if broken:
        record, line, problem = min(broken)
        if line == 3:
            problem += f": {lengths[record, 1]} and {lengths[record, 3]}"
        raise FastqError(path, before + record + 1, (before + record) * 4 + line + 1, problem)


def _check_letters(bases: Bytes, lengths: Integers, path: Path, before: int) -> None:
    """Raise FastqError for the first base that is no letter, '.', '-' or '*'."""
    odd = ~LETTERS[bases] & (np.arange(WIDTH) < lengths[:, None])
    if odd.any():
        record = int(odd.any(axis=1).argmax())
        position = int(odd[record].argmax())
        problem = f"base {position + 1} is character {bases[record, position]}, which is no letter"
        raise FastqError(path, before + record + 1, (before + record) * 4 + 2, problem)


def _cut(carry: bytes, path: Path, before: int) -> NoReturn:
    lines = carry.count(b"\n")
    problem = f"the file ends inside a record, after {lines} of its 4 lines"
    raise FastqError(path, before + 1, before * 4 + lines, problem)
