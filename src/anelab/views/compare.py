"""Versions, hosts and arms side by side: what differs, most significant first. Verdicts are those of `bench`."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from anelab.bench.results.compare import Change, Differences, level, significance
from anelab.bench.results.quality import Difference, difference
from anelab.bench.results.schema import Comparison, Report
from anelab.bench.results.trend import OTHER_NETWORK
from anelab.bench.scenario import Scenario
from anelab.statistics import interval
from anelab.tracking.reading import RunRow, VersionRow
from anelab.tracking.replicates import Replicates
from anelab.views.engine import cell_name, chosen
from anelab.views.formatting import host_names, interval_text, ratio_text, time_text, verdict_text

TOO_FEW = "too few processes whose blocks are evidence"
NOISE = ("within noise", "unchanged")


def arms(found: Sequence[Comparison], with_noise: bool) -> pd.DataFrame:
    """Pairs of arms of one result."""
    kept = [one for one in found if with_noise or one.verdict not in NOISE]
    rows = [
        {
            "arm": one.arm,
            "against": one.against,
            "scenario": cell_name(one.cell),
            "speed-up [95 % interval]": ratio_text(one.speedup, one.low, one.high),
            "verdict": verdict_text(one.verdict),
            "because": one.reason,
        }
        for one in sorted(kept, key=lambda one: -significance(one.low, one.high, one.floor))
    ]
    return pd.DataFrame(rows, columns=["arm", "against", "scenario", "speed-up [95 % interval]", "verdict", "because"])


def results(found: Differences, with_noise: bool) -> pd.DataFrame:
    """Two results of the same arms on one host, old and new."""
    groups = (
        ("regression", found.regressions),
        ("improvement", found.improvements),
        (OTHER_NETWORK, found.other_network),
        ("unchanged", found.unchanged),
    )
    rows = [
        _change_row(kind, one, found)
        for kind, changes in groups
        if with_noise or kind not in NOISE
        for one in sorted(changes, key=lambda one: -one.significance)
    ]
    if not found.reason:  # of another host or method nothing is lost or added
        lost = {**found.newly_failing, **dict.fromkeys(found.missing, "not in the new result")}
        rows += [{**_cell(name), "change": "✕ lost", "because": why} for name, why in lost.items()]
        rows += [{**_cell(name), "change": "+ added", "because": "not in the old result"} for name in found.added]
    rows += [{**_cell(name), "change": "– not comparable", "because": TOO_FEW} for name in found.too_few]
    rows += [
        {"arm": name, "change": "NE not primary", "because": f"most of it ran on: {where}"}
        for name, where in found.not_primary.items()
    ]
    columns = ["arm", "scenario", "old", "new", "old over new [95 % interval]", "change", "because"]
    return pd.DataFrame(rows, columns=columns)


def _cell(name: str) -> dict[str, str]:
    """An arm, or an arm and its scenario."""
    arm, _, cell = name.partition(" ")
    return {"arm": arm, "scenario": cell_name(Scenario.parse(cell)) if cell else ""}


def _change_row(kind: str, one: Change, found: Differences) -> dict[str, str]:
    sign = {"regression": "▼", "improvement": "▲", OTHER_NETWORK: "≠"}.get(kind, "≈")
    old, new = found.networks.get(one.arm, ("", ""))
    values = found.quality.get(one.arm)
    because = [f"{old}, then {new}"] if old else []
    because += [] if values is None else [f"{found.metric} of the example rows {values[0]:.4g}, then {values[1]:.4g}"]
    return {
        "arm": one.arm,
        "scenario": cell_name(one.cell),
        "old": time_text(one.old_ns),
        "new": time_text(one.new_ns),
        "old over new [95 % interval]": ratio_text(one.ratio, one.low, one.high),
        "change": f"{sign} {kind}",
        "because": "; ".join(because),
    }


@dataclass(frozen=True)
class Judged:
    """A version with what is known of how sure its figures are, and the training run that it came from."""

    version: VersionRow
    run: RunRow | None = None
    replicates: Replicates | None = None

    def interval_of(self, name: str) -> tuple[float, float] | None:
        drawn = None if self.replicates is None else self.replicates.figures.get(name)
        return None if drawn is None else interval(drawn)

    def minus(self, other: "Judged", name: str) -> Difference | None:
        """None if they were not judged on the same rows, or nobody kept on which."""
        ours, theirs = self.replicates, other.replicates
        if ours is None or theirs is None or ours.plan != theirs.plan:
            return None
        if name not in ours.figures or name not in theirs.figures:
            return None
        pair = ours.figures[name], theirs.figures[name]
        return difference(self.version.metrics[name], other.version.metrics[name], *pair)


def versions(chosen: Sequence[Judged], with_noise: bool) -> pd.DataFrame:
    """Metrics with 95 % intervals and their differences to the first version, most significant first; then size,
    gates, settings and surroundings that differ. What is within noise or equal is left out unless it is asked for."""
    first, *others = chosen
    rows: list[tuple[float, dict[str, str]]] = []
    for name in dict.fromkeys(name for one in chosen for name in one.version.metrics):
        differences = [_difference(one, first, name) for one in others]
        if with_noise or any(one.differs for one in differences):
            row = {"what": f"metric {name}"} | {one.version.title: _value(one, name) for one in chosen}
            row |= {_minus(one, first): told.text for one, told in zip(others, differences, strict=True)}
            rows.append((max(one.significance for one in differences), row))
    rows.sort(key=lambda one: -one[0])
    facts = {one.version.title: _facts(one.version, one.run) for one in chosen}
    plain = [
        {"what": name, **{title: each.get(name, "") for title, each in facts.items()}}
        for name in dict.fromkeys(name for each in facts.values() for name in each)
        if with_noise or len({each.get(name, "") for each in facts.values()}) > 1
    ]
    columns = ["what", *facts, *(_minus(one, first) for one in others)]
    return pd.DataFrame([*(row for _, row in rows), *plain], columns=columns)


def _minus(one: Judged, first: Judged) -> str:
    return f"{one.version.title} minus {first.version.title} [95 % interval]"


@dataclass(frozen=True)
class _Cell:
    text: str
    significance: float
    differs: bool


def _difference(one: Judged, first: Judged, name: str) -> _Cell:
    """`one` minus `first`, in words; what cannot be judged comes after what can."""
    found = one.minus(first, name)
    if found is not None and found.point == found.low == found.high == 0:
        return _Cell("equal", 0, False)
    if found is not None:
        verdict = _verdict(found, one.version.direction(name))
        text = f"{interval_text(found.point, found.low, found.high, signed=True)}, {verdict}"
        return _Cell(text, found.significance, not found.within_noise)
    values = one.version.metrics.get(name), first.version.metrics.get(name)
    if values[0] is None or values[1] is None:
        return _Cell("only one of them has it", -1, True)
    if one.version.test_digest != first.version.test_digest:
        return _Cell("not comparable: another test set", -1, True)
    return _Cell(f"{values[0] - values[1]:+.4g}, how sure is not known", -1, values[0] != values[1])


def _verdict(found: Difference, direction: int) -> str:
    if found.within_noise:
        return "≈ within noise"
    better = direction * found.point
    return "≠ differs" if not better else "▲ better" if better > 0 else "▼ worse"


def _value(one: Judged, name: str) -> str:
    value, known = one.version.metrics.get(name), one.interval_of(name)
    if value is None:
        return ""
    return f"{value:.5g}" if known is None else interval_text(value, *known)


def _facts(version: VersionRow, run: RunRow | None) -> dict[str, str]:
    found = {"size": "" if version.size_bytes is None else f"{version.size_bytes:,.0f} bytes"}
    found["variant"] = version.variant
    for gate in version.gates:
        found[f"gate {gate.name}"] = f"{gate.verdict}: {gate.reason}"
    if run is not None:
        found |= {f"setting {name}": value for name, value in run.params.items()}
        found |= {f"package {name}": value for name, value in run.packages.items()}
        found |= {"commit": run.commit[:12] + (" with changes" if run.dirty else ""), "host": run.host}
        found |= {f"data {name}": digest for name, digest in run.datasets.items()}
    return found


def pivot(reports: Sequence[Report], cell: Scenario) -> pd.DataFrame:
    """Models by devices: the median of a call with its 95 % interval over processes. Columns are machines and are
    never divided by each other."""
    table: dict[str, dict[str, str]] = {}
    names = host_names(reports)
    for report in reports:
        column = names[report.host.fingerprint]
        for name in chosen(report):
            if cell in report.arms[name].cells:
                found = level(report, name, cell)
                row = table.setdefault(f"{report.subject.workload}, {name}", {})
                row[column] = "too few processes" if found is None else level_text(found)
    columns = list(dict.fromkeys(names.values()))
    return pd.DataFrame([{"model": name, **row} for name, row in table.items()], columns=["model", *columns])


def level_text(found: tuple[float, float, float]) -> str:
    median, low, high = (time_text(value) for value in found)
    return f"{median} [{low}, {high}]"


def datasets(chosen: Sequence[Judged]) -> pd.DataFrame:
    """Models by datasets: the headline metric on the test set with its 95 % interval."""
    table: dict[str, dict[str, str]] = {}
    columns: list[str] = []
    for one in chosen:
        version, run = one.version, one.run
        held = {} if run is None else run.datasets
        digest = ", ".join(f"{name} {value[:8]}" for name, value in held.items()) or "unknown data"
        columns.append(digest)
        if version.value is not None:
            figure = f"{version.metric_name} {_value(one, version.metric_name)}"
            table.setdefault(f"{version.title}, {version.variant}", {})[digest] = figure
    rows = [{"model": name, **row} for name, row in table.items()]
    return pd.DataFrame(rows, columns=["model", *dict.fromkeys(columns)])
