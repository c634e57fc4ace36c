"""Tables of what is truly wrong with each read, as the simulator writes them and a user may.

gzip, tab-separated, with a header. `read_id` and `errors` (their number) are needed. `places` are the wrong bases,
counted from 1, with commas between; the simulator adds `expected_errors` (of the qualities stated),
`true_expected_errors`, `chance_of_none`, the true probability of a read without error, and `causes`: for each base a
hexadecimal digit, the sum of what makes its true chance of an error another one than its quality states (`GGC`,
`HOMOPOLYMER`, `OVERSTATED`, and `UNREAD`, an N).
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.texts import printable
from anelab.workloads.read_quality.encode import WIDTH

TRUTH_SUFFIX = ".truth.tsv.gz"
COLUMNS = ("read_id", "errors", "places", "expected_errors", "true_expected_errors", "chance_of_none", "causes")
MOST_LINE = 1 << 20
GGC, HOMOPOLYMER, OVERSTATED, UNREAD = 1, 2, 4, 8


class Truth(NamedTuple):
    """Of one read. `places` from 0; None if the table does not tell. `chance_of_none` NaN, `causes` empty if not."""

    errors: int
    places: tuple[int, ...] | None
    chance_of_none: float
    causes: str


def read_truth(path: Path) -> dict[str, Truth]:
    """By read_id. Raises AnelabError."""
    table = dict[str, Truth]()
    try:
        with gzip.open(path, "rt", encoding="utf-8") as handle:
            rows = _rows(handle)
            columns = {name: place for place, name in enumerate(next(rows, []))}
            if "read_id" not in columns:
                raise ValueError("its first line has no read_id")
            for row in rows:
                name = row[columns["read_id"]]
                if name in table:
                    raise ValueError(f"read {printable(name, 80)} occurs twice")
                table[name] = _truth(row, columns)
    except (OSError, EOFError, zlib.error, ValueError, LookupError) as error:
        raise AnelabError(
            f"{path}: must be a gzip table with a header and columns read_id and errors, parted by tabs, but: {error}"
        ) from None
    return table


def _rows(handle: TextIO) -> Iterator[list[str]]:
    """Line by line, so that a file that is no table is not held whole."""
    for number, line in enumerate(iter(lambda: handle.readline(MOST_LINE), ""), start=1):
        if len(line) == MOST_LINE:
            raise ValueError(f"line {number} has {MOST_LINE:,} characters or more")
        yield line.rstrip("\r\n").split("\t")


def _truth(row: list[str], columns: dict[str, int]) -> Truth:
    errors, places = int(row[columns["errors"]]), None
    if errors < 0:
        raise ValueError(f"{row[0]} has {errors} errors")
    if "places" in columns:
        places = tuple(int(place) - 1 for place in row[columns["places"]].split(",") if place)
        if not len(set(places)) == len(places) == errors or min(places, default=0) < 0:
            raise ValueError(f"{row[0]} has {errors} errors, but its places are {row[columns['places']]}")
    chance = float(row[columns["chance_of_none"]]) if "chance_of_none" in columns else float("nan")
    return Truth(errors, places, chance, row[columns["causes"]] if "causes" in columns else "")


def wrong_bases(truths: list[Truth]) -> NDArray[np.bool_] | None:
    """bool [n, WIDTH], True where a base is wrong; None if the places are not known."""
    found = np.zeros((len(truths), WIDTH), bool)
    for row, truth in enumerate(truths):
        if truth.places is None:
            return None
        found[row, [place for place in truth.places if place < WIDTH]] = True
    return found
