"""Results as text for a terminal."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from anelab.bench.arms.placement import Placement
from anelab.bench.estimate import PLACEMENT_RULE, PredictedPlacement, PublishedPair
from anelab.bench.published.records import Published
from anelab.bench.results.compare import Change, Differences
from anelab.bench.results.metrics import Median
from anelab.bench.results.schema import ArmResult, Bound, Comparison, Estimate, Report
from anelab.bench.results.stats import LEAST_COUNTS
from anelab.bench.scenario import Scenario
from anelab.texts import printable, utc_time
from anelab.tracking.timed_versions import TimedVersion

Row = tuple[str, ...]


def duration(nanoseconds: float) -> str:
    """Three significant digits and a unit."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= 0.9995 * size:
            value = nanoseconds / size
            return f"{value:.{max(0, 2 - math.floor(math.log10(value * 1.0005)))}f} {unit}"
    return f"{nanoseconds:.0f} ns"


def table(header: Row, rows: Sequence[Row]) -> str:
    """Columns as wide as they need, the first to the left, the last as it is."""
    lines = [tuple(printable(cell) for cell in row) for row in (header, *rows)]
    widths = [max(len(row[column]) for row in lines) for column in range(len(header))]
    return "\n".join(_line(row, widths) for row in lines)


def _line(row: Row, widths: Sequence[int]) -> str:
    first, *middle, last = row
    cells = [first.ljust(widths[0]), *(text.rjust(width) for text, width in zip(middle, widths[1:-1], strict=True))]
    return "  ".join([*cells, last]).rstrip()


def placement_text(placement: Placement) -> str:
    """Shares by device, or that nothing tells."""
    if placement.source == "none":
        return "unavailable"
    shares = ", ".join(f"{device} {share:.0%}" for device, share in placement.share.items() if share)
    return f"{shares} ({placement.source})"


def report_text(report: Report, versions: Sequence[TimedVersion]) -> str:
    """`versions`: those that it timed, as far as they are known."""
    return "\n\n".join(_parts(report, versions))


def title(report: Report) -> str:
    """What it is of, when and where."""
    host, imported = report.host, ", imported" if report.imported else ""
    return printable(
        f"{report.subject.workload}, result {report.id[:12]}{imported}, measured {report.measured_at} on "
        f"{host.processor}, {host.cores} cores, {host.system} {host.release}"
    )


def versions_text(versions: Sequence[TimedVersion]) -> str:
    """Version, commit and metric of what was timed, a line each."""
    if not versions:
        return "not registered, or not yet: no version here has the files that were timed"
    rows: list[Row] = [
        (
            one.title,
            one.variant,
            "champion" if one.is_champion else "",
            f"commit {one.commit}" if one.commit else "commit unknown",
            "" if one.value is None else f"{one.metric} {one.value:.4g} on the test set",
        )
        for one in versions
    ]
    return table(("timed", "", "", "", ""), rows)


def _parts(report: Report, versions: Sequence[TimedVersion]) -> Iterator[str]:
    settings = report.settings
    yield (
        f"{title(report)}\n{settings.processes} processes an arm, {report.samples:,} samples, {report.seconds:.0f} s\n"
        "Times are of a call; speed-ups are medians of paired ratios with their 95 % interval, above 1 is faster;\n"
        "n<64 says that there are too few samples for that figure."
    )
    yield versions_text(versions)
    arms = {name: report.arms[name] for name in settings.arms}
    timed = {name: arm for name, arm in arms.items() if arm.timed}
    for cell in settings.cells:
        rows: list[Row] = [_cell_row(report, cell, name, arm) for name, arm in timed.items() if cell in arm.cells]
        if rows:
            speedup = f"speed-up over {settings.reference}"
            header = ("", "median", "p90", "p99", "rows/s", _metric_of(report), speedup, "verdict")
            many = f", {cell.rows} rows" if cell.rows > 1 else ""
            yield f"{cell}{many}\n{table(header, rows)}{_noise(report, cell)}"
    names = ("", "first load", "cached load", "peak memory", "placement")
    yield f"start, memory and placement\n{table(names, [_arm_row(name, arm) for name, arm in timed.items()])}"
    yield from _extras(report)
    if report.estimates and not any(arm.wants_ne and arm.timed for arm in report.arms.values()):
        yield estimates_text(report.estimates)
    lines = [f"not timed: {name}: {arm.reason}" for name, arm in arms.items() if not arm.timed]
    lines += [
        f"lost: {one.arm}, {'gates' if one.block is None else f'block {one.block}'}: {one.ending.text()}"
        for one in report.failures
    ]
    lines += [f"warning: {text}" for text in report.warnings]
    if lines:
        yield "\n".join(map(printable, lines))


def _metric_of(report: Report) -> str:
    """What the column of `ArmResult.quality` is called; a file alone has no metric."""
    name = report.metric.partition(":")[2]
    return f"{name}, examples" if name else ""


def _cell_row(report: Report, cell: Scenario, name: str, arm: ArmResult) -> Row:
    found = arm.cells[cell]
    p90, p99 = (
        duration(found.percentiles_ns[key]) if key in found.percentiles_ns else f"n<{LEAST_COUNTS[percentile]}"
        for key, percentile in (("p90", 90.0), ("p99", 99.0))
    )
    against = next((one for one in report.comparisons if (one.cell, one.arm) == (cell, name)), None)
    unsteady = found.processes - found.steady_processes
    steady = "" if found.steady else f" (not steady in {unsteady} of {found.processes} processes)"
    behind = " (fell behind)" if found.kept_up is False else ""
    verdict = against.verdict if against else "reference"
    return (
        name,
        duration(found.median_ns) if found.samples >= LEAST_COUNTS[50.0] else f"n<{LEAST_COUNTS[50.0]}",
        p90,
        p99,
        "" if found.rows_per_s is None else f"{found.rows_per_s:,.0f}",
        "" if arm.quality is None else f"{arm.quality:.4g}",
        ratio_text(against),
        f"{verdict}{steady}{behind}",
    )


def ratio_text(found: Comparison | Change | None) -> str:
    ratio = None if found is None else found.speedup if isinstance(found, Comparison) else found.ratio
    if found is None or ratio is None or found.low is None or found.high is None:
        return ""
    low, middle, high = (f"{value:.3f}" if value >= 0.1 else f"{value:.2g}" for value in (found.low, ratio, found.high))
    return f"{middle} [{low}, {high}]"


def _noise(report: Report, cell: Scenario) -> str:
    noise = report.noise.get(cell)
    if noise is None or noise.floor is None:
        return "\nnoise: unknown"
    return f"\nnoise: the reference against itself {ratio_text(noise)}; within {noise.floor:.1%} of 1 is no difference"


def _arm_row(name: str, arm: ArmResult) -> Row:
    first = next((one.load_ns + (one.compile_ns or 0) for one in arm.openings if one.first), None)
    later = sorted(one.load_ns + (one.compile_ns or 0) for one in arm.openings if not one.first)
    return (
        name,
        "" if first is None else duration(first),
        duration(later[len(later) // 2]) if later else "",
        f"{arm.memory.peak_bytes / 2**20:.0f} MiB" if arm.memory else "",
        placement_text(arm.placement),
    )


def _extras(report: Report) -> Iterator[str]:
    """Core ML's own pairs, and energy."""
    pairs = [one for one in report.comparisons if one.against != report.settings.reference]
    if pairs:
        lines: list[Row] = [
            (str(one.cell), one.arm, one.against, ratio_text(one), f"{one.verdict}: {one.reason}") for one in pairs
        ]
        yield "Core ML's compute units, compared\n" + table(("cell", "arm", "against", "speed-up", "verdict"), lines)
    energies = [(name, arm.energy) for name, arm in report.arms.items() if arm.energy is not None]
    reasons = {one.reason for _, one in energies if one.mj_per_inference is None}
    if len(reasons) == 1 and not any(one.mj_per_inference for _, one in energies):
        yield f"energy: unavailable: {printable(reasons.pop())}"
    elif energies:
        rows: list[Row] = [
            (name, "unavailable" if one.mj_per_inference is None else f"{one.mj_per_inference:.3g} mJ", one.reason)
            for name, one in energies
        ]
        yield table(("energy above idle", "an inference", ""), rows)


def differences_text(found: Differences) -> str:
    parts = [f"times are not comparable: {found.reason}"] if found.reason else []
    other = "another network, so neither is a regression of the other"
    groups = (
        ("regressions", found.regressions),
        ("improvements", found.improvements),
        ("unchanged", found.unchanged),
        (other, found.other_network),
    )
    for name, changes in groups:
        if changes:
            rows: list[Row] = [
                (one.arm, str(one.cell), duration(one.old_ns), duration(one.new_ns), ratio_text(one)) for one in changes
            ]
            parts.append(f"{name}\n" + table(("", "scenario", "old", "new", "old over new"), rows))
    if found.networks:
        lines: list[Row] = [(name, *both) for name, both in found.networks.items()]
        parts.append(table(("network", "old", "new"), lines))
    if found.quality:
        lines = [(name, f"{old:.4g}", f"{new:.4g}", f"{new - old:+.4g}") for name, (old, new) in found.quality.items()]
        parts.append(table((f"{found.metric}, examples", "old", "new", "change"), lines))
    if found.newly_failing:
        parts.append(_listed("newly failing", found.newly_failing))
    fewer = ("too few blocks to compare", found.too_few)
    for name, names in (("missing in the new one", found.missing), fewer, ("only in the new one", found.added)):
        if names:
            parts.append(f"{name}\n" + "\n".join(names))
    if found.not_primary:
        parts.append(_listed("NE not primary", found.not_primary))
    return "\n\n".join(parts) or "nothing to compare"


def _listed(title: str, items: Mapping[str, str]) -> str:
    return "\n".join([title, *(printable(f"{name}: {text}") for name, text in items.items())])


def history_text(results: Sequence[Mapping[str, Any]], scenario: Scenario) -> str:
    """A line for every result that has the scenario, a column for every arm; "" if none has."""
    labels = dict.fromkeys(name for one in results for name in one["medians_us"])
    arms = {name: found.arm for name in labels if (found := Median.of_label(name)) and found.scenario == scenario}
    rows: list[Row] = []
    for one in results:
        medians = one["medians_us"]
        if any(name in medians for name in arms):
            when = utc_time(one["started_ms"])
            figures = (duration(medians[name] * 1e3) if name in medians else "" for name in arms)
            rows.append((one["id"][:12], when, one["host"], *_version_cells(one["versions"]), *figures, _note(one)))
    header = ("result", "UTC", "host", "timed", "commit", "on the test set", *arms.values(), "")
    return table(header, rows) if rows else ""


def _version_cells(versions: Sequence[Mapping[str, Any]]) -> Row:
    """Of a result: the champion or first version that it timed, its commit and its headline metric."""
    if not versions:
        return "not registered", "", ""
    first, *others = versions
    champion = ", champion" if first["is_champion"] else ""
    more = f" and {len(others)} more" if others else ""
    value = "" if first["value"] is None else f"{first['metric']} {first['value']:.4g}"
    return f"{first['model']}/{first['version']} {first['variant']}{champion}{more}", first["commit"], value


def _note(result: Mapping[str, Any]) -> str:
    return "imported" if result["imported"] else f"at {result['commit']}" if result["commit"] else ""


def estimates_text(found: Sequence[Estimate]) -> str:
    rows: list[Row] = [
        (
            str(one.rows),
            f"{one.macs / 1e6:,.2f} M",
            f"{one.bytes_moved / 2**10:,.0f} KiB",
            _bound(one.cpu_ms),
            _bound(one.neural_engine_ms),
            one.winner,
            one.advice,
        )
        for one in found
    ]
    header = ("rows", "multiply-adds", "moved", "CPU, estimate", "Neural Engine, estimate", "likely", "")
    times = (
        f"ESTIMATE, not measured, of the Core ML package on a Mac's CPU and Neural Engine, from the best to the worst "
        f"published case\n{table(header, rows)}"
    )
    placed = {one.rows: one.placement for one in found if one.placement is not None}
    return f"{times}\n\n{placements_text(placed)}" if placed else times


def placements_text(placed: Mapping[int, PredictedPlacement]) -> str:
    """By rows a call."""
    any_one = next(iter(placed.values()))
    lines = [
        f"PREDICTED, not observed: where Core ML would put the operators with compute units CPU_AND_NE, on an "
        f"{any_one.chip} under {any_one.system}"
    ]
    for rows, one in placed.items():
        first, *others = one.sentences()
        lines += [f"  {rows} {'row' if rows == 1 else 'rows'} a call: {first}", *(f"    {text}" for text in others)]
    return "\n".join([*lines, f"  source of the rule: {PLACEMENT_RULE}"])


def sources_text(found: Sequence[Estimate]) -> str:
    return "constants of the estimate\n" + "\n".join(f"  {source}" for source in found[0].sources)


def _bound(bound: Bound) -> str:
    return f"{duration(bound.low * 1e6)} to {duration(bound.high * 1e6)}"


def published_text(cases: Sequence[PublishedPair]) -> str:
    rows: list[Row] = [
        (
            case.model,
            case.chip,
            duration(case.cpu_ms * 1e6),
            duration(case.neural_engine_ms * 1e6),
            case.winner,
            case.estimate.winner if case.estimate else "size unknown",
            case.source,
        )
        for case in cases
    ]
    header = ("PUBLISHED BY OTHERS", "chip", "CPU", "NE path", "faster", "estimate says", "source")
    return table(header, rows)


def published_figures_text(records: Sequence[Published]) -> str:
    rows: list[Row] = [
        (
            one.chip,
            one.model,
            "" if one.batch is None else str(one.batch),
            one.units,
            f"{'less than ' if one.upper_bound else ''}{one.value:g} {one.metric}",
            "" if one.interval is None else f"[{one.interval[0]:.4g}, {one.interval[1]:.4g}] items/s",
            one.source,
        )
        for one in records
    ]
    return table(("PUBLISHED BY OTHERS", "model", "batch", "units", "figure", "95 % interval", "source"), rows)
