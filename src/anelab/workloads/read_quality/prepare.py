"""FASTQ files to labelled, split rows, and the card that says what was found."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.learning.base import SPLITS, DataCard
from anelab.learning.splits import stratified_split
from anelab.workloads.read_quality.config import Config, ReadsDataConfig
from anelab.workloads.read_quality.encode import phred_scores
from anelab.workloads.read_quality.fastq import PAD_BASE, WIDTH, Reads, concatenate, read_fastq
from anelab.workloads.read_quality.phred import to_phred33
from anelab.workloads.read_quality.simulate import read_truth

TRUTH_SUFFIX = ".truth.tsv.gz"
FEWEST = 3
"""Reads of each verdict: one for training, one for validation, one for the test."""
FEW = 50


def prepare(config: Config, files: Sequence[Path], out: Path) -> DataCard:
    """Write raw, label and group arrays of each split into `out`."""
    reads = _read_all([path for path in files if not path.name.endswith(TRUTH_SUFFIX)], config.data)
    raw = np.concatenate([reads.bases, reads.qualities], axis=1)
    label = _labels(raw, reads, [path for path in files if path.name.endswith(TRUTH_SUFFIX)], config.data)
    group = _fragments(reads.names)
    parts = stratified_split(~label, group, config.split, config.seed)
    for name in SPLITS:
        for part, array in (("raw", raw), ("label", label), ("group", group)):
            np.save(out / f"{name}.{part}.npy", array[parts[name]])
    return _card(config, reads, raw, label, parts)


def _read_all(files: Sequence[Path], data: ReadsDataConfig) -> Reads:
    if not files:
        raise AnelabError("read_quality.data.source names no FASTQ file")
    parts, left = [], data.max_records
    for path in files:
        if left == 0:
            break
        reads = read_fastq(path, left)
        left = None if left is None else left - len(reads)
        parts.append(Reads(reads.bases, to_phred33(reads, data.phred, path), reads.lengths, reads.names))
    return concatenate(parts)


def _labels(raw: NDArray[np.uint8], reads: Reads, truth: Sequence[Path], data: ReadsDataConfig) -> NDArray[np.bool_]:
    """True is PASS. Labels are of the bases that the model sees."""
    if data.label == "true_errors":
        _require_uncut(reads)
        label = _errors(reads.names, truth) <= data.max_errors
    else:
        mean, lengths = phred_scores(raw)
        label = (mean >= data.min_mean_quality) & (lengths >= data.min_length)
    passing = int(label.sum())
    if min(passing, label.size - passing) < FEWEST:
        raise AnelabError(
            f"read_quality.data.label={data.label} makes {passing} of {label.size} reads PASS; to learn, there must "
            f"be at least {FEWEST} of each verdict: check read_quality.data.phred, change the thresholds, "
            "or add other libraries"
        )
    return label


def _require_uncut(reads: Reads) -> None:
    cut = int((reads.lengths > WIDTH).sum())
    if cut:
        raise AnelabError(
            f"read_quality.data.label=true_errors counts the errors of whole reads, but {cut} reads are longer than "
            f"the {WIDTH} bases that the model sees; cut them and their truth table first"
        )


def _errors(names: list[str], truth: Sequence[Path]) -> NDArray[np.int64]:
    if not truth:
        raise AnelabError(
            f"read_quality.data.label=true_errors needs a truth table (*{TRUTH_SUFFIX}: read_id, errors, "
            "expected_errors) among read_quality.data.source; without one use label: mean_quality"
        )
    known: dict[str, int] = {}
    for path in truth:
        table = read_truth(path)
        if twice := known.keys() & table.keys():
            raise AnelabError(f"{path}: has read {min(twice)}, which another truth table has too")
        known |= table
    missing = [name for name in names if name not in known]
    if missing:
        raise AnelabError(f"{truth[0]}: has no row for {len(missing)} reads, the first is {missing[0]}")
    return np.array([known[name] for name in names])


def _fragments(names: list[str]) -> NDArray[np.int64]:
    """A number for each fragment: mates share their name but for /1 and /2, and stay together."""
    stems = [name[:-2] if name.endswith(("/1", "/2")) else name for name in names]
    number: dict[str, int] = {}
    return np.array([number.setdefault(stem, len(number)) for stem in stems])


def _card(
    config: Config,
    reads: Reads,
    raw: NDArray[np.uint8],
    label: NDArray[np.bool_],
    parts: dict[str, NDArray[np.int64]],
) -> DataCard:
    mean, _ = phred_scores(raw)
    cut = int((reads.lengths > WIDTH).sum())
    warnings = [f"{cut} reads are longer than {WIDTH} bases; the model sees the first {WIDTH}"] if cut else []
    rare, fewest = min(_counts(label[parts["test"]]).items(), key=lambda item: item[1])
    if fewest < FEW:
        warnings.append(f"only {fewest} of the test reads are {rare}; figures that depend on them are uncertain")
    facts: dict[str, Any] = {
        "label": config.data.label,
        "length_percentiles": _percentiles(reads.lengths),
        "mean_quality_by_cycle": _by_cycle(raw),
        "mean_quality_percentiles": _percentiles(mean),
        "reads_by_length": _by_length(reads.lengths),
        "reads_cut": cut,
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
    inside = raw[:, :WIDTH] != PAD_BASE
    counts = inside.sum(axis=0)
    total = np.where(inside, raw[:, WIDTH:], 0).sum(axis=0, dtype=np.int64)
    return [round(float(sum_ / count) - 33, 2) for sum_, count in zip(total, counts, strict=True) if count]


def _by_length(lengths: NDArray[np.int64]) -> dict[str, int]:
    """Reads by ten bases of length."""
    tens, counts = np.unique(lengths // 10 * 10, return_counts=True)
    return {f"{ten}-{ten + 9}": int(count) for ten, count in zip(tens, counts, strict=True)}


def _counts(label: NDArray[np.bool_]) -> dict[str, int]:
    return {"FAIL": int((~label).sum()), "PASS": int(label.sum())}


def _percentiles(values: NDArray[Any]) -> dict[str, float]:
    return {f"p{share}": round(float(np.percentile(values, share)), 3) for share in (0, 5, 50, 95, 100)}
