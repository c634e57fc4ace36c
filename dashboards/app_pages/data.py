"""Data cards."""

import components
import loading
import streamlit as st

from anelab.views import data, drift
from anelab.views.formatting import run_names

workload = components.choose_workload()
runs = run_names(loading.runs(workload, "prepare"))
if not runs:
    st.info(f"No data of {workload} were prepared yet. Run `dvc repro prepare@{workload}`.", title="No data")
    st.stop()
run = runs[components.pick("Prepared", list(runs), "prepared")]
card = loading.artifact(run.id, "data.json")
for text in card.get("warnings", []):
    st.warning(components.escaped(str(text)), icon=":material/warning:")
rows = data.in_order(card.get("rows", {}))
with st.container(horizontal=True):
    for split, count in rows.items():
        st.metric(f"{split} rows", f"{count:,}", border=True)
counts = data.counts(card)
if len(counts):
    st.subheader("Balance")
    components.chart(data.balance_chart(counts), "Share of every class in every split")
    components.table(counts, "counts", "Rows by split and class")
served = loading.drift(workload)
if served:
    st.subheader("Requests")
    st.caption(
        "Of models that `anelab serve` serves: the population stability index of each minute's rows against the "
        "training rows. Dashed: what chance alone gives for so many rows. 0.1 is a small change, 0.25 a large one."
    )
    for name, frame in served.items():
        components.chart(drift.drift_chart(frame), f"Drift of what {name} is sent")
        components.table(frame.tail(20).iloc[::-1], f"drift_{name}", f"The newest minutes of {name}")
drawn = data.series(card)
if drawn:
    st.subheader("Profiles")
    columns = st.columns(2)
    for number, (name, frame) in enumerate(drawn.items()):
        with columns[number % 2]:
            components.chart(data.series_chart(name, frame), name)
st.subheader("Facts")
components.table(data.facts(card), "facts", "Facts of the data card")
