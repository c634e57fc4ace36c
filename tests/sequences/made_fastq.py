"""FASTQ, made up."""

from collections.abc import Sequence
from pathlib import Path

Record = tuple[str, str, str]
"""Header, bases, qualities."""


def text_of(records: Sequence[Record], newline: str = "\n", repeat: bool = False) -> str:
    lines = [f"@{head}{newline}{bases}{newline}+{head * repeat}{newline}{quality}" for head, bases, quality in records]
    return newline.join(lines)


def write(path: Path, records: Sequence[Record], newline: str = "\n", last: str = "\n", repeat: bool = False) -> Path:
    path.write_bytes((text_of(records, newline, repeat) + last).encode())
    return path
