"""Labels of reads, and, where a label counts errors, which bases are wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.learning.base import Array
from anelab.sequences.fastq import Integers
from anelab.sequences.nucleotides import PAD_CODE, Bytes
from anelab.workloads.read_quality.config import ReadsDataConfig
from anelab.workloads.read_quality.encode import PAD_SCORE, WIDTH
from anelab.workloads.read_quality.groups import mates_of, together
from anelab.workloads.read_quality.labels import by_rule
from anelab.workloads.read_quality.library import ReadSet
from anelab.workloads.read_quality.overlap import LEAST_OVERLAP, Overlaps, find_overlaps
from anelab.workloads.read_quality.truth import TRUTH_SUFFIX, Truth, read_truth, wrong_bases

MOST_UNDECIDED = 0.5
"""Share of the pairs that differ. Where they are left out, reads without errors remain."""


@dataclass(frozen=True)
class Labelled:
    """Of m reads: `rows` [m] among all; `raw` as the model sees them; `group` [m], what must stay in one split; `label`
    [m], True is PASS; `targets`, more arrays of the same rows; `facts` for the data card."""

    rows: Integers
    raw: Bytes
    group: Integers
    label: NDArray[np.bool_]
    targets: dict[str, Array] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def label_reads(reads: ReadSet, truths: Sequence[Path], data: ReadsDataConfig) -> Labelled:
    """Raises AnelabError where a label asks for what is not there."""
    if data.label == "true_errors":
        return _of_truth(reads, truths, data)
    if data.label == "overlap":
        return _of_overlaps(reads, data)
    label = by_rule(reads.raw, data)
    assert label is not None
    return Labelled(np.arange(len(label)), reads.raw, reads.group, label)


def _of_truth(reads: ReadSet, paths: Sequence[Path], data: ReadsDataConfig) -> Labelled:
    truths = _truths(reads, paths)
    label = np.array([truth.errors for truth in truths]) <= data.max_errors
    wrong = wrong_bases(truths)
    return Labelled(np.arange(len(label)), reads.raw, reads.group, label, {} if wrong is None else {"wrong": wrong})


def _truths(reads: ReadSet, paths: Sequence[Path]) -> list[Truth]:
    """What the tables say of each read."""
    if not paths:
        raise AnelabError(
            f"read_quality.data.label=true_errors needs a truth table (*{TRUTH_SUFFIX}: read_id, errors) among "
            "read_quality.data.source; without one use label: mean_quality, or, for mates that overlap, label: overlap"
        )
    cut = int((reads.lengths > WIDTH).sum())
    if cut:
        raise AnelabError(
            f"read_quality.data.label=true_errors counts the errors of whole reads, but {cut} reads are longer than "
            f"the {WIDTH} bases that the model sees; cut them and their truth table first"
        )
    by_name: dict[str, Truth] = {}
    for path in paths:
        table = read_truth(path)
        if twice := by_name.keys() & table.keys():
            raise AnelabError(f"{path}: has read {min(twice)}, which another truth table has too")
        by_name |= table
    missing = [name for name in reads.names if name not in by_name]
    if missing:
        raise AnelabError(f"{paths[0]}: has no row for {len(missing)} reads, the first is {missing[0]}")
    found = [by_name[name] for name in reads.names]
    for name, truth, length in zip(reads.names, found, reads.lengths.tolist(), strict=True):
        if max(truth.places or (-1,)) >= length:
            raise AnelabError(
                f"{paths[0]}: read {name} has {length} bases, but an error at place {max(truth.places or ()) + 1}; "
                "is the table of other reads, or of reads before they were cut?"
            )
    return found


def _of_overlaps(reads: ReadSet, data: ReadsDataConfig) -> Labelled:
    """Each read's piece that overlaps its mate, in its place among pads: what lies outside has no label, so the model
    does not see it. Whole reads tell of each other, also of what they cover beyond the bases that the model sees."""
    assert reads.codes is not None
    first, second = mates_of(reads.names, reads.fragments)
    parts, facts = [], []
    for library in np.unique(reads.library).tolist():
        inside = np.flatnonzero(reads.library == library)
        ours = reads.library[first] == library
        files = reads.files_of(library)
        _check_mates(int(ours.sum()), files)
        place = np.searchsorted(inside, [first[ours], second[ours]])
        found = find_overlaps(reads.codes[inside], place[0], place[1])
        _check_trusted(found, files, data)
        covered, wrong = found.covered[:, :WIDTH], found.wrong[:, :WIDTH]
        seen = covered.sum(axis=1) >= LEAST_OVERLAP
        parts.append((inside[found.rows], covered, wrong, found.abundance / len(inside), seen))
        facts.append(_facts(found, files) | {"bases": int(covered.sum()), "wrong_bases": int(wrong.sum())})
    rows, covered, wrong, share, seen = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.argsort(rows, kind="stable")
    order = order[seen[order]]
    if not order.size:
        raise AnelabError(
            f"read_quality.data.label=overlap: mates overlap in {', '.join(reads.files)}, but not in {LEAST_OVERLAP} "
            f"of the first {WIDTH} bases, which are all that the model sees"
        )
    rows, covered, wrong, share = rows[order], covered[order], wrong[order], share[order]
    raw = reads.raw[rows]
    raw[:, :WIDTH][~covered], raw[:, WIDTH:][~covered] = PAD_CODE, PAD_SCORE
    label = wrong.sum(axis=1) <= data.max_errors
    left_out = len(reads.names) - len(rows)
    group = together(reads.group[rows], raw, np.ones(len(rows), bool))
    return Labelled(
        rows, raw, group, label, {"wrong": wrong, "abundance": share}, {"overlaps": facts, "reads_left_out": left_out}
    )


def _facts(found: Overlaps, files: list[str]) -> dict[str, Any]:
    return {"files": " and ".join(files), "pairs": found.pairs, "trusted": found.trusted, "undecided": found.undecided}


def _check_mates(pairs: int, files: list[str]) -> None:
    if not pairs:
        raise AnelabError(
            f"read_quality.data.label=overlap needs mates, but there are none in {' and '.join(files)}: give both "
            "files of each library in read_quality.data.source; the names of two mates must be equal or differ only in "
            "their mark (/1 and /2, .1 and .2, _1 and _2); if read_quality.data.max_records is set, it must be large "
            "enough to include the second file"
        )


def _check_trusted(found: Overlaps, files: list[str], data: ReadsDataConfig) -> None:
    share = found.trusted / found.pairs
    if share < data.min_trusted:
        raise AnelabError(
            f"{' and '.join(files)}: {found.trusted} of {found.pairs} pairs ({share:.1%}) have an overlap "
            f"that can be trusted, but at least {data.min_trusted:.0%} must have one. Where few mates overlap, as in "
            "RNA-seq, many of the overlaps are false. Leave this library out, or lower read_quality.data.min_trusted "
            "if you know that they are right"
        )
    if found.undecided > MOST_UNDECIDED * found.differing:
        raise AnelabError(
            f"{' and '.join(files)}: in {found.undecided} of {found.differing} pairs whose mates differ, the library's "
            "21-mers do not show which mate is wrong. Without these pairs the library would seem free of errors. The "
            "21-mers show it where the same sequences are read many times, as with amplicons: give more reads of this "
            "library, or leave it out"
        )
