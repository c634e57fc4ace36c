"""Files of verdicts and reads: whole under their names, or not there."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from anelab.errors import UsageError
from anelab.files import replacing
from anelab.sequences.fastq import Block
from anelab.texts import check_standard_output

MATE = "{}"
LEVEL = 1
DECIMALS = 6
TAB, NEWLINE, POINT, ZERO = b"\t\n.0"
VERDICTS = np.frombuffer(b"FAILPASS", np.uint8).reshape(2, 4)
STANDARD_OUTPUT = "-"


def is_special(path: Path) -> bool:
    """Whether it is standard output, a device or a pipe, or a name of one: such are written through, never replaced."""
    if str(path) in (STANDARD_OUTPUT, "/dev/stdout", "/dev/stderr") or str(path).startswith(("/dev/fd/", "/proc/")):
        return True
    return path.exists() and not path.is_file() and not path.is_dir()


def files_of(path: Path, mates: bool) -> list[Path]:
    """The file of a name, or one of each mate if it has `{}`. Raises UsageError."""
    if path.suffix.lower() in (".bz2", ".xz", ".zst", ".zstd"):
        raise UsageError(f"{path}: outputs are plain or .gz; choose such a name")
    if not path.name:
        raise UsageError(f"an output needs a name but got '{path}'")
    if MATE not in str(path):
        return [path]
    if not mates:
        raise UsageError(f"{path}: {MATE} stands for the mate, 1 or 2; it needs --paired or --interleaved")
    return [Path(str(path).replace(MATE, mate)) for mate in ("1", "2")]


@contextmanager
def opened(path: Path, names: ExitStack) -> Iterator[IO[bytes]]:
    """A file that takes its name when `names` is left; gzip if it is called so. Standard output, pipes and devices are
    written as they are."""
    with ExitStack() as stack:
        if str(path) == STANDARD_OUTPUT:
            check_standard_output()
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        target = path if is_special(path) else names.enter_context(replacing(path.resolve()))
        if path.suffix.lower() == ".gz":
            from isal import igzip

            found: Any = igzip
            yield stack.enter_context(found.IGzipFile(target, "wb", LEVEL))
        else:
            yield stack.enter_context(target.open("wb"))


COLUMNS_OF_MATES = ("mate", "pair_verdict")
"""Behind the others, where reads are pairs."""


def lines(
    blocks: Sequence[Block], values: Sequence[NDArray[np.floating[Any]]], passes: Sequence[NDArray[np.bool_]]
) -> bytes:
    """Rows of the table: name, value, verdict. Rows of mates alternate, and have COLUMNS_OF_MATES too: 1 or 2, and the
    verdict of the pair."""
    width = max(int((block.name_stops - block.starts[:, 0]).max(initial=1)) for block in blocks) - 1
    largest = max(float(np.fmax.reduce(some, initial=0)) for some in values)  # which passes over NaN
    whole = len(str(int(largest + 10.0**-DECIMALS)))
    parts = [_rows(*row, width, whole) for row in zip(blocks, values, passes, strict=True)]
    if len(parts) == 1:
        body, kept = parts[0]
    else:
        pair = np.logical_and.reduce(passes)
        parts = [_with_mate(*part, mate, pair) for mate, part in enumerate(parts, start=1)]
        body, kept = (np.stack(side, axis=1).reshape(-1, side[0].shape[1]) for side in zip(*parts, strict=True))
    text: NDArray[np.uint8] = body[kept]
    return text.tobytes()


def _rows(
    block: Block, values: NDArray[np.floating[Any]], passes: NDArray[np.bool_], width: int, whole: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Characters of every row, and which of them are there; names in `width`, `whole` digits before the point."""
    digits, shown = _digits(values, whole)
    tail = digits.shape[1]
    body = np.empty((len(block), width + 1 + tail + 1 + 4 + 1), np.uint8)
    kept = np.ones(body.shape, bool)
    names = block.windows(width + 1, 0)
    body[:, :width] = names[:, 1:]
    kept[:, :width] = np.arange(width) < (block.name_stops - block.starts[:, 0] - 1)[:, None]
    body[:, width] = TAB
    body[:, width + 1 : width + 1 + tail] = digits
    kept[:, width + 1 : width + 1 + tail] = shown
    body[:, -6] = TAB
    body[:, -5:-1] = VERDICTS[passes.astype(np.intp)]
    body[:, -1] = NEWLINE
    return body, kept


def _with_mate(
    body: NDArray[np.uint8], kept: NDArray[np.bool_], mate: int, pair: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Rows with the columns that only mates have."""
    more = np.empty((len(body), 8), np.uint8)
    more[:, [0, 2]] = TAB
    more[:, 1] = ZERO + mate
    more[:, 3:7] = VERDICTS[pair.astype(np.intp)]
    more[:, 7] = NEWLINE
    return np.concatenate([body[:, :-1], more], axis=1), np.concatenate([kept[:, :-1], more > 0], axis=1)


def _digits(values: NDArray[np.floating[Any]], whole: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Decimal digits of values of 0 and more, and which of them are shown: all but leading zeros. NaN is nan."""
    missing = np.flatnonzero(np.isnan(values))
    scaled = np.rint(values.astype(np.float64) * 10**DECIMALS)
    scaled[missing] = 0
    scaled = scaled.astype(np.uint32 if scaled.max(initial=0) < 2**32 else np.uint64)  # the former is quicker
    body = np.empty((len(values), whole + 1 + DECIMALS), np.uint8)
    rest = scaled
    for place in (*range(body.shape[1] - 1, whole, -1), *range(whole - 1, -1, -1)):
        rest, digit = rest // 10, rest % 10
        body[:, place] = digit + ZERO
    body[:, whole] = POINT
    shown = np.ones(body.shape, bool)
    if whole > 1:
        shown[:, : whole - 1] = np.logical_or.accumulate(body[:, : whole - 1] != ZERO, axis=1)
    body[missing, -3:] = np.frombuffer(b"nan", np.uint8)
    shown[missing, :-3] = False
    return body, shown


class FastqFiles:
    """Reads as they came, of one verdict: into one file, or mates into two if the path has `{}`."""

    def __init__(self, handles: Sequence[IO[bytes]]) -> None:
        self._handles = handles

    def write(self, blocks: Sequence[Block], chosen: NDArray[np.bool_]) -> None:
        if len(self._handles) == len(blocks):
            for handle, block in zip(self._handles, blocks, strict=True):
                handle.write(_records(block, chosen))
        else:
            rows = np.flatnonzero(chosen).tolist()
            pieces = [_record(block, row) for row in rows for block in blocks]
            self._handles[0].write(b"".join(pieces))


@contextmanager
def fastq_files(path: Path | None, mates: bool, names: ExitStack) -> Iterator[FastqFiles | None]:
    if path is None:
        yield None
        return
    with ExitStack() as stack:
        yield FastqFiles([stack.enter_context(opened(one, names)) for one in files_of(path, mates)])


def _record(block: Block, row: int) -> bytes:
    return block.text[block.starts[row, 0] : block.ends[row]].tobytes()


def _records(block: Block, chosen: NDArray[np.bool_]) -> bytes:
    """The chosen records, neighbours in one piece where they are neighbours in the text."""
    rows = np.flatnonzero(chosen)
    if not rows.size:
        return b""
    starts, ends = block.starts[rows, 0], block.ends[rows]
    breaks = np.flatnonzero(starts[1:] != ends[:-1])
    bounds = zip(
        starts[np.append(0, breaks + 1)].tolist(), ends[np.append(breaks, len(rows) - 1)].tolist(), strict=True
    )
    return b"".join(block.text[start:stop].tobytes() for start, stop in bounds)
