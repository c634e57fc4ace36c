"""Versions, hosts and arms side by side: what differs, most significant first. Verdicts are those of `bench`."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from anelab.bench.compare import Change, Differences, level
from anelab.bench.schema import Comparison, Report
from anelab.bench.tables import duration
from anelab.tracking.reading import RunRow, VersionRow
from anelab.views.engine import cell_name, chosen
from anelab.views.look import host_name, ratio_text, verdict_text

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
            "p": one.p_value,
            "because": one.reason,
        }
        for one in sorted(kept, key=_significance)
    ]
    return pd.DataFrame(
        rows, columns=["arm", "against", "scenario", "speed-up [95 % interval]", "verdict", "p", "because"]
    )


def _significance(one: Comparison) -> float:
    """How far the interval stays from no difference, in noises; the farthest first."""
    if one.low is None or one.high is None:
        return 0.0
    near = max(math.log(one.low), -math.log(one.high))
    return -near / math.log1p(one.floor or 0.01)


def results(found: Differences, with_noise: bool) -> pd.DataFrame:
    """Two results of the same arms on one host, old and new."""
    groups = (("regression", found.regressions), ("improvement", found.improvements), ("unchanged", found.unchanged))
    rows = [
        _change_row(kind, one)
        for kind, changes in groups
        if with_noise or kind not in NOISE
        for one in sorted(changes, key=lambda one: -abs(math.log(one.ratio)))
    ]
    lost = {**found.newly_failing, **dict.fromkeys(found.missing, "not in the new result")}
    rows += [{"arm": name, "change": "✕ lost", "because": why} for name, why in lost.items()]
    rows += [{"arm": name, "change": "– not comparable", "because": TOO_FEW} for name in found.too_few]
    rows += [{"arm": name, "change": "+ added", "because": "not in the old result"} for name in found.added]
    rows += [
        {"arm": name, "change": "NE not primary", "because": f"most of it ran on: {where}"}
        for name, where in found.not_primary.items()
    ]
    columns = ["arm", "scenario", "old", "new", "old over new [95 % interval]", "change", "because"]
    return pd.DataFrame(rows, columns=columns)


def _change_row(kind: str, one: Change) -> dict[str, str]:
    sign = {"regression": "▼", "improvement": "▲"}.get(kind, "≈")
    return {
        "arm": one.arm,
        "scenario": cell_name(one.cell),
        "old": duration(one.old_ns),
        "new": duration(one.new_ns),
        "old over new [95 % interval]": ratio_text(one.ratio, one.low, one.high),
        "change": f"{sign} {kind}",
    }


def versions(chosen: Sequence[VersionRow], runs: Mapping[str, RunRow], with_same: bool) -> pd.DataFrame:
    """Metrics, gates' figures, settings and surroundings of versions, a column each; what is equal is left out."""
    facts = {one.title: _facts(one, runs.get(one.run_id or "")) for one in chosen}
    names = list(dict.fromkeys(name for each in facts.values() for name in each))
    rows = [{"what": name, **{title: each.get(name, "") for title, each in facts.items()}} for name in names]
    differing = [row for row in rows if with_same or len({row[title] for title in facts}) > 1]
    differing.sort(key=lambda row: -_spread([row[title] for title in facts]))
    return pd.DataFrame(differing, columns=["what", *facts])


def _facts(version: VersionRow, run: RunRow | None) -> dict[str, str]:
    found = {f"metric {name}": f"{value:.6g}" for name, value in version.metrics.items()}
    found["size"] = "" if version.size_bytes is None else f"{version.size_bytes:.0f} bytes"
    found["variant"] = version.variant
    for gate in version.gates:
        found[f"gate {gate.name}"] = f"{gate.verdict}: {gate.reason}"
    if run is not None:
        found |= {f"setting {name}": value for name, value in run.params.items()}
        found |= {f"package {name}": value for name, value in run.packages.items()}
        found |= {"commit": run.commit[:12] + (" with changes" if run.dirty else ""), "host": run.host}
        found |= {f"data {name}": digest for name, digest in run.datasets.items()}
    return found


def _spread(values: Sequence[str]) -> float:
    """Relative spread of numbers; text that differs comes after every number that does."""
    try:
        numbers = [float(value.removesuffix(" bytes")) for value in values]
    except ValueError:
        return -1.0
    largest = max(abs(value) for value in numbers)
    return (max(numbers) - min(numbers)) / largest if largest else 0.0


def pivot(reports: Sequence[Report], cell: str) -> pd.DataFrame:
    """Models by devices: the median of a call with its 95 % interval over processes. Columns are machines and are
    never divided by each other."""
    table: dict[str, dict[str, str]] = {}
    for report in reports:
        column = host_name(report)
        for name in chosen(report):
            if cell in report.arms[name].cells:
                found = level(report, name, cell)
                row = table.setdefault(f"{report.subject.workload}, {name}", {})
                row[column] = "too few processes" if found is None else level_text(found)
    columns = list(dict.fromkeys(host_name(report) for report in reports))
    return pd.DataFrame([{"model": name, **row} for name, row in table.items()], columns=["model", *columns])


def level_text(found: tuple[float, float, float]) -> str:
    median, low, high = (duration(value) for value in found)
    return f"{median} [{low}, {high}]"


def datasets(versions: Sequence[VersionRow], runs: Mapping[str, RunRow]) -> pd.DataFrame:
    """Models by datasets: the headline metric; with the interval against the champion where the gate had one."""
    table: dict[str, dict[str, str]] = {}
    columns: list[str] = []
    for one in versions:
        run = runs.get(one.run_id or "")
        digest = (
            "unknown data" if run is None else ", ".join(f"{name} {value[:8]}" for name, value in run.datasets.items())
        )
        columns.append(digest)
        if one.value is not None:
            table.setdefault(f"{one.title}, {one.variant}", {})[digest] = (
                f"{one.metric_name} {one.value:.5g}{_gain(one)}"
            )
    return pd.DataFrame(
        [{"model": name, **row} for name, row in table.items()], columns=["model", *dict.fromkeys(columns)]
    )


def _gain(version: VersionRow) -> str:
    for gate in version.gates:
        if gate.name == "champion" and {"gain", "low", "high"} <= gate.figures.keys():
            figures = gate.figures
            return (
                f" (gain {figures['gain']:+.4g} [{figures['low']:+.4g}, {figures['high']:+.4g}] over the champion then)"
            )
    return ""
