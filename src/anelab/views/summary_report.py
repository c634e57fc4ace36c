"""`anelab report`: what the dashboard shows, as one file that stands alone, or as text for a pull request."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from anelab.bench.estimate import PLACEMENT_RULE, published_pairs
from anelab.bench.results.bundle import SAMPLES
from anelab.bench.results.samples import read_samples
from anelab.bench.results.schema import Report
from anelab.bench.scenario import SINGLE
from anelab.errors import AnelabError
from anelab.files import write_text
from anelab.tracking import reading
from anelab.tracking.reading import VersionRow
from anelab.tracking.runs import STAGES
from anelab.tracking.store import Store
from anelab.tracking.timed_versions import versions_by_run
from anelab.views import charts, data, details, engine, history, overview, pareto, search
from anelab.views.formatting import named, versions_sentence
from anelab.views.page import Part, as_html, as_markdown
from anelab.workspace import Workspace


def write_report(workspace: Workspace, workloads: Sequence[str], out: Path) -> None:
    """HTML, or Markdown if `out` ends in .md. Raises AnelabError if there is no store or nothing in it."""
    store = reading.open_existing(workspace)
    there = [] if store is None else reading.workloads_in(store)
    if store is None or not there:
        raise AnelabError(f"{overview.why_empty(workspace).what}. MLFLOW_TRACKING_URI may name another store")
    if missing := [name for name in workloads if name not in there]:
        raise AnelabError(f"the store has no runs of {', '.join(missing)}; run `anelab run {missing[0]}`")
    parts = [part for name in workloads or there for part in _tried(name, partial(parts_of, store, name), level=2)]
    parts += _published()
    made = f"Made {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
    write_text(out, as_markdown(parts) if out.suffix == ".md" else as_html(parts, made, "anelab report"))


def parts_of(store: Store, workload: str) -> list[Part]:
    versions = reading.versions(store, workload)
    by_run, lost = _results(store, workload, versions)
    of_run = versions_by_run(versions, *(reading.runs(store, workload, stage) for stage in ("train", "bench")))
    results = named(list(by_run.values()))
    stages = {stage: len(reading.runs(store, workload, stage, 1)) for stage in STAGES}
    lacking = overview.missing(workload, stages, versions, list(results.values()))
    answers = engine.answer(results, versions) or [engine.UNKNOWN]
    text = [*answers, *lost, *(f"{one.what}: `{one.command}`" for one in lacking)]
    found = [Part(workload, text, level=2), Part("Champions and challengers", table=overview.holders_table(versions))]
    judged = overview.judged(versions)
    found += [Part(title, table=overview.gates(one)) for title, one in judged.items()]
    found += [Part("Figures on the test set", table=overview.figures(judged.values()))] if judged else []
    for (host, report), run_id in zip(results.items(), by_run, strict=True):
        found += _of_result(store, run_id, host, report, versions_sentence(of_run.get(run_id, ())))
    return [
        *found,
        *_estimates(results),
        *_pareto(versions, by_run),
        *_history(store, workload, versions, list(by_run.values()), of_run),
        *_tried("Search", partial(_search, store, workload)),
        *_tried("Data", partial(_data, store, workload)),
    ]


def _tried(title: str, make: Callable[[], list[Part]], level: int = 3) -> list[Part]:
    """What is lost is told in its place, and keeps nothing else out of the report."""
    try:
        return make()
    except AnelabError as error:
        return [Part(title, [f"Not shown: {error}."], level=level)]


def _results(store: Store, workload: str, versions: Sequence[VersionRow]) -> tuple[dict[str, Report], list[str]]:
    """Of every machine the newest result that timed a champion, or else the newest, by its run; and why others cannot
    be read."""
    of_champion = {run for one in versions if "champion" in one.aliases for run in one.results.values()}
    by_host = reading.latest_benchmarks(store, workload)
    by_host |= {run.host: run for run in reading.runs(store, workload, "bench") if run.id in of_champion}
    found, lost = {}, []
    for run in by_host.values():
        try:
            found[run.id] = reading.benchmark(store, run.id)
        except AnelabError as error:
            lost.append(f"Not shown: {error}.")
    return found, lost


def _of_result(store: Store, run_id: str, host: str, report: Report, timed: str) -> list[Part]:
    alone = {host: report}
    frame = engine.speedups(alone)
    imported = ", imported" if report.imported else ""
    when = f"{report.measured_at}, {report.samples:,} samples, result {report.id[:12]}."
    found = [Part(f"Measured on {host}{imported}", [timed, when, *report.warnings])]
    for cell in engine.cells_of([report]):
        for against in dict.fromkeys(frame["against"]):
            part = frame[(frame["cell"] == str(cell)) & (frame["against"] == against)]
            if part["speedup"].notna().any():
                found.append(Part(f"Speed-up, {engine.cell_name(cell)}", chart=charts.speedup_chart(part, against)))
    shown = frame[["scenario", "arm", "against", "text", "reason"]].rename(columns={"text": "speed-up [95 % interval]"})
    found += [Part("Speed-ups", table=shown)] if len(shown) else []
    placed = engine.placements(alone)
    found.append(Part("Placement", chart=charts.placement_chart(placed)))
    found.append(Part("Placement and its source", table=placed.drop(columns=["host"])))
    found += _tried("Latency of one row, raw samples", partial(_distribution, store, run_id, report))
    found.append(Part("Percentiles of one row", table=engine.percentiles(alone, SINGLE).drop(columns=["host"])))
    sweep = engine.sweep(alone)
    if sweep["rows"].nunique() > 1:
        crossings = engine.crossovers(alone)
        for title, value in (("Latency by batch", "us"), ("Throughput by batch", "rows_per_s")):
            found.append(Part(title, chart=charts.sweep_chart(sweep, value, crossings)))
    states = details.states(alone).drop(columns=["host"]).dropna(axis=1, how="all")
    found.append(Part("Cold, cached, warm, sustained; energy and parity", table=states))
    if len(lost := details.not_timed(alone)):
        found.append(Part("Not timed", table=lost.drop(columns=["host"])))
    return found


def _distribution(store: Store, run_id: str, report: Report) -> list[Part]:
    with reading.downloaded(store, run_id, SAMPLES) as path:
        quantiles = engine.distribution(report, read_samples(path), SINGLE)
    if quantiles.empty:
        return []
    return [Part("Latency of one row, raw samples", chart=charts.distribution_chart(quantiles))]


def _estimates(results: engine.Results) -> list[Part]:
    estimated = details.estimates(results)
    text = ["From the package's operations and constants that others published; only a Mac can tell."]
    parts = [Part("Estimates, not measured", text, estimated, estimate=True)] if len(estimated) else []
    placed = details.predicted_placements(results)
    rule = [
        f"Where Core ML's own rule would put the operators with compute units CPU_AND_NE. Source: {PLACEMENT_RULE}."
    ]
    return [*parts, *([Part("Predicted placement, not observed", rule, placed, estimate=True)] if len(placed) else [])]


def _published() -> list[Part]:
    cases = details.published_pairs(published_pairs())
    text = ["Cases in which others measured both sides, on their models and machines."]
    return [Part("Published by others", text, cases, level=2)]


def _pareto(versions: Sequence[VersionRow], reports: Mapping[str, Report]) -> list[Part]:
    """Of the versions that were judged as the newest was."""
    alike = [one for one in versions if (one.test_digest, one.metric) == (versions[0].test_digest, versions[0].metric)]
    frame = pareto.points(alike, reports)
    if frame.empty:
        return []
    text = ["Filled: no version that passed its gates is as good in quality, time and size, and better in one."]
    found = []
    for host, points in frame.groupby("host", sort=False):
        title = f"Quality, latency and size on {host}"
        if len(points) == 1:
            found.append(Part(title, [pareto.only_point(points, alike[0].metric_name)]))
            continue
        chart = charts.pareto_chart(
            pareto.judged(points, alike[0].direction(alike[0].metric_name) > 0), alike[0].metric_name
        )
        found.append(Part(title, text, chart=chart))
    return found


def _history(
    store: Store,
    workload: str,
    versions: Sequence[VersionRow],
    reports: Sequence[Report],
    of_run: history.Versions,
) -> list[Part]:
    """The headline metric, and the first latency, where there are two values or more."""
    found = []
    trained, measured = reading.runs(store, workload, "train"), reading.runs(store, workload, "bench")
    for name in history.metrics(trained):
        if versions and name == f"test_{versions[0].metric_name}":
            better = versions[0].direction(versions[0].metric_name)
            found.append((name, history.metric(trained, name, better, of_run)))
    for name in history.latencies(measured)[:1]:
        host = history.hosts(measured, name)[0]
        machine = history.machines([host], reports)[host]
        found.append((f"{name} (µs), {machine}", history.latency(measured, name, host, of_run)))
    return [
        Part(f"{name} over results", chart=charts.band_chart(frame, name)) for name, frame in found if len(frame) > 1
    ]


def _search(store: Store, workload: str) -> list[Part]:
    runs = reading.runs(store, workload, "search", 1)
    trials = reading.trials(store, runs[-1]) if runs else []
    if len(trials) < 2:
        return [Part("Search", ["There was one trial only: params.yaml's own values."])] if trials else []
    metric = runs[-1].params.get("metric", "max:value")
    frame = search.best_so_far(search.trials(trials), not metric.startswith("min:"))
    found = [Part("Search", chart=search.history_chart(frame, metric.partition(":")[2]))]
    importances = reading.artifact(store, runs[-1].id, "search.json").get("importances")
    if importances:
        found.append(Part("Importance of each setting", chart=search.importance_chart(importances)))
    return found


def _data(store: Store, workload: str) -> list[Part]:
    runs = reading.runs(store, workload, "prepare", 1)
    if not runs:
        return []
    card = reading.artifact(store, runs[-1].id, "data.json")
    counts = data.counts(card)
    drawn = [Part("Balance", chart=data.balance_chart(counts))] if len(counts) else []
    return [Part("Data", [str(text) for text in card.get("warnings", [])], counts), *drawn]
