"""What must stand beside figures before they are believed: simple answers on the same rows with intervals, how many
groups there are, what became of every row, what the model may have seen before, and how fast it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from anelab.errors import AnelabError
from anelab.learning.base import AnyWorkload, Array, Arrays, Split
from anelab.learning.config import WorkloadConfig
from anelab.statistics import interval, replicates

FEWEST = 50
"""Rows that a figure of a part rests on; of fewer it says nothing."""
MODEL = "model"


@dataclass(frozen=True)
class Evidence:
    """What a workload says of its prepared data. `trivial_baseline`: the plain rule that knows least of the matter;
    `contamination`: which rows something that the model builds on may have been trained on; `negatives`: where rows of
    no class come from, for figures depend on how many there are; `rows_read` came from the sources, `left_out` of them
    are in no split, by reason; `subgroups_unknown`: parts that the sources do not tell."""

    trivial_baseline: str
    contamination: str
    negatives: str
    rows_read: int
    rows_used: int
    left_out: Mapping[str, int]
    subgroups_unknown: Sequence[str] = ()


def evidence_report(
    workload: AnyWorkload,
    config: WorkloadConfig,
    test: Split,
    found: Evidence,
    sides: Mapping[str, Arrays],
    rows_per_second: float,
) -> dict[str, Any]:
    """JSON. `sides`: rows of the model (MODEL) and of each plain rule on the test set. Raises AnelabError if a rule of
    evidence is broken: no trivial baseline, rows that disappeared, one group, nothing said of contamination."""
    _check(workload.name, found, sides, test)
    bare = replace(test, inputs={})
    drawn = _drawn(workload, config, bare, sides)
    return {
        "contamination": found.contamination,
        "coverage": {"left_out": dict(found.left_out), "rows_read": found.rows_read, "rows_used": found.rows_used},
        "gains": {
            name: _gains(workload, config, bare, sides[MODEL], rows, drawn, name)
            for name, rows in sides.items()
            if name != MODEL
        },
        "groups": len(np.unique(test.groups)),
        "intervals": {
            name.partition(" ")[2]: list(interval(values))
            for name, values in drawn.items()
            if name.startswith(f"{MODEL} ")
        },
        "negatives": found.negatives,
        "rows": len(test),
        "rows_per_second": round(rows_per_second),
        "subgroups": _subgroups(workload, config, bare, sides),
        "subgroups_unknown": list(found.subgroups_unknown),
        "trivial_baseline": found.trivial_baseline,
    }


def _check(name: str, found: Evidence, sides: Mapping[str, Arrays], test: Split) -> None:
    kept = found.rows_used + sum(found.left_out.values())
    if found.trivial_baseline not in sides:
        raise AnelabError(f"{name}: the trivial baseline {found.trivial_baseline} was not computed")
    if kept != found.rows_read:
        raise AnelabError(
            f"{name}: the sources have {found.rows_read:,} rows, but {kept:,} are in a split or left out for a reason"
        )
    if len(np.unique(test.groups)) < 2:
        raise AnelabError(f"{name}: all test rows are one group, so no interval can be given; give more data")
    if not found.contamination:
        raise AnelabError(f"{name}: nothing is said of what the model's inputs may have been trained on")


def _drawn(
    workload: AnyWorkload, config: WorkloadConfig, split: Split, sides: Mapping[str, Arrays]
) -> Mapping[str, Array]:
    """Every figure that is defined, of every side in each resample, the same rows for all; by "SIDE FIGURE"."""

    def figures(counts: Array) -> dict[str, Array]:
        return {
            f"{side} {name}": values
            for side, rows in sides.items()
            for name, values in workload.replicates(rows, split, counts).items()
        }

    drawn = replicates(figures, split.groups, config.registry.resamples, config.seed)
    return {name: values for name, values in drawn.items() if np.isfinite(values).any()}


def _gains(
    workload: AnyWorkload,
    config: WorkloadConfig,
    split: Split,
    ours: Arrays,
    theirs: Arrays,
    drawn: Mapping[str, Array],
    side: str,
) -> dict[str, Any]:
    """Of each figure that is better high or low: how much the model is better, with its paired 95 % interval."""
    left, right = (workload.metrics(rows, split) for rows in (ours, theirs))
    gains = {}
    for name, sign in config.figures.items():
        if sign and {f"{MODEL} {name}", f"{side} {name}"} <= drawn.keys() and name in left and name in right:
            pairs = sign * (drawn[f"{MODEL} {name}"] - drawn[f"{side} {name}"])
            gains[name] = {"interval": list(interval(pairs)), "value": sign * (left[name] - right[name])}
    return gains


def _subgroups(
    workload: AnyWorkload, config: WorkloadConfig, split: Split, sides: Mapping[str, Arrays]
) -> dict[str, Any]:
    """Of each part that has enough rows: the headline metric of every side, and the model's gains."""
    report: dict[str, Any] = {}
    for name, chosen in workload.subgroups(split).items():
        rows = np.flatnonzero(chosen)
        part = split.take(rows)
        support = workload.support(part).get(config.metric_name, len(rows))
        report[name] = {"support": support}
        if support < FEWEST:
            continue
        parts = {side: {key: array[rows] for key, array in arrays.items()} for side, arrays in sides.items()}
        drawn = _drawn(workload, config, part, parts)
        for side, arrays in parts.items():
            figure = workload.metrics(arrays, part).get(config.metric_name)
            report[name][side] = {config.metric_name: figure}
            if side != MODEL and f"{side} {config.metric_name}" in drawn and f"{MODEL} {config.metric_name}" in drawn:
                pairs = config.sign * (drawn[f"{MODEL} {config.metric_name}"] - drawn[f"{side} {config.metric_name}"])
                report[name][side]["gain_interval"] = list(interval(pairs))
    return report
