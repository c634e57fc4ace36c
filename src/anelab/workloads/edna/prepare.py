"""FASTA or FASTQ and tables of taxa to distinct, labelled, split sequences, and the card that says what was found."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.files import write_json
from anelab.learning.base import SPLITS, DataCard
from anelab.sequences.arrays import SequenceArray, join
from anelab.sequences.kmers import BITS
from anelab.sequences.records import Records, is_sequences, read_all
from anelab.sequences.taxonomy import (
    NOTHING,
    RANKS,
    SPECIES,
    Lineage,
    Taxonomy,
    join_labels,
    lineage_of_header,
    read_lineages,
)
from anelab.workloads.edna.config import Config
from anelab.workloads.edna.splits import Parts, split_sequences

SHOWN = 5
"""Examples in a message."""


@dataclass
class Labelled:
    """Distinct sequences with their lineages, and what happened to the others."""

    names: list[str]
    sequences: SequenceArray
    lineages: list[Lineage]
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def prepare(config: Config, files: Sequence[Path], out: Path) -> DataCard:
    """Write letters, offsets, taxa and kinds of each split's rows, and the names of taxa, into the folder `out`."""
    labelled = distinct(_usable(read_labelled(files), config))
    taxonomy = Taxonomy.of(labelled.lineages)
    parts = split_sequences(config, labelled.sequences, taxonomy)
    for name in SPLITS:
        _write(out, name, labelled.sequences, taxonomy, parts)
    write_json(out / "taxa.json", dict(zip(RANKS, taxonomy.names, strict=True)))
    return _card(config, labelled, taxonomy, parts)


def _write(out: Path, name: str, sequences: SequenceArray, taxonomy: Taxonomy, parts: Parts) -> None:
    rows = parts.rows[name]
    chosen = sequences.take(rows)
    arrays: dict[str, NDArray[Any]] = {"letters": chosen.letters, "offsets": chosen.offsets}
    for part, array in {**arrays, "taxa": taxonomy.codes[rows], "kind": parts.kinds[name]}.items():
        np.save(out / f"{name}.{part}.npy", array)


def read_labelled(files: Sequence[Path]) -> Labelled:
    """All sequences of all files, each with its lineage: of the tables among the files, joined by id, or, without any,
    of the headers. Raises AnelabError if a sequence has no label."""
    tables = [path for path in files if not is_sequences(path)]
    sources = [path for path in files if path not in tables]
    if not sources:
        raise AnelabError("none of the files is FASTA or FASTQ; give one, and a table of taxa if its headers have none")
    lineages: dict[str, Lineage] = {}
    for path in tables:
        more = read_lineages(path)
        clash = next((name for name in lineages.keys() & more.keys() if lineages[name] != more[name]), None)
        if clash is not None:
            raise AnelabError(f"{path}: {clash} has another label in another table; give each sequence one")
        lineages |= more
    records = [read_all(path) for path in sources]
    names = [name for part in records for name in part.names]
    if len(set(names)) < len(names):
        raise AnelabError(_repeated(names))
    where = ", ".join(str(path) for path in sources)
    found = join_labels(names, lineages, where) if tables else _of_headers(records, where)
    names = [name.partition(";tax=")[0] for name in names]
    labelled = Labelled(names, join(part.sequences for part in records), found)
    labelled.facts["unused labels"] = len(lineages.keys() - set(names))
    return labelled


def _repeated(names: Sequence[str]) -> str:
    twice = next(name for name, count in Counter(names).items() if count > 1)
    return f"two sequences have the id {twice}; labels are joined by id, so each must have its own"


def _of_headers(records: Sequence[Records], where: str) -> list[Lineage]:
    found = [lineage_of_header(*pair) for part in records for pair in zip(part.names, part.descriptions, strict=True)]
    unlabelled = sum(line == NOTHING for line in found)
    if unlabelled:
        raise AnelabError(
            f"{where}: {unlabelled:,} of {len(found):,} headers tell no taxon; add a table of ids and taxa, or "
            "write headers as '>id Genus species' or '>id;tax=d:...,s:...;'"
        )
    return found


def _usable(labelled: Labelled, config: Config) -> Labelled:
    """Without sequences that are too short, or of which too many letters are none of ACGT."""
    sequences = labelled.sequences
    odd = np.add.reduceat(np.append(BITS[sequences.letters] == 4, False), sequences.offsets[:-1])
    short = sequences.lengths < config.data.min_length
    unclear = ~short & (odd > config.data.max_ambiguous * sequences.lengths)
    keep = np.flatnonzero(~short & ~unclear)
    facts = {**labelled.facts, "too short": int(short.sum()), "too ambiguous": int(unclear.sum())}
    return taken(labelled, keep, facts, labelled.warnings)


def taken(labelled: Labelled, rows: NDArray[np.int64], facts: dict[str, Any], warnings: list[str]) -> Labelled:
    names, lineages = ([values[row] for row in rows] for values in (labelled.names, labelled.lineages))
    return Labelled(names, labelled.sequences.take(rows), lineages, facts, warnings)


def distinct(labelled: Labelled) -> Labelled:
    """Each sequence once. Where equal ones have different taxa, the ranks in which they differ are left empty."""
    first: dict[bytes, int] = {}
    places = [first.setdefault(digest, row) for row, digest in enumerate(labelled.sequences.digests())]
    lineages, clashing = list(labelled.lineages), dict[int, set[str]]()
    for row, place in enumerate(places):
        if lineages[place] != labelled.lineages[row]:
            clashing.setdefault(place, {labelled.lineages[place][SPECIES]}).add(labelled.lineages[row][SPECIES])
            lineages[place] = _agreed(lineages[place], labelled.lineages[row])
    rows = np.array(list(first.values()), np.int64)
    facts = {**labelled.facts, "duplicates": len(places) - len(rows), "with conflicting labels": len(clashing)}
    warnings = list(labelled.warnings)
    if clashing:
        examples = "; ".join(", ".join(sorted(names)) for names in list(clashing.values())[:SHOWN])
        warnings.append(
            f"{len(clashing):,} sequences occur under several taxa; they keep the ranks that agree. Such as: {examples}"
        )
    return taken(Labelled(labelled.names, labelled.sequences, lineages), rows, facts, warnings)


def _agreed(one: Lineage, other: Lineage) -> Lineage:
    """The ranks down to the first in which both are known and differ; where one is empty, the other's."""
    found = []
    for left, right in zip(one, other, strict=True):
        if left and right and left != right:
            break
        found.append(left or right)
    return (*found, *NOTHING[len(found) :])


def _card(config: Config, labelled: Labelled, taxonomy: Taxonomy, parts: Parts) -> DataCard:
    origin = "simulated genes: NOT a real marker" if config.data.simulated else "FASTA or FASTQ files"
    lengths = labelled.sequences.lengths
    known = {rank: int((taxonomy.codes[:, place] >= 0).sum()) for place, rank in enumerate(RANKS)}
    facts = {
        **labelled.facts,
        "sequences": len(lengths),
        "bases, shortest, median, longest": [int(lengths.min()), int(np.median(lengths)), int(lengths.max())],
        "taxa": {rank: len(names) for rank, names in zip(RANKS, taxonomy.names, strict=True)},
        "sequences with the rank": known,
    }
    rows = {name: len(parts.rows[name]) for name in SPLITS}
    kinds = {name: parts.counts(name) for name in SPLITS}
    warnings = [*labelled.warnings, *parts.warnings]
    return DataCard(origin, rows, kinds, facts, warnings=[origin, *warnings] if config.data.simulated else warnings)
