"""Transcripts of an annotation: GFF3 or GTF, told apart by what a line's last column is written like.

Read are lines `exon` and `CDS`, and what their transcripts and genes are. Coordinates come as the files have them:
from 1, both ends included, on the forward strand. What contradicts itself is an error that names file and line.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NoReturn
from urllib.parse import unquote

from anelab.errors import AnelabError
from anelab.sequences.streams import Source, read_bytes, title

COLUMNS = 9
STRANDS = {"+": 1, "-": -1}
NO_STRAND = (".", "?")
GTF_ATTRIBUTE = re.compile(r'\s*([^\s"=;]+)\s+("[^"]*"|[^";]+?)\s*(?:;|$)')
GFF3_ATTRIBUTE = re.compile(r'\s*[^\s"=;]+=')
PARTS = ("exon", "CDS")
LARGEST = 1 << 40
"""Of a coordinate."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """`exons`: (first, last) in rising order, none of which overlap; `strand` 1 or -1; `coding`: it has a CDS."""

    name: str
    gene: str
    contig: str
    strand: int
    exons: tuple[tuple[int, int], ...]
    coding: bool

    @property
    def introns(self) -> tuple[tuple[int, int], ...]:
        """(first, last) base of each, in rising order."""
        return tuple((left[1] + 1, right[0] - 1) for left, right in pairwise(self.exons))


@dataclass
class _Draft:
    """A transcript whose lines are being read; `line` is its first, `odd` why it is left out."""

    contig: str
    strand: int
    line: int
    gene: str = ""
    exons: list[tuple[int, int]] = field(default_factory=list)
    coding: bool = False
    odd: str = ""


def is_annotation(line: str) -> bool:
    """Whether a line of text, no comment, may be one of GFF3 or GTF."""
    cells = line.rstrip("\r\n").split("\t")
    return len(cells) == COLUMNS and cells[3].isdigit() and cells[4].isdigit() and cells[6] in ("+", "-", ".", "?")


def read_transcripts(source: Source, left_out: Counter[str] | None = None) -> list[Transcript]:
    """In the order of their first lines. Transcripts without a strand, and those on two strands or contigs, are left
    out; `left_out` counts them by reason. Raises AnelabError for lines that are none, exons that overlap, and a file
    without any exon."""
    drafts: dict[str, _Draft] = {}
    parents: dict[str, str] = {}
    for number, line in _lines(source):
        _read_line(source, number, line, drafts, parents)
    odd = Counter(draft.odd for draft in drafts.values() if draft.odd and draft.exons)
    if left_out is not None:
        left_out.update(odd)
    kept = [(name, draft) for name, draft in drafts.items() if draft.exons and not draft.odd]
    found = [_finished(source, name, draft, parents) for name, draft in kept]
    if odd and not found:
        raise AnelabError(f"{title(source)}: has no transcript that can be read; {dict(odd)}")
    if not found:
        raise AnelabError(f"{title(source)}: has no line `exon` of a transcript; give an annotation in GFF3 or GTF")
    return found


def _lines(source: Source) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each line that is no comment; a FASTA section ends them."""
    rest, number = b"", 0
    for data in read_bytes(source):
        parts = (rest + data).split(b"\n")
        rest = parts.pop()
        for part in parts:
            number += 1
            if part.startswith(b"##FASTA"):
                return
            if part.strip() and not part.startswith(b"#"):
                yield number, part.decode("utf-8", "replace").rstrip("\r")
    if rest.strip() and not rest.startswith(b"#"):
        yield number + 1, rest.decode("utf-8", "replace").rstrip("\r")


def _read_line(source: Source, number: int, line: str, drafts: dict[str, _Draft], parents: dict[str, str]) -> None:
    cells = line.split("\t")
    if len(cells) != COLUMNS:
        _refuse(source, number, f"has {len(cells)} columns between tabs; GFF3 and GTF have {COLUMNS}")
    contig, _, kind, first, last, _, strand, _, text = cells
    attributes = _attributes(text)
    if kind not in PARTS:
        if "ID" in attributes and "Parent" in attributes:
            parents[attributes["ID"]] = attributes["Parent"]
        return
    if not (first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last) <= LARGEST):
        _refuse(source, number, f"runs from {first} to {last}; both must be numbers from 1, the second not the smaller")
    names = attributes["Parent"].split(",") if "Parent" in attributes else [attributes.get("transcript_id", "")]
    if names == [""]:
        _refuse(source, number, f"this {kind} names no transcript (transcript_id or Parent)")
    if strand not in STRANDS and strand not in NO_STRAND:
        _refuse(source, number, f"this {kind} has the strand {strand!r}; it must be + or -")
    for name in names:
        sign = STRANDS.get(strand, 0)
        draft = drafts.setdefault(name, _Draft(contig, sign, number))
        if not sign:
            draft.odd = "transcripts have no strand"
        elif (draft.contig, draft.strand) != (contig, sign):
            draft.odd = draft.odd or "transcripts are on two strands or contigs"
        draft.gene = draft.gene or attributes.get("gene_id", attributes.get("gene", ""))
        if kind == "exon":
            draft.exons.append((int(first), int(last)))
        else:
            draft.coding = True


def _attributes(text: str) -> Mapping[str, str]:
    """Those of GFF3 (`key=value;`) or of GTF (`key "value";`)."""
    if not GFF3_ATTRIBUTE.match(text):
        return {key: value.strip('"') for key, value in GTF_ATTRIBUTE.findall(text)}
    pairs = (part.partition("=") for part in text.split(";"))
    return {key.strip(): unquote(value.strip()) for key, equals, value in pairs if equals}


def _finished(source: Source, name: str, draft: _Draft, parents: Mapping[str, str]) -> Transcript:
    exons = sorted(set(draft.exons))
    for left, right in pairwise(exons):
        if right[0] <= left[1]:
            _refuse(source, draft.line, f"{name} has exons that overlap: {left[0]}-{left[1]} and {right[0]}-{right[1]}")
    gene = parents.get(name) or draft.gene or name
    return Transcript(name, gene, draft.contig, draft.strand, tuple(exons), draft.coding)


def _refuse(source: Source, number: int, problem: str) -> NoReturn:
    raise AnelabError(f"{title(source)}: line {number}: {problem}")
