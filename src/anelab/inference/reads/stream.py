"""Reads from a pipe, their table to whoever takes it: `anelab score` without files."""

from collections.abc import Callable
from io import RawIOBase
from pathlib import Path
from typing import Any, Literal, cast

from anelab.errors import AnelabError
from anelab.inference.reads.run import PHRED_OPTION, Reading, Summary, Writer, header, score_units, units_of
from anelab.inference.reads.scorer import Scorer
from anelab.sequences.phred import Phred

PhredName = Literal["auto", "33", "64"]
OFFSETS: dict[PhredName, Phred] = {"auto": "auto", "33": 33, "64": 64}


class _Table(RawIOBase):
    """Begins with a line of names, also if there are no reads."""

    def __init__(self, head: bytes, take: Callable[[bytes], None]) -> None:
        self._head, self._take = head, take

    def write(self, part: Any) -> int:
        head, self._head = self._head, b""
        self._take(head + bytes(part))
        return len(part)


def score_pipe(reader: int, scorer: Scorer, phred: PhredName, take: Callable[[bytes], None]) -> Summary:
    """Of the FASTQ that comes from a pipe's descriptor; `take` gets the table, some thousand rows at a time. Raises
    AnelabError for what is no FASTQ, in words of a body that was sent, and what `take` raises."""
    source = Path(f"/dev/fd/{reader}")
    summary, table = Summary(scorer.name, whole=scorer.whole), _Table(header(scorer, "single"), take)
    writer = Writer(cast("Any", table), None, None)
    try:
        score_units(units_of([source], "single"), scorer, writer, Reading(phred=OFFSETS[phred]), summary)
    except AnelabError as error:
        raise AnelabError(str(error).replace(str(source), "body").replace(PHRED_OPTION, "phred=")) from None
    if not summary.reads:
        table.write(b"")
    return summary
