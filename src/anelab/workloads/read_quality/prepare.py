"""FASTQ files to labelled, split rows, and the card that says what was found."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.learning.base import SPLITS, DataCard
from anelab.learning.splits import stratified_split
from anelab.workloads.read_quality.config import Config, ReadsDataConfig
from anelab.workloads.read_quality.encode import phred_scores
from anelab.workloads.read_quality.fastq import PAD_CODE, WIDTH
from anelab.workloads.read_quality.groups import groups_of, libraries_of, split_libraries
from anelab.workloads.read_quality.labels import by_rule, of_whole_read
from anelab.workloads.read_quality.phred import Reads, read_reads
from anelab.workloads.read_quality.truth import TRUTH_SUFFIX, Truth, read_truth, wrong_bases

PHRED_OPTION = "-S read_quality.data.phred="
FEWEST = 3
"""Reads of each verdict: one for training, one for validation, one for the test."""
FEW = 50


@dataclass(frozen=True)
class Library:
    """All reads of all files: `raw` uint8 [n, 2 WIDTH] of reads/3, `lengths` of the uncut reads, `names` as in the
    headers, `file` the place of each read's among `files`. `changed` counts long reads of which the rule says another
    thing than of what the model sees."""

    raw: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    names: list[str]
    file: NDArray[np.int64]
    files: list[str]
    changed: int


def prepare(config: Config, files: Sequence[Path], out: Path) -> DataCard:
    """Write raw, label and group arrays of each split into `out`."""
    reads = _read_all([path for path in files if not path.name.endswith(TRUTH_SUFFIX)], config.data)
    truths = [path for path in files if path.name.endswith(TRUTH_SUFFIX)]
    wrong = None
    if config.data.label == "true_errors":
        known = _truths(reads, truths)
        wrong, label = wrong_bases(known), np.array([truth.errors for truth in known]) <= config.data.max_errors
    else:
        found = by_rule(reads.raw, config.data)
        assert found is not None
        label = found
    _check_both(label, config.data)
    group = groups_of(reads.names, reads.raw, reads.lengths)
    if config.split.by_library:
        parts = split_libraries(libraries_of(reads.names, reads.file, reads.files), config.split, config.seed)
    else:
        parts = stratified_split(~label, group, config.split, config.seed)
    if empty := [name for name in SPLITS if not len(parts[name])]:
        raise AnelabError(
            f"read_quality: {len(label)} reads leave none for {', '.join(empty)}, for mates and reads of one sequence "
            f"stay together, and of such groups there are {len(np.unique(group))}; give more libraries, or other ones"
        )
    for name in SPLITS:
        arrays = {"raw": reads.raw, "label": label, "group": group} | ({} if wrong is None else {"wrong": wrong})
        for part, array in arrays.items():
            np.save(out / f"{name}.{part}.npy", array[parts[name]])
    return _card(config, reads, label, group, parts)


def _read_all(files: Sequence[Path], data: ReadsDataConfig) -> Library:
    if not files:
        raise AnelabError("read_quality.data.source names no FASTQ file")
    parts: list[Reads] = []
    counts: list[int] = []
    left = data.max_records
    for path in files:
        if left == 0:
            break
        found = list(read_reads(path, data.phred, PHRED_OPTION, left))
        count = sum(map(len, found))
        if not count:
            raise AnelabError(f"{path}: holds no reads")
        left = None if left is None else left - count
        parts += found
        counts.append(count)
    return Library(
        np.concatenate([part.raw for part in parts]),
        np.concatenate([part.block.lengths for part in parts]),
        [name for part in parts for name in part.block.names()],
        np.repeat(np.arange(len(counts)), counts),
        [path.name for path in files[: len(counts)]],
        sum(_changed_by_cutting(part, data) for part in parts),
    )


def _changed_by_cutting(reads: Reads, data: ReadsDataConfig) -> int:
    seen = by_rule(reads.raw, data)
    if seen is None:
        return 0
    long = np.flatnonzero(reads.block.lengths > WIDTH).tolist()
    whole = (np.frombuffer(reads.block.line(row, 3), np.uint8) - np.uint8(reads.offset) for row in long)
    return sum(of_whole_read(scores, data) != seen[row] for row, scores in zip(long, whole, strict=True))


def _check_both(label: NDArray[np.bool_], data: ReadsDataConfig) -> None:
    """True is PASS. Labels are of the bases that the model sees; both must be there."""
    passing = int(label.sum())
    if min(passing, label.size - passing) < FEWEST:
        raise AnelabError(
            f"read_quality.data.label={data.label} makes {passing} of {label.size} reads PASS; to learn, there must "
            f"be at least {FEWEST} of each verdict: check read_quality.data.phred, change the thresholds, "
            "or add other libraries"
        )


def _require_uncut(reads: Library) -> None:
    cut = int((reads.lengths > WIDTH).sum())
    if cut:
        raise AnelabError(
            f"read_quality.data.label=true_errors counts the errors of whole reads, but {cut} reads are longer than "
            f"the {WIDTH} bases that the model sees; cut them and their truth table first"
        )


def _truths(reads: Library, paths: Sequence[Path]) -> list[Truth]:
    """What is known of each read. Raises AnelabError if a read is not in the tables, or is cut."""
    if not paths:
        raise AnelabError(
            f"read_quality.data.label=true_errors needs a truth table (*{TRUTH_SUFFIX}: read_id, errors) among "
            "read_quality.data.source; without one use label: mean_quality"
        )
    _require_uncut(reads)
    known: dict[str, Truth] = {}
    for path in paths:
        table = read_truth(path)
        if twice := known.keys() & table.keys():
            raise AnelabError(f"{path}: has read {min(twice)}, which another truth table has too")
        known |= table
    missing = [name for name in reads.names if name not in known]
    if missing:
        raise AnelabError(f"{paths[0]}: has no row for {len(missing)} reads, the first is {missing[0]}")
    return [known[name] for name in reads.names]


def _card(
    config: Config,
    reads: Library,
    label: NDArray[np.bool_],
    group: NDArray[np.int64],
    parts: dict[str, NDArray[np.int64]],
) -> DataCard:
    mean, _ = phred_scores(reads.raw)
    cut = int((reads.lengths > WIDTH).sum())
    warnings = [f"{cut} reads are longer than {WIDTH} bases; the model sees the first {WIDTH}"] if cut else []
    rare, fewest = min(_counts(label[parts["test"]]).items(), key=lambda item: item[1])
    if fewest < FEW:
        warnings.append(f"only {fewest} of the test reads are {rare}; figures that depend on them are uncertain")
    facts: dict[str, Any] = {
        "groups": len(np.unique(group)),
        "label": config.data.label,
        "length_percentiles": _percentiles(reads.lengths),
        "mean_quality_by_cycle": _by_cycle(reads.raw),
        "mean_quality_percentiles": _percentiles(mean),
        "reads_by_length": _by_length(reads.lengths),
        "reads_cut": cut,
        "reads_labelled_otherwise_uncut": reads.changed,
    }
    if config.split.by_library:
        facts["files"] = {
            name: sorted({reads.files[file] for file in reads.file[rows]}) for name, rows in parts.items()
        }
    return DataCard(
        origin="simulated reads with known errors" if config.data.simulated else "the user's FASTQ files",
        rows={name: len(rows) for name, rows in parts.items()},
        classes={name: _counts(label[rows]) for name, rows in parts.items()},
        facts=facts,
        warnings=warnings,
    )


def _by_cycle(raw: NDArray[np.uint8]) -> list[float]:
    """Mean Phred score of each base's place, of the reads that are so long."""
    inside = raw[:, :WIDTH] != PAD_CODE
    counts = inside.sum(axis=0)
    total = np.where(inside, raw[:, WIDTH:], 0).sum(axis=0, dtype=np.int64)
    return [round(float(sum_ / count), 2) for sum_, count in zip(total, counts, strict=True) if count]


def _by_length(lengths: NDArray[np.int64]) -> dict[str, int]:
    """Reads by ten bases of length."""
    tens, counts = np.unique(lengths // 10 * 10, return_counts=True)
    return {f"{ten}-{ten + 9}": int(count) for ten, count in zip(tens, counts, strict=True)}


def _counts(label: NDArray[np.bool_]) -> dict[str, int]:
    return {"FAIL": int((~label).sum()), "PASS": int(label.sum())}


def _percentiles(values: NDArray[Any]) -> dict[str, float]:
    return {f"p{share}": round(float(np.percentile(values, share)), 3) for share in (0, 5, 50, 95, 100)}
