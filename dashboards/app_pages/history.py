"""One figure over commits, with its noise."""

import components
import glossary
import loading
import streamlit as st

from anelab.bench.results import trend
from anelab.views import charts, history

KINDS = ("Latency", "Metric")
SHOWN = {"the last 50": 50, "the last 200": 200, "the last 1,000": 1000}

with st.container(horizontal=True, vertical_alignment="bottom"):
    workload = components.choose_workload()
    kind = components.pick("Figure", KINDS, "figure")
    most = SHOWN[components.pick("Results", list(SHOWN), "last")]
    runs = loading.runs(workload, "bench" if kind == "Latency" else "train", most)
    names = history.latencies(runs) if kind == "Latency" else history.metrics(runs)
    if not names:
        st.info(f"There is nothing of {workload} to show yet. Run `anelab run {workload}`.", title="No history")
        st.stop()
    name = components.pick("Name", names, "name")
    of_run = loading.versions_by_run(workload, runs if kind == "Latency" else ())
    if kind == "Latency":
        machines = history.machines(history.hosts(runs, name), loading.latest_reports(workload))
        fingerprints = {machine: fingerprint for fingerprint, machine in machines.items()}
        host = components.pick("Machine", list(fingerprints), "host")
        frame = history.latency(runs, name, fingerprints[host], of_run)
    else:
        frame = history.metric(runs, name, history.better_when(name, loading.versions(workload)), of_run)
unit = f"{name} (µs)" if kind == "Latency" else name
if len(frame) == 1:
    only = frame.iloc[0]
    st.markdown(components.escaped(f"There is one value yet: {unit} {only['value']:.5g}, {only['when']}."))
else:
    components.chart(charts.band_chart(frame, unit), f"{name} over results with its noise band")
    st.caption(
        "Grey: three scaled median absolute deviations of up to 30 earlier values"
        + (", 5 % at least" if kind == "Latency" else "")
        + ". From the fourth value on, what leaves the band is marked; two in a row on one side are a new level."
    )
    if len(frame) <= trend.LEAST_PAST:
        st.caption("Too few results for a band yet.")
changes = frame[~frame["change"].isin(["as before", "too few before"])]
if len(changes):
    counted = changes["change"].value_counts()
    st.markdown(f"**{', '.join(f'{name}: {count}' for name, count in counted.items())}**")
components.table(frame.drop(columns=["order", "run", "host"]), "history", f"{name} over results")
glossary.explain("band", "arm")
