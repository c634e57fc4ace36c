"""What must stand beside figures before they are believed: simple answers on the same rows with intervals, how many
groups there are, what became of every row, and what the model may have seen before."""

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
RESAMPLES = 1000


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
    workload: AnyWorkload, config: WorkloadConfig, test: Split, found: Evidence, sides: Mapping[str, Arrays]
) -> dict[str, Any]:
    """JSON. `sides`: rows of the model (MODEL) and of each plain rule on the test set. Raises AnelabError if a rule of
    evidence is broken: no trivial baseline, rows that disappeared, one group, nothing said of contamination."""
    _check(workload.name, found, sides, test)
    bare = replace(test, inputs={})
    rules = {name: rows for name, rows in sides.items() if name != MODEL}
    own = replicates(
        lambda counts: workload.replicates(sides[MODEL], bare, counts), bare.groups, RESAMPLES, config.seed
    )
    gains = {name: paired_gains(workload, config, bare, sides[MODEL], rows) for name, rows in rules.items()}
    return {
        "contamination": found.contamination,
        "coverage": {"left_out": dict(found.left_out), "rows_read": found.rows_read, "rows_used": found.rows_used},
        "gains": {
            name: {figure: list(interval(drawn)) for figure, drawn in one.items()} for name, one in gains.items()
        },
        "groups": len(np.unique(test.groups)),
        "intervals": {name: list(interval(drawn)) for name, drawn in own.items() if np.isfinite(drawn).any()},
        "negatives": found.negatives,
        "rows": len(test),
        "subgroups": {
            name: _subgroup(workload, config, bare.take(rows), {side: _take(one, rows) for side, one in sides.items()})
            for name, rows in _parts(workload, bare).items()
        },
        "subgroups_unknown": list(found.subgroups_unknown),
        "throughput": "rows a second of every arm are in bench.json",
        "trivial_baseline": found.trivial_baseline,
    }


def paired_gains(
    workload: AnyWorkload,
    config: WorkloadConfig,
    split: Split,
    ours: Arrays,
    theirs: Arrays,
    resamples: int = RESAMPLES,
) -> Mapping[str, Array]:
    """Of every figure that is better high or low, how much better ours is in each of the resamples, float32
    [resamples]; both are drawn alike. A figure that is defined in none is left out."""
    signs = {name: sign for name, sign in config.figures.items() if sign}
    if not len(split):
        return {}

    def gains(counts: Array) -> dict[str, Array]:
        left, right = (workload.replicates(side, split, counts) for side in (ours, theirs))
        return {name: signs[name] * (left[name] - right[name]) for name in left if name in signs and name in right}

    drawn = replicates(gains, split.groups, resamples, config.seed)
    return {name: values for name, values in drawn.items() if np.isfinite(values).any()}


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


def _parts(workload: AnyWorkload, split: Split) -> dict[str, Array]:
    return {name: np.flatnonzero(chosen) for name, chosen in workload.subgroups(split).items()}


def _take(arrays: Arrays, rows: Array) -> Arrays:
    return {name: array[rows] for name, array in arrays.items()}


def _subgroup(
    workload: AnyWorkload, config: WorkloadConfig, part: Split, sides: Mapping[str, Arrays]
) -> dict[str, Any]:
    """Of a part that has enough rows: the headline metric of every side, and the interval of what the model gains."""
    metric = config.metric_name
    support = workload.support(part).get(metric, len(part))
    if support < FEWEST:
        return {"support": support}
    figures = {name: workload.metrics(rows, part).get(metric) for name, rows in sides.items()}
    gains = {
        name: paired_gains(workload, config, part, sides[MODEL], rows).get(metric)
        for name, rows in sides.items()
        if name != MODEL
    }
    intervals = {name: list(interval(drawn)) for name, drawn in gains.items() if drawn is not None}
    return {"gains": intervals, metric: figures, "support": support}
