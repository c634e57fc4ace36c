"""Tables as parts of rows: text between tabs or commas, of any compression, or Parquet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from anelab.errors import AnelabError
from anelab.sequences.streams import read_bytes

PARQUET = b"PAR1"
ROWS_AT_ONCE = 20_000
QUOTED = r'^"(.*)"$'
"""A cell in quotation marks; they are taken off."""


def is_table(head: bytes) -> bool:
    """Whether a file that begins so may be a table of windows: Parquet, or a line with a column of sequences."""
    if head.startswith(PARQUET):
        return True
    line = head.partition(b"\n")[0]
    return not line.startswith((b">", b"#", b"@")) and (b"\t" in line or b"," in line) and not _numbers(line)


def _numbers(line: bytes) -> bool:
    """Whether it is a line of GFF or GTF without a header."""
    cells = line.split(b"\t")
    return len(cells) == 9 and cells[3].isdigit()


@dataclass(frozen=True)
class Part:
    """Rows of a table as text; `line` is the number of the first one's line, or of its row in Parquet."""

    frame: pl.DataFrame
    line: int
    unit: str = "line"


def read_parts(path: Path) -> Iterator[Part]:
    """The first has no rows: it says what the columns are."""
    if path.is_file() and path.open("rb").read(4) == PARQUET:
        yield from _parquet_parts(path)
    else:
        yield from _text_parts(path)


def _parquet_parts(path: Path) -> Iterator[Part]:
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(path)
        _check_names(path, opened.schema_arrow.names)
        yield Part(pl.DataFrame({name: [] for name in opened.schema_arrow.names}), 1, "row")
        row = 1
        for batch in opened.iter_batches(ROWS_AT_ONCE):
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            yield Part(pl.DataFrame([_as_text(column) for column in frame]), row, "row")
            row += len(frame)
    except (OSError, ValueError) as error:
        raise AnelabError(f"{path}: is no Parquet that can be read ({error})") from None


def _as_text(column: pl.Series) -> pl.Series:
    try:
        return column.cast(pl.String)
    except pl.exceptions.PolarsError:  # lists and the like
        return pl.Series(column.name, [None if value is None else str(value) for value in column.to_list()], pl.String)


def _text_parts(path: Path) -> Iterator[Part]:
    header: list[str] = []
    separator, line, rest = "\t", 1, b""
    for data in read_bytes(path):
        text = rest + data
        end = text.rfind(b"\n") + 1
        end -= _blank_lines_at(text[:end])  # they may be the end of the file
        text, rest = text[:end], text[end:]
        if not header and text:
            first, _, text = text.partition(b"\n")
            header, separator = _header(path, first)
            yield Part(pl.DataFrame({name: [] for name in header}, schema=dict.fromkeys(header, pl.String)), line)
            line += 1
        if text:
            yield from _frames(path, text, header, separator, line)
            line += text.count(b"\n")
    if rest.strip():
        if not header:
            raise AnelabError(f"{path}: has one line only; a table has a line of names and rows")
        yield from _frames(path, rest + b"\n", header, separator, line)
    if not header:
        raise AnelabError(f"{path}: is empty; a table of windows has a line of names and rows")


def _blank_lines_at(text: bytes) -> int:
    """Bytes of blank lines at its end."""
    return max(len(text) - len(text.rstrip(b"\r\n")) - (2 if text.rstrip(b"\n").endswith(b"\r") else 1), 0)


def _header(path: Path, line: bytes) -> tuple[list[str], str]:
    try:
        text = line.decode("utf-8-sig").rstrip("\r")
    except UnicodeDecodeError:
        raise AnelabError(f"{path}: line 1: is no text in UTF-8; give a table with names of columns") from None
    separator = "\t" if "\t" in text else ","
    names = [name.strip().strip('"') for name in text.split(separator)]
    _check_names(path, names)
    return names, separator


def _check_names(path: Path, names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise AnelabError(f"{path}: has more than one column {', '.join(twice)}; each needs a name of its own")


def _frames(path: Path, text: bytes, header: Sequence[str], separator: str, line: int) -> Iterator[Part]:
    """All lines with as many cells as the header has."""
    letters = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(letters == ord("\n"))
    cells = np.diff(np.searchsorted(np.flatnonzero(letters == ord(separator)), ends), prepend=0) + 1
    wrong = np.flatnonzero(cells != len(header))
    if wrong.size:
        start = int(ends[wrong[0] - 1]) + 1 if wrong[0] else 0
        blank = not text[start : int(ends[wrong[0]])].strip()
        what = "is blank" if blank else f"has {cells[wrong[0]]} cells, but line 1 names {len(header)} columns"
        if separator == "," and not blank:
            what += "; commas inside quotation marks part cells here, so give such a table with tabs"
        raise AnelabError(f"{path}: line {line + int(wrong[0])}: {what}")
    try:
        frame = pl.read_csv(
            text.replace(b"\r\n", b"\n"),
            has_header=False,
            new_columns=list(header),
            separator=separator,
            quote_char=None,
            infer_schema=False,
            empty_string_is_null=False,
        )
    except pl.exceptions.PolarsError as error:
        raise AnelabError(f"{path}: after line {line - 1}: cannot be read as text in UTF-8 ({error})") from None
    yield Part(frame.with_columns(pl.all().str.replace(QUOTED, "${1}")), line)


def header_of(path: Path) -> list[str]:
    """Names of its columns."""
    return next(read_parts(path)).frame.columns


def read_cells(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Number of each line, or row, and its cells by column, as text."""
    for part in read_parts(path):
        for place, cells in enumerate(part.frame.iter_rows(named=True)):
            yield part.line + place, {name: "" if value is None else str(value) for name, value in cells.items()}
