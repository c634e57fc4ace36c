"""Does the Neural Engine beat the CPU: where, by how much, how sure."""

import loading
import shown
import streamlit as st

from anelab.views import charts, engine
from anelab.views.look import host_name

LEAST_SIZES = 2

with st.container(horizontal=True, vertical_alignment="bottom"):
    workload = shown.choose_workload()
    versions = [one for one in loading.versions(workload) if one.results]
    version = shown.pick("Model version", ["any", *(one.title for one in versions)], "version")
wanted = {run for one in versions if version in ("any", one.title) for run in one.results.values()}
runs = [one for one in loading.runs(workload, "bench") if version == "any" or one.id in wanted]
if not runs:
    st.info(
        f"There is no benchmark of {workload} in this store. Run `anelab bench run {workload}`.",
        title="Not measured yet",
    )
    st.stop()
latest = loading.latest_by_host(runs)
by_host = {host_name(report): (one, report) for one in latest.values() for report in [loading.report(one.id)]}
with st.container(horizontal=True, vertical_alignment="bottom"):
    hosts = shown.pick_some("Hosts", list(by_host), "host") or list(by_host)
    reports = [by_host[host][1] for host in hosts]
    arms = shown.pick_some("Arms", list(dict.fromkeys(name for one in reports for name in engine.chosen(one))), "arm")
    variants = sorted({arm.variant for one in reports for arm in engine.chosen(one).values()})
    precision = shown.pick_some("Precision", variants, "precision")
    cells = {engine.cell_name(cell): cell for cell in engine.cells_of(reports)}
    scenario = shown.pick("Batch or scenario", list(cells), "scenario")
cell = cells[scenario]

for text in engine.answer(reports):
    st.markdown(f"**{text}**")
if not engine.has_neural_engine(reports):
    st.info(
        "No machine with a Neural Engine has measured this, so nothing is claimed about it. Below are the arms that "
        "were measured, and apart from them an estimate and cases that others published. To measure on a Mac: run "
        "`anelab bench agent --tracking-uri URL` there; or `anelab bench run` and `anelab bench export` there, and "
        "`anelab bench import BUNDLE` here.",
        title="No Neural Engine results",
        icon=":material/memory:",
    )

st.subheader("Speed-up")
frame = engine.speedups(reports, arms, precision)
for report in reports:
    imported = ", imported" if report.imported else ""
    for against in dict.fromkeys(frame["against"]):
        part = frame[(frame["cell"] == cell) & (frame["against"] == against) & (frame["result"] == report.id[:12])]
        if len(part):
            st.caption(f"{host_name(report)}, {scenario}, {report.settings.processes} processes an arm{imported}")
            shown.chart(charts.speedup_chart(part, against), f"Speed-up over {against} with intervals, {scenario}")
columns = ["host", "scenario", "arm", "against", "text", "reason", "origin"]
shown.table(
    frame[frame["cell"] == cell][columns].rename(columns={"text": "speed-up [95 % interval], verdict"}),
    "speedups",
    "Speed-ups",
)

st.subheader("Placement")
for report in reports:
    st.caption(host_name(report))
    shown.chart(charts.placement_chart(engine.placements([report], arms, precision)), "Share of the work by device")
st.caption(
    "Source: `compute_plan` is Core ML's own plan, `ort_assignment` what ONNX Runtime assigned to its providers. Where "
    "neither tells, placement is unavailable, which is not zero."
)

st.subheader("Latency distribution")
for host in hosts:
    one, report = by_host[host]
    quantiles = loading.distribution(one.id, cell)
    quantiles = quantiles[quantiles["arm"].isin(engine.chosen(report, arms, precision))]
    if len(quantiles):
        st.caption(f"{host}, {scenario}: raw samples")
        shown.chart(charts.distribution_chart(quantiles), f"Distribution of call times, {scenario}")
shown.table(engine.percentiles(reports, cell, arms, precision), "percentiles", f"Percentiles of call times, {scenario}")

st.subheader("Batch size")
for report in reports:
    sweep = engine.sweep([report], arms, precision)
    st.caption(host_name(report))
    if sweep["rows"].nunique() < LEAST_SIZES:
        st.caption("One batch size was measured. `anelab bench run --thorough` measures the sweep.")
        continue
    crossings = engine.crossovers([report], arms)
    left, right = st.columns(2)
    with left:
        shown.chart(charts.sweep_chart(sweep, "us", crossings), "Time of a call against rows a call")
    with right:
        shown.chart(charts.sweep_chart(sweep, "rows_per_s", crossings), "Throughput against rows a call")
crossings = engine.crossovers(reports, arms)
if len(crossings):
    shown.table(crossings, "crossovers", "Batch sizes from which an arm is faster")

st.subheader("Cold, cached, warm, sustained; energy and parity")
states = engine.states(reports, arms, precision)
unknown = [name for name in states.columns if states[name].isna().all()]
shown.table(states.drop(columns=unknown), "states", "Cold, cached, warm and sustained times, memory, energy, parity")
if unknown:
    st.caption(f"Not measured: {', '.join(unknown)}. `anelab bench run --thorough` measures what this machine can.")
with st.expander("Gates before timing: provider, parity, placement"):
    shown.table(engine.gates(reports), "gates", "Gates of every arm")
if len(lost := engine.not_timed(reports)):
    with st.expander(f"{len(lost)} arms that were not timed, and why"):
        shown.table(lost, "not_timed", "Arms that were not timed")

with st.container(border=True):
    st.subheader("Estimates, not measured")
    st.caption("From the package's operations and constants that others published; only a Mac can tell.")
    if len(estimated := engine.estimates(reports[-1])):
        shown.table(estimated, "estimates", "Estimated times, not measured")
    st.subheader("Published by others")
    st.caption("Cases in which others measured both sides, on their models and machines.")
    shown.table(engine.published(loading.published()), "published", "Cases published by others")
