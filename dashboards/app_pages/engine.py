"""Does the Neural Engine beat the CPU: where, by how much, how sure."""

import loading
import shown
import streamlit as st

from anelab.views import charts, engine, particulars
from anelab.views.look import host_name

LEAST_SIZES = 2

with st.container(horizontal=True, vertical_alignment="bottom"):
    workload = shown.choose_workload()
    versions = [one for one in loading.versions(workload) if one.results]
    version = shown.pick("Model version", ["any", *(one.title for one in versions)], "version")
if version == "any":
    runs = loading.latest_benchmarks(workload)
else:
    measured = {run for one in versions if one.title == version for run in one.results.values()}
    newest = {one.host: one for one in sorted(map(loading.run, measured), key=lambda one: one.started_ms)}
    runs = list(newest.values())
if not runs:
    text = f"There is no benchmark of {workload} in this store. Run `anelab bench run {workload}`."
    st.info(text, title="Not measured yet")
    st.stop()
by_host = {host_name(report): (run, report) for run, report in ((one, loading.report(one.id)) for one in runs)}
with st.container(horizontal=True, vertical_alignment="bottom"):
    hosts = shown.pick_some("Hosts", list(by_host), "host") or list(by_host)
    reports = [by_host[host][1] for host in hosts]
    arms = shown.pick_some("Arms", list(dict.fromkeys(name for one in reports for name in engine.chosen(one))), "arm")
    variants = sorted({arm.variant for one in reports for arm in engine.chosen(one).values()})
    precision = shown.pick_some("Precision", variants, "precision")

for text in engine.answer(reports, versions):
    st.markdown(f"**{shown.say(text)}**")
for one in reports:
    for text in one.warnings:
        st.caption(f":material/warning: {shown.say(f'{host_name(one)}: {text}')}")
if not engine.has_neural_engine(reports):
    st.info(
        "No arm on a Neural Engine was timed, so nothing is claimed about it. Below are the arms that were timed, "
        "and apart from them an estimate and cases that others published. To measure on a Mac: run "
        "`anelab bench agent --tracking-uri URL` there; or `anelab bench run` and `anelab bench export` there, and "
        "`anelab bench import BUNDLE` here.",
        title="No Neural Engine results",
        icon=":material/memory:",
    )


@st.fragment
def at_one_size() -> None:
    """What depends on the batch size or scenario, and is all that is made anew when another is chosen."""
    with shown.told():
        cells = {engine.cell_name(cell): cell for cell in engine.cells_of(reports)}
        scenario = shown.pick("Batch or scenario", list(cells), "scenario")
        speedups(cells[scenario], scenario)
        distributions(cells[scenario], scenario)


def speedups(cell: str, scenario: str) -> None:
    st.subheader("Speed-up")
    frame = engine.speedups(reports, arms, precision)
    frame = frame[frame["cell"] == cell]
    for report in reports:
        imported = ", imported" if report.imported else ""
        for against in dict.fromkeys(frame["against"]):
            part = frame[(frame["against"] == against) & (frame["result"] == report.id[:12])]
            if len(part):
                about = f"{host_name(report)}, {scenario}, {report.settings.processes} processes an arm{imported}"
                st.caption(shown.say(about))
                shown.chart(charts.speedup_chart(part, against), f"Speed-up over {against} with intervals, {scenario}")
    columns = ["host", "scenario", "arm", "against", "text", "reason", "origin"]
    renamed = frame[columns].rename(columns={"text": "speed-up [95 % interval], verdict"})
    shown.table(renamed, "speedups", "Speed-ups")


def distributions(cell: str, scenario: str) -> None:
    st.subheader("Latency distribution")
    for host in hosts:
        run, report = by_host[host]
        quantiles = loading.distributions(run.id).get(cell)
        if quantiles is not None:
            st.caption(shown.say(f"{host}, {scenario}: raw samples"))
            kept = quantiles[quantiles["arm"].isin(engine.chosen(report, arms, precision))]
            shown.chart(charts.distribution_chart(kept, engine.time_title(cell)), f"Distribution of times, {scenario}")
    about = f"Percentiles of call times, {scenario}"
    shown.table(engine.percentiles(reports, cell, arms, precision), "percentiles", about)


at_one_size()

st.subheader("Batch size")
for report in reports:
    sweep = engine.sweep([report], arms, precision)
    st.caption(shown.say(host_name(report)))
    if sweep["rows"].nunique() < LEAST_SIZES:
        st.caption("One batch size was measured. `anelab bench run --thorough` measures the sweep.")
        continue
    crossings = engine.crossovers([report], arms, precision)
    left, right = st.columns(2)
    with left:
        shown.chart(charts.sweep_chart(sweep, "us", crossings), "Time of a call against rows a call")
    with right:
        shown.chart(charts.sweep_chart(sweep, "rows_per_s", crossings), "Throughput against rows a call")
crossings = engine.crossovers(reports, arms, precision)
if len(crossings):
    shown.table(crossings, "crossovers", "Batch sizes from which an arm is faster")

st.subheader("Placement")
for report in reports:
    st.caption(shown.say(host_name(report)))
    shown.chart(charts.placement_chart(engine.placements([report], arms, precision)), "Share of the work by device")
st.caption(
    "Source: `compute_plan` is Core ML's own plan, `ort_assignment` what ONNX Runtime assigned to its providers. Where "
    "neither tells, placement is unavailable, which is not zero."
)

st.subheader("Cold, cached, warm, sustained; energy and parity")
states = particulars.states(reports, arms, precision)
unknown = [name for name in states.columns if states[name].isna().all()]
shown.table(states.drop(columns=unknown), "states", "Cold, cached, warm and sustained times, memory, energy, parity")
if unknown:
    st.caption(f"Not measured: {', '.join(unknown)}. `anelab bench run --thorough` measures what this machine can.")
for text in particulars.without_energy(reports):
    st.caption(shown.say(f"No energy of {text}"))
with st.expander("Gates before timing: provider, parity, placement"):
    shown.table(particulars.gates(reports), "gates", "Gates of every arm")
if len(lost := particulars.not_timed(reports)):
    with st.expander(f"{len(lost)} arms that were not timed, and why"):
        shown.table(lost, "not_timed", "Arms that were not timed")

with st.container(border=True):
    st.subheader("Estimates, not measured")
    st.caption("From the package's operations and constants that others published; only a Mac can tell.")
    if len(estimated := particulars.estimates(reports)):
        shown.table(estimated, "estimates", "Estimated times, not measured")
    st.subheader("Published by others")
    st.caption("Cases in which others measured both sides, on their models and machines.")
    shown.table(particulars.published(loading.published()), "published", "Cases published by others")
