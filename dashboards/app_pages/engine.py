"""Does the Neural Engine beat the CPU: where, by how much, how sure."""

import components
import glossary
import loading
import streamlit as st

from anelab.bench.estimate import PLACEMENT_RULE
from anelab.bench.scenario import Scenario
from anelab.tracking.reading import VersionRow
from anelab.views import charts, details, engine
from anelab.views.formatting import named

LEAST_SIZES = 2
NONE_CHOSEN = "Nothing that is chosen was measured here."


def newest_of(version: VersionRow) -> list[str]:
    """The newest result of every machine that measured it."""
    rows = sorted(map(loading.run, version.results.values()), key=lambda one: one.started_ms)
    return [one.id for one in {one.host: one for one in rows}.values()]


with st.container(horizontal=True, vertical_alignment="bottom"):
    workload = components.choose_workload()
    versions = [one for one in loading.versions(workload) if one.results]
    titles = components.pick_some(
        "Model versions", [one.title for one in versions], "version", "Newest of each machine"
    )
if titles:
    measured = {run for one in versions if one.title in titles for run in newest_of(one)}
    runs = sorted(map(loading.run, measured), key=lambda one: -one.started_ms)
else:
    runs = loading.latest_benchmarks(workload)
if not runs:
    text = f"There is no benchmark of {workload} in this store. Run `anelab bench run {workload}`."
    st.info(text, title="Not measured yet")
    components.link_to_chips()
    st.stop()
THOROUGH = f"`anelab bench run {workload} --thorough`"
found = components.readable(runs)
if not found:
    st.stop()
there = named([report for _, report in found], [one for one in versions if one.title in titles])
run_ids = dict(zip(there, (run.id for run, _ in found), strict=True))
with st.container(horizontal=True, vertical_alignment="bottom"):
    hosts = components.pick_some("Machines", list(there), "host") or list(there)
    results = {host: there[host] for host in hosts}
    reports = list(results.values())
    arms = components.pick_some(
        "Arms", list(dict.fromkeys(name for one in reports for name in engine.chosen(one))), "arm"
    )
    variants = sorted({arm.variant for one in reports for arm in engine.chosen(one).values()})
    precision = components.pick_some("Precision", variants, "precision")

answers = engine.answer(results, versions, arms, precision)
every = named(loading.latest_reports(workload))
if not answers:
    answers = [engine.UNCHOSEN, *engine.answer(every, versions)] if engine.answer(every) else [engine.UNKNOWN]
for text in answers:
    st.markdown(f"**{components.escaped(text)}**")
for host, report in results.items():
    for text in report.warnings:
        st.caption(f":material/warning: {components.escaped(f'{host}: {text}')}")
if not engine.has_neural_engine(every.values()):
    components.link_to_chips()
    st.info(
        "No arm on a Neural Engine was timed, so nothing is claimed about it. Below are the arms that were timed, "
        "and apart from them an estimate and cases that others published. To measure on a Mac, run "
        f"`anelab bench request {workload}-coreml@champion --host system=Darwin` here: it says what to run there.",
        title="No Neural Engine results",
        icon=":material/memory:",
    )


@st.fragment
def at_one_size() -> None:
    """What depends on the batch size or scenario, and is all that is made anew when another is chosen."""
    with components.errors_as_messages():
        cells = {engine.cell_name(cell): cell for cell in engine.cells_of(reports)}
        scenario = components.pick("Batch or scenario", list(cells), "scenario")
        speedups(cells[scenario], scenario)
        distributions(cells[scenario], scenario)


def speedups(cell: Scenario, scenario: str) -> None:
    st.subheader("Speed-up")
    frame = engine.speedups(results, arms, precision)
    frame = frame[frame["cell"] == str(cell)]
    if frame.empty:
        names = ", ".join(dict.fromkeys(report.settings.reference for report in reports))
        st.caption(
            components.escaped(f"Nothing was compared here. The others are compared with {names}: choose one of them.")
        )
        return
    for host, report in results.items():
        for against in dict.fromkeys(frame["against"]):
            part = frame[(frame["against"] == against) & (frame["host"] == host)]
            if len(part):
                about = f"{host}, {scenario}, every arm in {report.settings.processes} processes"
                st.caption(components.escaped(about))
                components.chart(
                    charts.speedup_chart(part, against), f"Speed-up over {against} with intervals, {scenario}"
                )
    columns = ["host", "scenario", "arm", "against", "text", "reason", "origin"]
    renamed = frame[columns].rename(columns={"text": "speed-up [95 % interval], verdict"})
    components.table(renamed, "speedups", "Speed-ups")


def distributions(cell: Scenario, scenario: str) -> None:
    st.subheader("Latency distribution")
    for host, report in results.items():
        quantiles = loading.distributions(run_ids[host]).get(cell)
        if quantiles is not None:
            st.caption(components.escaped(f"{host}, {scenario}: raw samples"))
            kept = quantiles[quantiles["arm"].isin(engine.chosen(report, arms, precision))]
            if kept.empty:
                st.caption(NONE_CHOSEN)
                continue
            components.chart(
                charts.distribution_chart(kept, engine.time_title(cell)), f"Distribution of times, {scenario}"
            )
    about = f"Percentiles of call times, {scenario}"
    components.table(engine.percentiles(results, cell, arms, precision), "percentiles", about)


at_one_size()

st.subheader("Batch size")
for host, report in results.items():
    sweep = engine.sweep({host: report}, arms, precision)
    st.caption(components.escaped(host))
    if sweep["rows"].nunique() < LEAST_SIZES:
        several = engine.sweep({host: report})["rows"].nunique() >= LEAST_SIZES
        st.caption(NONE_CHOSEN if several else f"One batch size was measured. {THOROUGH} measures the sweep.")
        continue
    crossings = engine.crossovers({host: report}, arms, precision)
    left, right = st.columns(2)
    with left:
        components.chart(charts.sweep_chart(sweep, "us", crossings), "Time of a call against rows a call")
    with right:
        components.chart(charts.sweep_chart(sweep, "rows_per_s", crossings), "Throughput against rows a call")
crossings = engine.crossovers(results, arms, precision)
if len(crossings):
    components.table(crossings, "crossovers", "Batch sizes from which an arm is faster")

st.subheader("Placement")
for host, report in results.items():
    st.caption(components.escaped(host))
    placed = engine.placements({host: report}, arms, precision)
    if placed.empty:
        st.caption(NONE_CHOSEN)
        continue
    components.chart(charts.placement_chart(placed), "Share of the work by device")
st.caption(
    "Source: `compute_plan` is Core ML's own plan, `ort_assignment` what ONNX Runtime assigned to its providers. Where "
    "neither tells, placement is unavailable, which is not zero."
)

st.subheader("Cold, cached, warm, sustained; energy and parity")
states = details.states(results, arms, precision)
empty = [name for name in states.columns if states[name].isna().all()]
components.table(states.drop(columns=empty), "states", "Cold, cached, warm and sustained times, memory, energy, parity")
every_arm = details.states(results)
if unknown := [name for name in empty if every_arm[name].isna().all()]:
    st.caption(f"Not measured: {', '.join(unknown)}. {THOROUGH} measures what the machine it runs on can.")
for text in details.without_energy(results):
    st.caption(components.escaped(f"No energy of {text}"))
with st.expander("Gates before timing: provider, parity, placement"):
    components.table(details.gates(results), "gates", "Gates of every arm")
if len(lost := details.not_timed(results)):
    with st.expander(f"{len(lost)} arms that were not timed, and why"):
        components.table(lost, "not_timed", "Arms that were not timed")

with st.container(border=True):
    st.subheader("Estimates, not measured")
    st.caption("From the package's operations and constants that others published; only a Mac can tell.")
    if engine.has_neural_engine(every.values()):
        st.caption("A Neural Engine was measured meanwhile: what is measured, above, overrules any estimate.")
    if len(estimated := details.estimates(results)):
        components.table(estimated, "estimates", "Estimated times, not measured")
    else:
        st.caption("None for this choice.")
    if len(placed := details.predicted_placements(results)):
        st.subheader("Predicted placement, not observed")
        st.caption(
            f"Where Core ML's own rule would put the operators with compute units CPU_AND_NE. Source: {PLACEMENT_RULE}."
        )
        components.table(placed, "predicted", "Predicted placement, not observed")
    st.subheader("Published by others")
    st.caption("Cases in which others measured both sides, on their models and machines.")
    components.table(details.published_pairs(loading.pairs_of_others()), "published", "Cases published by others")
glossary.explain("NE", "arm", "speed-up", "verdict", "noise", "placement", "parity", "steady", "kept up")
