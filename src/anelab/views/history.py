"""One figure over commits, with the noise of its own past."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from anelab.bench.results import trend
from anelab.bench.results.compare import METHOD
from anelab.bench.results.metrics import SUFFIX, Median, network_of
from anelab.bench.results.schema import Report
from anelab.bench.results.subject import Network
from anelab.tracking.reading import RunRow, VersionRow
from anelab.tracking.timed_versions import TimedVersion
from anelab.views.formatting import host_names, moment, versions_title

Versions = Mapping[str, Sequence[TimedVersion]]
"""Registered versions by the run that timed or trained them, champions first."""


def latencies(runs: Sequence[RunRow]) -> list[str]:
    """Names of measured medians, such as single.ort-cpu.fp32; those measured last come first."""
    names = dict.fromkeys(name for run in reversed(runs) for name in run.metrics)
    return [found.label for name in names if (found := Median.of_metric(name))]


def metrics(runs: Sequence[RunRow]) -> list[str]:
    return list(dict.fromkeys(name for run in reversed(runs) for name in run.metrics if name.startswith("test_")))


def hosts(runs: Sequence[RunRow], name: str) -> list[str]:
    """Those that measured it, the last one first."""
    return list(dict.fromkeys(run.host for run in reversed(runs) if run.host and f"{name}{SUFFIX}" in run.metrics))


def machines(fingerprints: Sequence[str], reports: Sequence[Report]) -> dict[str, str]:
    """Names by fingerprint, as far as a result tells them."""
    known = host_names(reports)
    return {one: known.get(one, f"unknown machine ({one[:6]})") for one in fingerprints}


def better_when(name: str, versions: Sequence[VersionRow]) -> int:
    """1 if a metric such as test_accuracy is better high, -1 if low, 0 if nobody says: of the headline params.yaml
    does, of the others the workload."""
    figure = name.removeprefix("test_")
    directions = [one.direction(figure) for one in versions]
    headline = [found for one, found in zip(versions, directions, strict=True) if one.metric_name == figure]
    return next(iter([*headline, *directions]), 0)


def latency(runs: Sequence[RunRow], name: str, host: str, timed: Versions) -> pd.DataFrame:
    """µs of one arm and scenario on one host, measured as it was last time. Another network is no regression: with it
    the past begins anew."""
    having = [run for run in runs if f"{name}{SUFFIX}" in run.metrics and run.host == host]
    having = [run for run in having if _method(run) == _method(having[-1])]
    points: list[trend.Point] = []
    for part in _by_network(having, name):
        first, *others = trend.times([run.metrics[f"{name}{SUFFIX}"] for run in part])
        points += [replace(first, change=trend.OTHER_NETWORK) if points else first, *others]
    return _frame(having, points, timed)


def metric(runs: Sequence[RunRow], name: str, better: int, trained: Versions) -> pd.DataFrame:
    """A metric on the test set over trainings. Another digest of the data is another question, so only runs on the
    last one's data are shown."""
    having = [run for run in runs if name in run.metrics]
    having = [run for run in having if run.datasets == having[-1].datasets]
    return _frame(having, trend.figures([run.metrics[name] for run in having], better), trained)


def _by_network(runs: Sequence[RunRow], name: str) -> list[list[RunRow]]:
    """Runs in a row that timed one network by that arm; one of an older anelab, which does not say it, is taken to have
    timed what its neighbours did."""
    found: list[list[RunRow]] = []
    last: Network | None = None
    for run in runs:
        network = network_of(run.params, name)
        if not found or (network and last and last.differs(network)):
            found.append([])
        found[-1].append(run)
        last = network or last
    return found


def _method(run: RunRow) -> list[float]:
    """The stage keeps these under `bench.`, a version's or imported result by themselves; 5 and 5.0 are one."""
    return [float(run.params.get(name) or run.params.get(f"bench.{name}") or 0) for name in METHOD]


def _frame(runs: Sequence[RunRow], points: Sequence[trend.Point], of_run: Versions) -> pd.DataFrame:
    versions = [of_run.get(run.id, ()) for run in runs]
    metric = next((one[0].metric for one in versions if one), "metric")
    rows = [
        {
            "order": f"{number:05d}#{of_version[0].title if of_version else run.commit[:7] or 'unknown'}",
            "when": moment(run.started_ms),
            "version": versions_title(of_version) or "not registered",
            f"{metric}, test set": of_version[0].value if of_version and of_version[0].metric == metric else None,
            "commit": _commit(run, of_version),
            "value": point.value,
            "low": point.low,
            "high": point.high,
            "change": point.change or ("too few before" if point.low is None else "as before"),
            "host": run.host,
            "run": run.id,
        }
        for number, (run, point, of_version) in enumerate(zip(runs, points, versions, strict=True))
    ]
    columns = ["order", "when", "version", "commit", "value", f"{metric}, test set", "low", "high", "change"]
    return pd.DataFrame(rows, columns=[*columns, "host", "run"])


def _commit(run: RunRow, versions: Sequence[TimedVersion]) -> str:
    """Of the version that was timed or trained, or of the run where none is known."""
    own = run.commit[:8] + (" with changes" if run.commit and run.dirty else "")
    return (versions[0].commit if versions else "") or own
