"""Taxa of sequences: seven ranks by name, from tables or from headers."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.sequences.streams import other_format, read_bytes

RANKS = ("domain", "phylum", "class", "order", "family", "genus", "species")
SPECIES, GENUS, FAMILY = 6, 5, 4
LETTERS = {"d": 0, "k": 0, "p": 1, "c": 2, "o": 3, "f": 4, "g": 5, "s": 6}
"""Of QIIME's `d__` and SINTAX's `d:`; a kingdom stands where a domain does."""
COLUMNS = {**{name: place for place, name in enumerate(RANKS)}, "kingdom": 0, "superkingdom": 0}
ID_COLUMNS = (
    "feature id",
    "featureid",
    "id",
    "sequence_id",
    "seqid",
    "accession",
    "name",
    "query",
    "#otu id",
    "otu id",
    "otu_id",
    "asv",
    "asv_id",
    "seq_id",
    "processid",
    "#name",
)
TAXON_COLUMNS = ("taxon", "taxonomy", "lineage")
LABEL_COLUMNS = ("label", "class_label", "species_name", "scientific_name")
NO_NAMES = {"", "na", "n/a", "nan", "none", "null", "unassigned", "unclassified", "unidentified", "unknown"}
NO_NAME = re.compile(
    r"(uncultured|unidentified|unclassified|unknown|environmental|metagenome)\b.*"
    r"|.*\b(spp?\.?|metagenome|incertae sedis)",
    re.IGNORECASE,
)
"""A name that many taxa bear: `Danio sp.`, `uncultured bacterium`; but not `Danio sp. KB-1`."""
BINOMIAL = re.compile(r"([A-Z][a-z]+)[ _]([a-z][a-z-]+)\b")
QIIME = re.compile(r"\b(?:[dkp]|D_0)__")
PREFIX = re.compile(r"\s*([a-z]|D_[0-6])__(.*)", re.IGNORECASE | re.DOTALL)
"""Of QIIME, and as older releases of SILVA for it number them: `D_0__Bacteria`."""
SINTAX = re.compile(r"\btax=([^;]+)")
Lineage = tuple[str, ...]
"""Seven names; an empty one is not known."""
NOTHING: Lineage = ("",) * len(RANKS)


@dataclass(frozen=True)
class Taxonomy:
    """`codes`: int32 [n, 7]; the place of the name in `names` of that rank, -1 if it is not known."""

    codes: NDArray[np.int32]
    names: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, lineages: Iterable[Lineage]) -> "Taxonomy":
        """Names in the order of the alphabet."""
        lines = list(lineages)
        columns, names = [], []
        for rank in range(len(RANKS)):
            column = [line[rank] for line in lines]
            kept = sorted(set(column) - {""})
            place = {name: at for at, name in enumerate(kept)} | {"": -1}
            columns.append([place[name] for name in column])
            names.append(tuple(kept))
        return cls(np.array(columns, np.int32).T.reshape(-1, len(RANKS)), tuple(names))

    def __len__(self) -> int:
        return len(self.codes)

    def lineage(self, row: int) -> Lineage:
        return tuple(self.name(rank, int(code)) for rank, code in enumerate(self.codes[row]))

    def name(self, rank: int, code: int) -> str:
        return self.names[rank][code] if code >= 0 else ""

    def take(self, rows: NDArray[Any]) -> "Taxonomy":
        """Of those rows; codes mean the same."""
        return Taxonomy(self.codes[rows], self.names)


def parse_lineage(text: str) -> Lineage:
    """`d__Eukaryota;p__Chordata;...;s__Danio rerio` (QIIME), `d:...,p:...` (SINTAX), seven names between semicolons, or
    one name, which is a species."""
    text = text.strip().strip("\"'").rstrip("; ")
    if re.match(r"[a-z]:", text, re.IGNORECASE):
        return _by_letters((part[:1], part[2:]) for part in text.split(","))
    parts = text.split(";")
    prefixed = [PREFIX.fullmatch(part) for part in parts]
    if any(prefixed):
        return _by_letters((found[1], found[2]) for found in prefixed if found)
    if len(parts) == 1:
        return _finished([*NOTHING[:-1], parts[0]])
    if len(parts) > len(RANKS):
        raise AnelabError(f"{len(parts)} ranks where at most {len(RANKS)} are known: {text[:80]}")
    return _finished([*parts, *NOTHING[len(parts) :]])


def _by_letters(pairs: Iterable[tuple[str, str]]) -> Lineage:
    found = list(NOTHING)
    for prefix, name in pairs:
        letter = prefix.lower() if len(prefix) == 1 else "dpcofgs"[int(prefix[-1])]
        if letter in LETTERS and not (letter == "k" and found[0]):  # where both are, the domain counts
            found[LETTERS[letter]] = name
    return _finished(found)


def _finished(names: Sequence[str]) -> Lineage:
    """Without spaces, quotes and words for what is not known; a species' epithet after its genus."""
    found = [" ".join(name.strip().strip("\"'").replace("_", " ").split()) for name in names]
    found = ["" if name.lower() in NO_NAMES or NO_NAME.fullmatch(name) else name for name in found]
    genus, species = found[GENUS], found[SPECIES]
    if species and genus and " " not in species and species != genus:
        found[SPECIES] = f"{genus} {species}"
    elif not genus and (binomial := BINOMIAL.match(species)):
        found[GENUS] = binomial[1]
    return tuple(found)


def lineage_of_header(name: str, description: str) -> Lineage:
    """Of a record: `tax=d:...,p:...;` (SINTAX), a lineage of QIIME or of names between semicolons, as the last of
    several columns too, or a description that begins with genus and species. Empty if it is none of them. Raises
    AnelabError for a lineage of too many ranks."""
    if found := SINTAX.search(f"{name} {description}"):
        return parse_lineage(found[1])
    lineage = NOTHING
    if columns := [text for text in description.split("\t") if _is_lineage(text)]:
        try:
            lineage = parse_lineage(columns[-1])
        except AnelabError as error:
            raise AnelabError(f"header of {name}: {error}") from None
    found = BINOMIAL.match(description)
    if found and not lineage[SPECIES] and (lineage == NOTHING or lineage[GENUS] == found[1]):
        return _finished([*lineage[:GENUS], found[1], f"{found[1]} {found[2]}"])
    return lineage


def _is_lineage(text: str) -> bool:
    """Not `Danio rerio voucher 7, partial sequence; tRNA-Val gene, complete sequence; and ...` of GenBank."""
    return bool(QIIME.search(text)) or (text.count(";") > 1 and not BINOMIAL.match(text))


def read_lineages(path: Path) -> dict[str, Lineage]:
    """By sequence id: of a TSV or CSV table, compressed or not, with a column of ids and one of lineages, or one of
    each rank, or one of labels. Without a header, the first column has ids and the second lineages. Raises
    AnelabError."""
    data = b"".join(read_bytes(path))
    if (found := other_format(data)) or b"\0" in data[:4096]:
        raise AnelabError(f"{path}: this is {found or 'no text'}, not a table of labels and not FASTA or FASTQ")
    text = data.decode("utf-8-sig", "replace")
    rows = _rows(path, text)
    first = next(rows, None)
    if first is None:
        raise AnelabError(f"{path}: is empty; a table of labels has a line for each sequence")
    columns = _columns(first[1])
    if not columns and (len(first[1]) > 2 or set(map(_plain, first[1])) & {*TAXON_COLUMNS, *LABEL_COLUMNS, *COLUMNS}):
        known = ", ".join(ID_COLUMNS)
        raise AnelabError(
            f"{path}: no column of the first line, {', '.join(first[1])[:80]}, is one of sequence ids; name it one of: "
            f"{known}. Without a header a table has two columns, ids and taxa"
        )
    lineages: dict[str, Lineage] = {}
    for line, cells in rows if columns else [first, *rows]:
        name, lineage = _parsed(path, line, cells, columns or {"id": 0, "taxon": 1})
        if lineages.setdefault(name, lineage) != lineage:
            raise AnelabError(f"{path}, line {line}: {name} has another label above; give each sequence one")
    return lineages


def _rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and cells of the lines that are not empty."""
    head = text.partition("\n")[0]
    comma = "\t" not in head and "," in head
    reader = csv.reader(
        io.StringIO(text), delimiter="," if comma else "\t", quoting=csv.QUOTE_MINIMAL if comma else csv.QUOTE_NONE
    )
    for cells in reader:
        if cells and not (cells[0].startswith("#q2:") or not "".join(cells).strip()):
            yield reader.line_num, cells


def _plain(cell: str) -> str:
    return cell.strip().lower()


def _columns(header: Sequence[str]) -> dict[str, int]:
    """Places of what is needed, by what it is; empty if this is no header."""
    names = [_plain(cell) for cell in header]
    key = next((names.index(name) for name in ID_COLUMNS if name in names), None)
    if key is None:
        return {}
    for kind, known in (("taxon", TAXON_COLUMNS), ("label", LABEL_COLUMNS)):
        if kind == "label" and (
            ranks := {f"rank {COLUMNS[name]}": names.index(name) for name in reversed(COLUMNS) if name in names}
        ):
            return {"id": key, **ranks}
        place = next((names.index(name) for name in known if name in names), None)
        if place is not None:
            return {"id": key, "taxon": place}
    return {"id": key, "taxon": 1 if key == 0 else 0} if len(names) == 2 else {}


def _parsed(path: Path, line: int, cells: Sequence[str], columns: Mapping[str, int]) -> tuple[str, Lineage]:
    if len(cells) <= max(columns.values()):
        raise AnelabError(f"{path}, line {line}: has {len(cells)} columns, but {max(columns.values()) + 1} are needed")
    name = cells[columns["id"]].strip()
    if not name:
        raise AnelabError(f"{path}, line {line}: has no sequence id")
    if "taxon" in columns:
        try:
            return name, parse_lineage(cells[columns["taxon"]])
        except AnelabError as error:
            raise AnelabError(f"{path}, line {line}: {error}") from None
    ranks = [cells[columns[f"rank {rank}"]] if f"rank {rank}" in columns else "" for rank in range(len(RANKS))]
    return name, _finished(ranks)


def join_labels(names: Sequence[str], lineages: Mapping[str, Lineage], where: str) -> list[Lineage]:
    """The lineage of each sequence, by its id. Raises AnelabError if one has none."""
    missing = [name for name in names if name not in lineages]
    if missing:
        shown = ", ".join(missing[:3])
        raise AnelabError(
            f"{where}: {len(missing):,} of {len(names):,} sequences have no label, such as {shown}; the ids of both "
            "files must be the same words (a sequence's id ends at the first space)"
        )
    return [lineages[name] for name in names]
