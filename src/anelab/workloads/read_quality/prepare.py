"""FASTQ files to labelled, split rows, and the card that says what was found."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.learning.base import SPLITS, DataCard
from anelab.learning.splits import stratified_split
from anelab.sequences.nucleotides import PAD_CODE
from anelab.workloads.read_quality.config import Config, ReadsDataConfig
from anelab.workloads.read_quality.encode import WIDTH, phred_scores
from anelab.workloads.read_quality.groups import split_libraries
from anelab.workloads.read_quality.labelled import Labelled, label_reads
from anelab.workloads.read_quality.library import ReadSet, read_all
from anelab.workloads.read_quality.truth import TRUTH_SUFFIX

FEWEST = 3
"""Reads of each verdict: one for training, one for validation, one for the test."""
FEW = 50


def prepare(config: Config, files: Sequence[Path], out: Path) -> DataCard:
    """Write raw, label, group, library and what else is known of each split's rows into `out`."""
    reads = read_all([path for path in files if not path.name.endswith(TRUTH_SUFFIX)], config.data)
    labelled = label_reads(reads, [path for path in files if path.name.endswith(TRUTH_SUFFIX)], config.data)
    _check_both(labelled.label, config.data)
    group, library = labelled.group, reads.library[labelled.rows]
    if config.split.by_library:
        parts = split_libraries(library, config.split, config.seed)
    else:
        parts = stratified_split(~labelled.label, group, config.split, config.seed)
    if empty := [name for name in SPLITS if not len(parts[name])]:
        raise AnelabError(
            f"read_quality: no reads are left for {', '.join(empty)}. Mates and reads of one sequence stay together, "
            f"and the {len(group)} reads make only {len(np.unique(group))} such groups; give more "
            "libraries, or other ones"
        )
    arrays = {"raw": labelled.raw, "label": labelled.label, "group": group, "library": library, **labelled.targets}
    for name in SPLITS:
        for part, array in arrays.items():
            np.save(out / f"{name}.{part}.npy", array[parts[name]])
    return _card(config, reads, labelled, parts)


def _check_both(label: NDArray[np.bool_], data: ReadsDataConfig) -> None:
    """True is PASS. Labels are of the bases that the model sees; both must be there."""
    passing = int(label.sum())
    if min(passing, label.size - passing) < FEWEST:
        raise AnelabError(
            f"read_quality.data.label={data.label} gives PASS to {passing} of {label.size} reads, but training needs "
            f"at least {FEWEST} of PASS and of FAIL; check read_quality.data.phred, change the thresholds, "
            "or add other libraries"
        )


def _card(config: Config, reads: ReadSet, labelled: Labelled, parts: dict[str, NDArray[np.int64]]) -> DataCard:
    raw, label, lengths = reads.raw[labelled.rows], labelled.label, reads.lengths[labelled.rows]
    mean, _ = phred_scores(raw)
    cut = int((lengths > WIDTH).sum())
    warnings = [f"{cut} reads are longer than {WIDTH} bases; the model sees the first {WIDTH}"] if cut else []
    if left_out := len(reads.names) - len(labelled.rows):
        count = f"{left_out} of {len(reads.names)} reads"
        warnings.append(f"{count} have no overlap that is trusted, decided, and within what the model sees")
    rare, fewest = min(_counts(label[parts["test"]]).items(), key=lambda item: item[1])
    if fewest < FEW:
        warnings.append(f"only {fewest} of the test reads are {rare}; figures that depend on them are uncertain")
    facts: dict[str, Any] = {
        "groups": len(np.unique(labelled.group)),
        "label": config.data.label,
        "length_percentiles": _percentiles(lengths),
        "mean_quality_by_cycle": _by_cycle(raw),
        "mean_quality_percentiles": _percentiles(mean),
        "reads_by_length": _by_length(lengths),
        "reads_cut": cut,
        "reads_labelled_otherwise_uncut": reads.changed,
        **labelled.facts,
    }
    if config.split.by_library:
        facts["files"] = {
            name: sorted({reads.files[file] for file in reads.file[labelled.rows[rows]]})
            for name, rows in parts.items()
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
