"""Bytes of a file or of standard input, decompressed by what they are and not by what they are called.

gzip (bgzf too), bzip2, xz and zstandard, of any number of members. Cut or damaged streams are errors; what follows a
member must be another one, so that nothing is dropped in silence.
"""

import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import BinaryIO, Protocol, TypeVar

from anelab.errors import AnelabError

STANDARD_INPUT = "-"
READ_BYTES = 3 << 19
BLOCK_BYTES = 4 << 20
"""Large enough that NumPy's calls cost little; still larger ones are no faster."""
LEAST_BYTES = 1 << 19
"""What is handed on together: a pipe, or a member of bgzf, gives 64 KiB at a time."""
BGZF_EXTRA = b"\x42\x43\x02\x00"
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty member with which every whole bgzf file ends (SAM specification, 4.1.2)."""
OTHER_FORMATS = {
    b"BAM\1": "BAM; `samtools fastq` writes it as FASTQ",
    b"CRAM": "CRAM; `samtools fastq` writes it as FASTQ",
    b"@HD\tVN:": "SAM; `samtools fastq` writes it as FASTQ",
    b"@SQ\tSN:": "SAM; `samtools fastq` writes it as FASTQ",
    b"PK\3\4": "a zip archive; unpack it",
    b"\x89HDF": "HDF5, as of FAST5; a basecaller makes FASTQ of it",
}
"""By their first bytes."""
AHEAD = 3
PATIENCE_S = 0.5

T = TypeVar("T")
Source = Path | str
"""A file, or "-" for standard input."""


class Decompressor(Protocol):
    """What bz2, lzma, zstd and igzip_lib have alike."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def title(source: Source) -> str:
    """What a message calls it."""
    return "standard input" if str(source) == STANDARD_INPUT else str(source)


def read_bytes(source: Source) -> Iterator[bytes]:
    """Decompressed bytes in parts of BLOCK_BYTES and somewhat more at most. Raises AnelabError, naming the source."""
    kind = b""
    try:
        with _opened(source) as raw:
            head = _more(b"", raw)
            kind = next((kind for kind in KINDS if head.startswith(kind)), b"")
            yield from _gathered(_members(head, raw, KINDS[kind]) if kind else _plain(head, raw))
    except (AnelabError, ImportError):
        raise
    except Exception as error:  # each library has its own; bz2 calls damage an OSError, but without a number
        if isinstance(error, OSError) and error.errno is not None:
            raise AnelabError(f"{title(source)}: cannot be read: {error.strerror}") from None
        if not kind:
            raise
        reason = "cut short" if isinstance(error, EOFError) else f"damaged ({error})"
        raise AnelabError(
            f"{title(source)}: the {NAMES[KINDS[kind]]} stream is {reason}; fetch or copy it again"
        ) from None


@contextmanager
def _opened(source: Source) -> Iterator[BinaryIO]:
    if str(source) == STANDARD_INPUT and sys.stdin is None:  # its number may be another file's by now
        raise AnelabError("standard input: is closed; name a file")
    if str(source) == STANDARD_INPUT:  # unbuffered: a lock held by a read that waits would abort Python's end
        with os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0) as handle:
            yield handle
    else:
        with Path(source).open("rb") as handle:
            yield handle


def _gathered(parts: Iterator[bytes]) -> Iterator[bytes]:
    few: list[bytes] = []
    size = 0
    for part in parts:
        few.append(part)
        size += len(part)
        if size >= LEAST_BYTES:
            yield part if len(few) == 1 else b"".join(few)
            few, size = [], 0
    if few:
        yield b"".join(few)


def _read(raw: BinaryIO, size: int) -> bytes:
    """So many bytes at most, none at the end. Input that is set not to block is waited for."""
    while (found := raw.read(size)) is None:
        select.select([raw], [], [])
    return found


def _plain(data: bytes, raw: BinaryIO) -> Iterator[bytes]:
    while data:
        yield data
        data = _read(raw, BLOCK_BYTES)


def _more(data: bytes, raw: BinaryIO) -> bytes:
    """`data` and what follows it, as much as a first look needs: a pipe may give less."""
    while len(data) < len(BGZF_END) and (found := _read(raw, READ_BYTES)):
        data += found
    return data


def _members(data: bytes, raw: BinaryIO, make: Callable[[], Decompressor]) -> Iterator[bytes]:
    """Member after member. Raises EOFError if the last one is not whole, or is one of bgzf that does not end the file,
    and what the library raises for damage."""
    member: Decompressor | None = None
    first = b""
    while data or (data := _read(raw, READ_BYTES)):
        if member is None:
            if not data.strip(b"\0"):  # tapes and xz pad with zeros
                data = b""
                continue
            data = _more(data, raw)
            member, first = make(), data[: len(BGZF_END)]
        while not member.eof:
            if out := member.decompress(data, BLOCK_BYTES):
                yield out
            data = b""
            if member.needs_input and not member.eof:
                break
        if member.eof:
            data, member = member.unused_data, None
    if member is not None or (first[12:16] == BGZF_EXTRA and first != BGZF_END):
        raise EOFError


def _igzip() -> Decompressor:
    from isal import igzip_lib

    found: Decompressor = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    return found


def _bzip2() -> Decompressor:
    from bz2 import BZ2Decompressor

    return BZ2Decompressor()


def _xz() -> Decompressor:
    from lzma import LZMADecompressor

    return LZMADecompressor()


def _zstd() -> Decompressor:
    from backports.zstd import ZstdDecompressor

    return ZstdDecompressor()


GZIP = b"\x1f\x8b"
KINDS: dict[bytes, Callable[[], Decompressor]] = {
    GZIP: _igzip,
    b"BZh": _bzip2,
    b"\xfd7zXZ\x00": _xz,
    b"\x28\xb5\x2f\xfd": _zstd,
    **{bytes([first]) + b"\x2a\x4d\x18": _zstd for first in range(0x50, 0x60)},  # frames to be skipped, as of pzstd
}
NAMES = {_igzip: "gzip", _bzip2: "bzip2", _xz: "xz", _zstd: "zstandard"}


def other_format(data: bytes) -> str:
    """What a message says of decompressed bytes that begin as no text of sequences does; empty for all others."""
    if kind := next((kind for kind in KINDS if data.startswith(kind)), b""):
        return f"still compressed ({NAMES[KINDS[kind]]} inside the stream that was read); decompress it once"
    return next((found for start, found in OTHER_FORMATS.items() if data.startswith(start)), "")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The items, made in a thread of its own, at most AHEAD before they are asked for; but on a single core, where two
    threads would only take turns in its caches, when they are asked for."""
    return items if _cores() == 1 else _ahead(items)


def _cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _ahead(items: Iterator[T]) -> Iterator[T]:
    queue: Queue[tuple[T | None, BaseException | None]] = Queue(AHEAD)
    stopped = Event()

    def put(item: tuple[T | None, BaseException | None]) -> None:
        while not stopped.is_set():
            try:
                queue.put(item, timeout=0.1)
                return
            except Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put((item, None))
                if stopped.is_set():
                    return
            put((None, None))
        except BaseException as error:  # told where the items are asked for
            put((None, error))

    thread = Thread(target=work, daemon=True, name="anelab-reads")
    thread.start()
    try:
        while True:
            try:
                item, error = queue.get(timeout=60)
            except Empty:
                continue
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        stopped.set()
        thread.join(timeout=PATIENCE_S)  # it may wait for input that never comes
