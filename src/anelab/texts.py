"""Text and JSON that come from elsewhere: bounded before they are worked on, and shown without control characters."""

import errno
import json
import re
import reprlib
import sys
from datetime import UTC, datetime
from typing import Any

MOST_BYTES = 16 << 20
"""Of JSON. A list in three bytes takes 64 in memory."""
MOST_DEPTH = 64
MOST_VALUES = 1_000_000
MOST_TEXT = 100_000
"""Characters of one text in a record."""
MOST_NUMBER = 2**63
MOST_LINE = 10_000
"""Characters of a line of a result."""
SHOWN = 300
"""Characters of a text that comes from elsewhere, in a message."""
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Also what turns the direction of writing, and halves of characters."""
UNPRINTABLE = re.compile(CONTROL.pattern.replace(r"\x00-\x1f", r"\x00-\x08\x0b-\x1f"))
"""The same without lines and tabs."""
SURROGATES = re.compile(r"[\ud800-\udfff]")
"""Which no file can hold."""


def printable(text: object, most: int = SHOWN) -> str:
    """As one line of at most so many characters: control characters are written like \\x1b."""
    whole = str(text)[: most + 1]
    if not whole.isprintable():
        whole = CONTROL.sub(_escaped, whole)
    return whole if len(whole) <= most else f"{whole[: most - 3]}..."


def printable_lines(text: object, most: int | None = MOST_TEXT) -> str:
    """As `printable`, but lines and tabs stay."""
    return UNPRINTABLE.sub(_escaped, str(text)[:most])


def echo(text: object) -> None:
    """Print a line of a result. What it holds may be anybody's, so it stays one line, without control characters."""
    print(printable(text, MOST_LINE), flush=True)


def echo_lines(text: object) -> None:
    """Print lines whose values are `printable` already."""
    print(printable_lines(text, None), flush=True)


def check_standard_output() -> None:
    """Raises OSError if it is closed, in which case Python has none."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "is closed", "standard output")


def notify(text: object) -> None:
    """Print a message to standard error. Only its first line begins at the edge: the others, which may be anybody's, do
    not pass for messages of ours."""
    print(re.sub(r"\n(?! )", "\n  ", printable_lines(text)), file=sys.stderr, flush=True)


def utc_time(milliseconds: float) -> str:
    """A moment in UTC, to the minute; what no calendar has is said to be unknown."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return "time unknown"


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def parse_json(data: bytes | str, control: bool = True) -> Any:
    """JSON of at most MOST_BYTES and MOST_DEPTH, without NaN; `control`: control characters are taken. Raises
    ValueError that says what it is instead."""
    if len(data) > MOST_BYTES:
        raise ValueError(f"{len(data):,} bytes, at most {MOST_BYTES:,} are taken")
    if _values(data) > MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES:,} values")
    try:
        value = json.loads(data, parse_constant=_no_number)
    except RecursionError:
        raise ValueError(f"lists in lists, more than {MOST_DEPTH} deep") from None
    _check_values(value, SURROGATES if control else UNPRINTABLE)
    return value


def _values(data: bytes | str) -> int:
    """As many as there are at most: there is a sign before each but the first."""
    if isinstance(data, str):
        return sum(map(data.count, ",[{"))
    return sum(map(data.count, (b",", b"[", b"{")))


def value_text(value: object, most: int = 80) -> str:
    """A value of any size as a few characters of code."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = most
    return printable(short.repr(value), most)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _check_values(value: Any, refused: re.Pattern[str]) -> None:
    """Raises ValueError for values that no record of ours has: too deep, too long, too large, of refused characters."""
    waiting = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        if isinstance(one, str):
            _check_text(one, refused)
        elif isinstance(one, int | float):
            if not -MOST_NUMBER < one < MOST_NUMBER:
                raise ValueError(f"a number is {printable(repr(one), 40)}; at most 2^63 is taken")
        elif isinstance(one, list | dict):
            if depth >= MOST_DEPTH:
                raise ValueError(f"lists in lists, more than {MOST_DEPTH} deep")
            inner = one if isinstance(one, list) else [*one.keys(), *one.values()]
            waiting += [(part, depth + 1) for part in inner]


def _check_text(text: str, refused: re.Pattern[str]) -> None:
    if len(text) > MOST_TEXT:
        raise ValueError(f"a text has {len(text):,} characters, at most {MOST_TEXT:,} are taken: {printable(text, 40)}")
    if not text.isprintable() and (found := refused.search(text)):
        raise ValueError(f"a text has the control character {_escaped(found)}: {printable(text, 80)}")


def one_line(text: str) -> str:
    """Without tabs and ends of lines, which names in GFF3 may have."""
    return re.sub(r"[\t\r\n]", "_", text)
