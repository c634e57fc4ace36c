"""Two results of the same arms, old and new: what got slower, faster, lost, and what is not where it should be."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anelab.bench.results.report import off_ne
from anelab.bench.results.samples import Slice
from anelab.bench.results.schema import Comparison, Report
from anelab.bench.results.stats import LEAST_BLOCKS, LEAST_FLOOR
from anelab.bench.results.summary import Timed
from anelab.bench.scenario import Scenario

BETWEEN_RUNS = 0.05
"""Runs differ by more than the blocks within them: what changes by less is never called a change."""
METHOD = ("slice_ms", "min_calls", "settle_ms", "warm_up_ms", "server_load")
"""Settings without which times are not comparable."""
RESAMPLES = 10_000


@dataclass(frozen=True)
class Change:
    """`ratio` is old over new: above 1, the new one is faster. `low` and `high` bound its 95 % interval. By `floor`,
    a share, runs differ without any change."""

    arm: str
    cell: Scenario
    old_ns: float
    new_ns: float
    ratio: float
    low: float
    high: float
    floor: float

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "cell": str(self.cell)}

    @property
    def significance(self) -> float:
        return significance(self.low, self.high, self.floor)


def significance(low: float | None, high: float | None, floor: float | None) -> float:
    """How many noises lie between no difference and the near end of a ratio's interval: above 1 it is a difference,
    below 0 the interval holds both directions. `floor`: the noise, as a share."""
    if low is None or high is None:
        return 0.0
    return max(math.log(low), -math.log(high)) / math.log1p(floor or LEAST_FLOOR)


@dataclass
class Differences:
    """`reason` says why times cannot be compared; then only what is there and what is not is."""

    metric: str = ""
    """The name of the headline metric."""
    reason: str = ""
    regressions: list[Change] = field(default_factory=list)
    improvements: list[Change] = field(default_factory=list)
    unchanged: list[Change] = field(default_factory=list)
    other_network: list[Change] = field(default_factory=list)
    """Of arms that compute another network now: neither is a regression of the other."""
    networks: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The old and the new network, by these arms."""
    quality: dict[str, tuple[float, float]] = field(default_factory=dict)
    """The headline metric on the example rows, old and new, of arms whose answers differ."""
    newly_failing: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    too_few: list[str] = field(default_factory=list)
    """What one of them has too few blocks of that are evidence."""
    added: list[str] = field(default_factory=list)
    not_primary: dict[str, str] = field(default_factory=dict)
    """Arms about the Neural Engine of which it does not do the largest share, and what does."""

    @property
    def regressed(self) -> bool:
        return bool(self.regressions or self.newly_failing or self.missing)

    def as_json(self) -> dict[str, Any]:
        changes = ("regressions", "improvements", "unchanged", "other_network")
        return {**vars(self), **{name: [one.as_json() for one in getattr(self, name)] for name in changes}}


def compare_reports(old: Report, new: Report) -> Differences:
    found = Differences(metric=new.metric.partition(":")[2], reason=_incomparable(old, new))
    for name, before in old.arms.items():
        after = new.arms.get(name)
        if not before.timed:
            continue
        if after is None:
            found.missing.append(name)
        elif not after.timed:
            found.newly_failing[name] = after.reason or _lost(new, name)
        else:
            found.missing += [f"{name} {cell}" for cell in before.cells if cell not in after.cells]
            if old.subject.workload == new.subject.workload:
                _compare_models(found, name, old, new)
            if not found.reason:
                _compare_times(found, name, old, new)
    found.added = [name for name, arm in new.arms.items() if arm.timed and not _timed(old, name)]
    found.not_primary = {
        name: arm.placement.primary or "unavailable"
        for name, arm in new.arms.items()
        if arm.wants_ne and arm.timed and arm.placement.primary != "NE"
    }
    for changes in (found.regressions, found.improvements, found.unchanged, found.other_network):
        changes.sort(key=lambda one: (-one.significance, one.arm, str(one.cell)))
    return found


def _compare_models(found: Differences, arm: str, old: Report, new: Report) -> None:
    networks = old.network_of(arm), new.network_of(arm)
    if networks[0] is not None and networks[1] is not None and networks[0].differs(networks[1]):
        found.networks[arm] = networks[0].text(), networks[1].text()
    values = old.arms[arm].quality, new.arms[arm].quality
    same_rows = (old.metric, old.subject.data_digest) == (new.metric, new.subject.data_digest)
    if same_rows and values[0] is not None and values[1] is not None and values[0] != values[1]:
        found.quality[arm] = values[0], values[1]


def _compare_times(found: Differences, arm: str, old: Report, new: Report) -> None:
    for cell in old.arms[arm].cells.keys() & new.arms[arm].cells.keys():
        change = _change(arm, cell, old, new)
        if change is None:
            found.too_few.append(f"{arm} {cell}")
        else:
            _place(found, change)


def _timed(report: Report, name: str) -> bool:
    return name in report.arms and report.arms[name].timed


def _incomparable(old: Report, new: Report) -> str:
    if old.subject.workload != new.subject.workload:
        return f"they are of different workloads, {old.subject.workload} and {new.subject.workload}"
    if old.host.fingerprint != new.host.fingerprint:
        return f"they are of different hosts, {old.host.processor} and {new.host.processor}"
    differ = [name for name in METHOD if getattr(old.settings, name) != getattr(new.settings, name)]
    return f"they were measured with another {', '.join(differ)}" if differ else ""


def _lost(report: Report, name: str) -> str:
    return next((one.ending.text() for one in report.failures if one.arm == name), "it was not timed")


def _floor(old: Report, new: Report, cell: Scenario) -> float:
    seen = [report.noise[cell].floor for report in (old, new) if cell in report.noise]
    return max([BETWEEN_RUNS, *(floor for floor in seen if floor is not None)])


def _change(arm: str, cell: Scenario, old: Report, new: Report) -> Change | None:
    """By medians of processes, drawn anew on each side, for the runs are not paired. None if there are too few."""
    before, after = (np.log(_evidence(report, arm, cell)) for report in (old, new))
    if min(len(before), len(after)) < LEAST_BLOCKS:
        return None
    rng = np.random.default_rng(0)
    drawn = [
        np.median(values[rng.integers(0, len(values), (RESAMPLES, len(values)))], axis=1) for values in (before, after)
    ]
    low, high = np.quantile(drawn[0] - drawn[1], [0.025, 0.975])
    ratio = math.exp(float(np.median(before) - np.median(after)))
    old_ns, new_ns = math.exp(float(np.median(before))), math.exp(float(np.median(after)))
    return Change(arm, cell, old_ns, new_ns, ratio, math.exp(low), math.exp(high), _floor(old, new, cell))


def _evidence(report: Report, arm: str, cell: Scenario) -> list[float]:
    """Medians of the processes whose blocks are not left out."""
    left_out = {one.block for one in report.conditions if one.left_out}
    medians = report.arms[arm].cells[cell].process_medians_ns
    return [median for block, median in medians.items() if block not in left_out]


def _place(found: Differences, change: Change) -> None:
    if change.arm in found.networks:
        found.other_network.append(change)
    elif change.significance <= 1:
        found.unchanged.append(change)
    else:
        (found.improvements if change.ratio > 1 else found.regressions).append(change)


def pair(report: Report, slices: Iterable[Slice], arm: str, against: str) -> list[Comparison]:
    """Any two arms of one result in every cell that both have, from its samples."""
    left_out = {one.block: one.left_out for one in report.conditions if one.left_out}
    timed = Timed.of(slices, left_out, report.settings.resamples, report.settings.seed)
    arms = [report.arms[arm], report.arms[against]]
    return [
        timed.comparison(cell, arm, against, timed.floor(cell, report.settings.reference), off_ne(arms, cell))
        for cell in report.settings.cells
        if cell in report.arms[arm].cells and cell in report.arms[against].cells
    ]


def level(report: Report, arm: str, cell: Scenario) -> tuple[float, float, float] | None:
    """The median of the processes' medians in ns, and its 95 % interval; None if too few of them are evidence."""
    medians = np.array(_evidence(report, arm, cell))
    if len(medians) < LEAST_BLOCKS:
        return None
    drawn = np.random.default_rng(0).integers(0, len(medians), (RESAMPLES, len(medians)))
    low, high = np.quantile(np.median(medians[drawn], axis=1), [0.025, 0.975])
    return float(np.median(medians)), float(low), float(high)


def crossover(comparisons: Iterable[Comparison], arm: str, against: str) -> int | None:
    """The batch size from which on `arm` is faster than `against` at all larger sizes that were measured; None if it
    is not at the largest."""
    found = None
    of_pair = [one for one in comparisons if (one.arm, one.against) == (arm, against)]
    sized = [one for one in of_pair if one.cell.is_batch_size]
    for one in sorted(sized, key=lambda one: one.cell.rows, reverse=True):
        if one.verdict != "faster":
            break
        found = one.cell.rows
    return found
