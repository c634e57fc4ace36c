"""Mates by their names: one rule, for training and for scoring.

The reads of one fragment have one name but for a mark, 1 or 2, that says which mate a read is:

| mark | as in | who writes it |
|---|---|---|
| at the end of the name, after `/`, `.` or `_` | `x/1`, `SRR31.7.1`, `x_1` | Illumina before 1.8; SRA's tools; others |
| after `/`, a UMI behind it | `x/1:ACGT`, `x/1_ACGT_TTGCA` | tools that write UMIs into names |
| in the second word, the names being the same | `x 1:N:0:ACGT` | Illumina since 1.8 |
| none, the names being the same | `SRR31.7 7 length=90` | SRA's tools |

A fragment is a name without its mark, and without the UMI behind it. But names end in numbers that are no marks
(`SRR123.1`, `SRR123.2`, `SRR123.3` are three fragments), so a mark is one for all names of a file or for none:

- Training has all names of a file (`fragments_of`). `/`, `.` or `_` marks mates if, of the names with a number behind
  it, at most one in a hundred has another than 1 and 2; names without any may be among them. After `.` or `_` there
  must be one of the two in all of the file, or more than one fragment: `read.1` and `read.2` alone are two fragments.
  If several separators could mark mates, the one that most names have does, `/` before `.` before `_`.
- Scoring is given pairs, of two files or of one in which mates alternate, and sees them once (`MateCheck`). What the
  first pair shows holds for all: if its names differ in `.1` and `.2`, or in `_1` and `_2`, all do; if not, names are
  the same or differ in `/1` and `/2`.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anelab.sequences.fastq import SPACE, Block, Integers
from anelab.sequences.nucleotides import Bytes

SEPARATORS = SLASH, DOT, UNDERSCORE = "/", ".", "_"
MARKS = ("1", "2")
MOST_OTHERS = 0.01
"""Share of the numbers behind a separator that may be no marks."""
UMI = "ACGTN:_+-"
NUMBERED = re.compile(rf"(.*)(?:(/)(\d+)[:_][{UMI}]+|([/._])(\d+))", re.DOTALL)
"""Fragment, separator and number of a name that ends in one; a UMI stands behind `/` only."""
IN_COMMENT = re.compile(rb"([12]):[YN]:")

SAME, OTHER = 0, 255
"""Of a pair: names are the same; they are of no one fragment. What else is said of it is the separator of the marks."""
IS_UMI = np.isin(np.arange(256), np.frombuffer(UMI.encode(), np.uint8))


@dataclass(frozen=True)
class Fragments:
    """Of n reads: the `number` of the fragment of each, int64 [n], and its `mark`, uint8 [n]: 1, 2, or 0 for none."""

    number: Integers
    mark: Bytes


def fragments_of(names: Sequence[str], file: Integers, in_comment: Bytes) -> Fragments:
    """Of reads of any number of files: their names, the number of each one's file, and what its comment marks it as
    (`marks_in_comments`)."""
    numbers: dict[str, int] = {}
    number, mark = np.empty(len(names), np.int64), in_comment.copy()
    for one in np.unique(file).tolist():
        rows = np.flatnonzero(file == one)
        for row, (fragment, digit) in zip(rows.tolist(), _of_file([names[row] for row in rows]), strict=True):
            number[row] = numbers.setdefault(fragment, len(numbers))
            mark[row] = digit or mark[row]
    return Fragments(number, mark)


def marks_in_comments(block: Block) -> Bytes:
    """uint8 [n]: the mate that the second word of each header says, as of `x 1:N:0:ACGT`; 0 where it says none."""
    after = block.name_stops[:, None] + np.arange(5)
    letters = block.text[np.minimum(after, len(block.text) - 1)]
    fits = (letters[:, 0] <= SPACE) & (after[:, 4] < block.stops[:, 0])
    for place, allowed in enumerate((b"12", b":", b"YN", b":"), start=1):
        fits &= np.isin(letters[:, place], np.frombuffer(allowed, np.uint8))
    return np.where(fits, letters[:, 1] - np.uint8(ord("0")), np.uint8(0))


def mark_of(header: bytes) -> str:
    """1 or 2 as a header says by `/1` or ` 1:N:0`, which are nothing but marks; empty where it says neither."""
    name, comment = [*header.split(maxsplit=1), b"", b""][:2]
    _, separator, number = _numbered(name.decode("ascii", "replace"))
    if separator == SLASH and number in MARKS:
        return number
    found = IN_COMMENT.match(comment)
    return found[1].decode() if found else ""


def _numbered(name: str) -> tuple[str, str, str]:
    """What stands before a last number, its separator and the number; the name itself if it ends in none."""
    found = NUMBERED.fullmatch(name)
    return (found[1], found[2] or found[4], found[3] or found[5]) if found else (name, "", "")


def _of_file(names: Sequence[str]) -> list[tuple[str, int]]:
    """The fragment of each name of a file, and its mark, or 0."""
    parts = [_numbered(name) for name in names]
    marks = _separator(parts)
    return [
        (fragment, int(number)) if marks and separator == marks and number in MARKS else (name, 0)
        for name, (fragment, separator, number) in zip(names, parts, strict=True)
    ]


def _separator(parts: Sequence[tuple[str, str, str]]) -> str:
    """Which one marks mates in a file; empty if none does."""
    marks, others = Counter[str](), Counter[str]()
    numbers: dict[str, set[str]] = {one: set() for one in SEPARATORS}
    fragments: dict[str, set[str]] = {one: set() for one in SEPARATORS}
    for fragment, separator, number in parts:
        if number not in MARKS:
            others[separator] += 1
            continue
        marks[separator] += 1
        numbers[separator].add(number)
        fragments[separator].add(fragment)
    fit = [
        one
        for one in SEPARATORS
        if marks[one]
        and others[one] <= MOST_OTHERS * (marks[one] + others[one])
        and (one == SLASH or len(numbers[one]) == 1 or len(fragments[one]) > 1)
    ]
    return max(fit, key=lambda one: marks[one], default="")


class MateCheck:
    """Over all pairs of two files, or of one in which mates alternate."""

    def __init__(self) -> None:
        self._kind: int | None = None

    def first_fault(self, first: Block, second: Block) -> int | None:
        """The first row of the next pairs whose names are of no one fragment; None if all are mates."""
        kinds = _kinds(first, second)
        if self._kind is None and len(kinds):
            self._kind = int(kinds[0]) if kinds[0] in (ord(DOT), ord(UNDERSCORE)) else SAME
        mates = kinds == self._kind
        if self._kind == SAME:
            mates |= kinds == ord(SLASH)
        return None if mates.all() else int(mates.argmin())


def _kinds(first: Block, second: Block) -> Bytes:
    """uint8 [n]: SAME, the separator of marks 1 and 2, or OTHER. What follows the first OTHER is not looked into."""
    sizes = first.name_stops - first.starts[:, 0]
    width = int(sizes.max(initial=1))
    one, other = first.windows(width, 0), second.windows(width, 0)
    differ = (one != other) & (np.arange(width) < sizes[:, None])
    as_long = second.name_stops - second.starts[:, 0] == sizes
    kinds = np.where(as_long & ~differ.any(axis=1), np.uint8(SAME), np.uint8(OTHER))
    rows = np.flatnonzero(kinds)
    if rows.size:
        kinds[rows] = np.where(as_long[rows], _separators(one[rows], other[rows], differ[rows], sizes[rows]), OTHER)
        _kinds_of_umis(kinds, first, second)
    return kinds


def _separators(one: Bytes, other: Bytes, differ: NDArray[np.bool_], sizes: Integers) -> Bytes:
    """Of names as long as each other that differ in one character, 1 and 2: the character before it; else OTHER."""
    rows, place = np.arange(len(one)), differ.argmax(axis=1)
    before, after = one[rows, place - 1], np.minimum(place + 1, one.shape[1] - 1)
    marked = (differ.sum(axis=1) == 1) & (one[rows, place] == ord("1")) & (other[rows, place] == ord("2"))
    marked &= np.isin(before, np.frombuffer("".join(SEPARATORS).encode(), np.uint8))
    inside = np.flatnonzero(marked & (place < sizes - 1))
    if inside.size:
        columns = np.arange(one.shape[1])
        umi = IS_UMI[one[inside]] | (columns <= place[inside, None]) | (columns >= sizes[inside, None])
        starts = np.isin(one[inside, after[inside]], np.frombuffer(b":_", np.uint8))
        long = place[inside] + 2 < sizes[inside]
        marked[inside] = umi.all(axis=1) & starts & long & (before[inside] == ord(SLASH))
    return np.where(marked, before, np.uint8(OTHER))


def _kinds_of_umis(kinds: Bytes, first: Block, second: Block) -> None:
    """Mates may have UMIs of their own behind their marks; their names differ in more than these."""
    for row in np.flatnonzero(kinds == OTHER).tolist():
        one, other = (_numbered(block.name(row)) for block in (first, second))
        if one[:2] != other[:2] or one[1] != SLASH or (one[2], other[2]) != MARKS:
            return
        kinds[row] = ord(SLASH)
