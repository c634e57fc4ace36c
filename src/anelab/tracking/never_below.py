"""A gate for models that correct another: in no figure and no part of the rows may one be worse than it."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from anelab.errors import UsageError
from anelab.learning.base import AnyWorkload, Arrays, Split
from anelab.learning.config import WorkloadConfig
from anelab.learning.evidence import FEWEST, paired_gains
from anelab.statistics import interval
from anelab.tracking.gates import Gate

TOLERATED = 0.002
"""Of a figure: what lies in its interval is no loss."""
EVERYTHING = "all rows"


def never_below_gate(
    workload: AnyWorkload, config: WorkloadConfig, split: Split, candidate: Arrays, rules: Mapping[str, Arrays]
) -> list[Gate]:
    """Against the plain rule that registry.never_below names; none if it names none. For each figure, of all rows and
    of each of the workload's subgroups, `fail` if the whole 95 % interval of the paired difference lies below
    -TOLERATED. Raises UsageError if there is no such rule."""
    name = config.registry.never_below
    if name is None:
        return []
    if name not in rules:
        there = ", ".join(rules) or "none"
        raise UsageError(f"registry.never_below is {name}, but the plain rules of {workload.name} are {there}")
    resamples = config.registry.resamples
    compared, few, below = 0, list[str](), list[str]()
    for part, rows in {EVERYTHING: np.ones(len(split), bool), **workload.subgroups(split)}.items():
        chosen = np.flatnonzero(rows)
        ours, theirs = ({key: array[chosen] for key, array in side.items()} for side in (candidate, rules[name]))
        bare = replace(split, inputs={}).take(chosen)
        support = workload.support(bare)
        few += [f"{figure} ({part})" for figure, count in support.items() if count < FEWEST]
        for figure, drawn in paired_gains(workload, config, bare, ours, theirs, resamples).items():
            if support.get(figure, len(chosen)) < FEWEST:
                continue
            low, high = interval(drawn)
            compared += 1
            if high < -TOLERATED:
                below.append(f"{figure} ({part}) [{low:+.4f}, {high:+.4f}]")
    reason = "; ".join(below) or f"in none of {compared} figures is it shown to be worse than {name}"
    if below:
        reason = f"worse than {name}: {reason}"
    if few:
        reason += f"; fewer than {FEWEST} sites: {', '.join(few[:6])}" + (" ..." if len(few) > 6 else "")
    figures = {"compared": float(compared), "below": float(len(below)), "too_few": float(len(few))}
    return [Gate("never_below", "fail" if below else "pass", reason, figures)]
