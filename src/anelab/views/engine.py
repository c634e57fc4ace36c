"""Neural Engine against CPU: frames of one or more results. Verdicts are those of `bench`; none is made here."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from anelab.bench.arms.placement import Placement
from anelab.bench.results.compare import crossover
from anelab.bench.results.samples import Slice
from anelab.bench.results.schema import ArmResult, Comparison, Report
from anelab.bench.results.stats import LEAST_COUNTS
from anelab.bench.scenario import Scenario
from anelab.tracking.reading import VersionRow
from anelab.views.formatting import device_name, device_of, ratio_text, verdict_text

UNCHOSEN = "Nothing that is chosen compares an arm on the Neural Engine with the CPU."
UNKNOWN = "Whether the Neural Engine beats the CPU is unknown: no result here compares an arm on it with the CPU."
Results = Mapping[str, Report]
"""By what tells them apart for a person: the machine, and the versions where one machine has several results."""
QUANTILES = np.linspace(0, 1, 201)


def has_neural_engine(reports: Iterable[Report]) -> bool:
    """Whether any arm that is about the Neural Engine was timed."""
    return any(arm.wants_ne and arm.timed for report in reports for arm in report.arms.values())


def cells_of(reports: Iterable[Report]) -> list[Scenario]:
    """Scenarios of any of them: one row, batches by size, then the others."""
    found = {cell for report in reports for arm in report.arms.values() for cell in arm.cells}
    return sorted(found, key=lambda cell: (not cell.is_batch_size, cell.rows, str(cell)))


def cell_name(cell: Scenario) -> str:
    return {
        "single": "one row",
        "batch": f"batch of {cell.rows}",
        "offline": f"offline, {cell.rows} rows",
        "server": "server (Poisson arrivals)",
        "idle": f"after {cell.gap_ms}ms idle",
    }[cell.kind]


def time_title(cell: Scenario) -> str:
    """What a sample of the scenario is the time of."""
    if cell.kind == "offline":
        return f"time of a pass over {cell.rows:,} rows"
    return "time from arrival to answer" if cell.kind == "server" else "time of a call"


def chosen(report: Report, arms: Sequence[str] = (), variants: Sequence[str] = ()) -> dict[str, ArmResult]:
    """The timed arms that were asked for; all if none was named."""
    return {
        name: report.arms[name]
        for name in report.settings.arms
        if report.arms[name].timed
        and (not arms or name in arms)
        and (not variants or report.arms[name].variant in variants)
    }


def speedups(results: Results, arms: Sequence[str] = (), variants: Sequence[str] = ()) -> pd.DataFrame:
    """A row for every comparison of the arms that were asked for."""
    rows = []
    for host, report in results.items():
        shown = chosen(report, arms, variants)
        for one in report.comparisons:
            if one.arm in shown:
                rows.append(_speedup(host, report, one))
    return pd.DataFrame(rows, columns=_SPEEDUP)


_SPEEDUP = (
    "host",
    "scenario",
    "cell",
    "rows",
    "arm",
    "device",
    "against",
    "speedup",
    "low",
    "high",
    "noise_low",
    "noise_high",
    "verdict",
    "text",
    "reason",
    "origin",
)


def _speedup(host: str, report: Report, one: Comparison) -> dict[str, object]:
    noise = None if one.floor is None else 1 + one.floor
    return {
        "host": host,
        "scenario": cell_name(one.cell),
        "cell": str(one.cell),
        "rows": one.cell.rows,
        "arm": one.arm,
        "device": device_of(report.arms[one.arm], one.cell.call_rows),
        "against": one.against,
        "speedup": one.speedup,
        "low": one.low,
        "high": one.high,
        "noise_low": None if noise is None else 1 / noise,
        "noise_high": noise,
        "verdict": one.verdict,
        "text": f"{ratio_text(one.speedup, one.low, one.high)}, {verdict_text(one.verdict)}",
        "reason": one.reason,
        "origin": "imported" if report.imported else "measured by this project",
    }


def answer(
    results: Results, versions: Sequence[VersionRow] = (), arms: Sequence[str] = (), variants: Sequence[str] = ()
) -> list[str]:
    """The question of the project, answered in a sentence a machine and pair of arms, for the arms that were asked
    for. `versions`: to name the ones that were measured."""
    sentences = []
    for host, report in results.items():
        measured = ", ".join(one.title for one in versions if ran_on_ne(report, one))
        where = host if not measured or measured in host else f"{host}, {measured}"
        shown = chosen(report, arms, variants)
        pairs = {(one.arm, one.against) for one in report.comparisons if one.arm in shown}
        sentences += [
            f"{where}: {_sentence(report, arm, against)}"
            for arm, against in sorted(pairs)
            if report.arms[arm].wants_ne and report.arms[against].device == "CPU"
        ]
    return sentences


def ran_on_ne(report: Report, version: VersionRow) -> bool:
    """Whether an arm about the Neural Engine timed the version's file."""
    return any(arm.wants_ne and arm.timed and version.sha256 in arm.files.values() for arm in report.arms.values())


def _sentence(report: Report, arm: str, against: str) -> str:
    sized = sorted(
        (one for one in report.comparisons if (one.arm, one.against) == (arm, against) and one.cell.is_batch_size),
        key=lambda one: one.cell.rows,
    )
    found = [one for one in sized if one.verdict != "not on NE"]
    if not sized or not found:
        reason = sized[0].reason if sized else "no batch size has both"
        return f"{arm} says nothing about the Neural Engine: {reason}."
    largest, off = found[-1], len(sized) - len(found)
    missing = f" Off it at {off} of {len(sized)} batch sizes, which count for nothing." if off else ""
    if largest.verdict == "not comparable":
        return f"{arm} cannot be told from {against}: {largest.reason}.{missing}"
    start = crossover(found, arm, against)
    if start is None:
        others = [f"at {_claim_at(found[0])}"] if found[0] is not largest else []
        return f"{arm} does not beat {against}: {'; '.join([f'at {_claim_at(largest)}', *others])}.{missing}"
    best = max((one for one in found if one.verdict == "faster"), key=lambda one: one.speedup or 0)
    if start == largest.cell.rows:
        claim = f"at {cell_name(largest.cell)}, the largest measured: {_times(best)}"
    else:
        claim = f"from {start} to {largest.cell.rows:,} rows a call: at best {_times(best)}, at {cell_name(best.cell)}"
    smaller = "" if start == found[0].cell.rows else f" At {_claim_at(found[0])}."
    return f"{arm} beats {against} {claim}.{smaller}{missing}"


def _claim_at(one: Comparison) -> str:
    """What holds at one size."""
    what = {"faster": "it is faster", "slower": "it is slower", "within noise": "the two are as fast"}.get(one.verdict)
    if what is None:
        return f"{cell_name(one.cell)} nothing can be said ({one.reason})"
    return f"{cell_name(one.cell)} {what}, {_times(one)}"


def _times(one: Comparison) -> str:
    return f"{ratio_text(one.speedup, one.low, one.high)} times as fast"


def placements(results: Results, arms: Sequence[str] = (), variants: Sequence[str] = ()) -> pd.DataFrame:
    """Share of every device by arm and rows a call; one row "unavailable" where nothing tells."""
    rows = []
    for host, report in results.items():
        for name, arm in chosen(report, arms, variants).items():
            for count, placement in sorted(arm.placements.items()):
                rows += [
                    {
                        "host": host,
                        "arm": name,
                        "rows": count,
                        "device": device,
                        "share": share,
                        "source": _source(placement, arm),
                        "partitions": placement.partitions,
                        "switches": placement.switches,
                        "supported, not preferred": placement.supported_not_preferred,
                    }
                    for device, share in _shares(placement, arm)
                ]
    columns = ["host", "arm", "rows", "device", "share", "source", "partitions", "switches", "supported, not preferred"]
    return pd.DataFrame(rows, columns=columns)


def _source(placement: Placement, arm: ArmResult) -> str:
    if placement.source != "none":
        return placement.source
    return "it has no other device" if arm.device == "CPU" else "unavailable"


def _shares(placement: Placement, arm: ArmResult) -> list[tuple[str, float]]:
    """What can run on the CPU alone runs there; of anything else nobody knows unless it was seen."""
    if placement.source == "none" or not placement.share:
        return [("CPU" if arm.device == "CPU" else "unavailable", 1.0)]
    return [(device_name(device), share) for device, share in placement.share.items() if share]


def percentiles(
    results: Results, cell: Scenario, arms: Sequence[str] = (), variants: Sequence[str] = ()
) -> pd.DataFrame:
    """Times of a call in µs. A percentile that too few samples bear is empty."""
    rows = []
    for host, report in results.items():
        for name, arm in chosen(report, arms, variants).items():
            if found := arm.cells.get(cell):
                rows.append(
                    {
                        "host": host,
                        "arm": name,
                        "device": device_of(arm, cell.call_rows),
                        **{f"p{one:g} (µs)": _micro(found.percentiles_ns.get(f"p{one:g}")) for one in LEAST_COUNTS},
                        "MAD (µs)": found.mad_ns / 1e3,
                        "max (µs)": found.max_ns / 1e3,
                        "rows/s": found.rows_per_s,
                        "kept up": {None: "", True: "yes", False: "no, it fell behind"}[found.kept_up],
                        "samples": found.samples,
                        "far outliers": found.outliers.get("far", 0),
                        "steady": f"{found.steady_processes} of {found.processes}",
                    }
                )
    return pd.DataFrame(rows)


def _micro(nanoseconds: float | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e3


def distribution(
    report: Report, slices: Iterable[Slice], cell: Scenario, arms: Sequence[str] = (), variants: Sequence[str] = ()
) -> pd.DataFrame:
    """The empirical distribution of every arm's raw samples, at 201 quantiles each: `us` and `share`."""
    shown = chosen(report, arms, variants)
    by_arm: dict[str, list[np.ndarray]] = {}
    for one in slices:
        if one.phase == "measured" and one.cell == cell and one.arm in shown:
            by_arm.setdefault(one.arm, []).append(one.ns)
    parts = [
        pd.DataFrame(
            {
                "arm": name,
                "device": device_of(shown[name], cell.call_rows),
                "us": np.quantile(np.concatenate(many), QUANTILES) / 1e3,
                "share": QUANTILES,
            }
        )
        for name, many in by_arm.items()
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["arm", "device", "us", "share"])


def sweep(results: Results, arms: Sequence[str] = (), variants: Sequence[str] = ()) -> pd.DataFrame:
    """Latency and throughput by rows a call: medians, with the range of the processes' medians."""
    rows = []
    for host, report in results.items():
        for name, arm in chosen(report, arms, variants).items():
            for cell, found in arm.cells.items():
                if cell.is_batch_size:
                    medians = found.process_medians_ns.values()
                    rows.append(
                        {
                            "host": host,
                            "arm": name,
                            "device": device_of(arm, found.rows),
                            "rows": found.rows,
                            "us": found.median_ns / 1e3,
                            "us_low": min(medians) / 1e3,
                            "us_high": max(medians) / 1e3,
                            "rows_per_s": found.rows_per_s,
                        }
                    )
    columns = ["host", "arm", "device", "rows", "us", "us_low", "us_high", "rows_per_s"]
    return pd.DataFrame(rows, columns=columns)


def crossovers(results: Results, arms: Sequence[str] = (), variants: Sequence[str] = ()) -> pd.DataFrame:
    """From which batch size on an arm is faster than the one it is compared with, where it is not so at all sizes."""
    rows = []
    for host, report in results.items():
        shown = chosen(report, arms, variants)
        smallest = min((one.cell.rows for one in report.comparisons if one.cell.is_batch_size), default=1)
        for arm, against in sorted({(one.arm, one.against) for one in report.comparisons}):
            start = crossover(report.comparisons, arm, against)
            if arm in shown and start is not None and start > smallest:
                device = device_of(shown[arm], start)
                rows.append({"host": host, "arm": arm, "device": device, "against": against, "rows": start})
    return pd.DataFrame(rows, columns=["host", "arm", "device", "against", "rows"])
