"""Data cards."""

import loading
import shown
import streamlit as st

from anelab.views import data
from anelab.views.look import run_names

workload = shown.choose_workload()
runs = run_names(loading.runs(workload, "prepare"))
if not runs:
    st.info(f"No data of {workload} were prepared yet. Run `dvc repro prepare@{workload}`.", title="No data")
    st.stop()
run = runs[shown.pick("Prepared", list(runs), "prepared")]
card = loading.artifact(run.id, "data.json")
for text in card.get("warnings", []):
    st.warning(shown.say(str(text)), icon=":material/warning:")
rows = data.in_order(card.get("rows", {}))
with st.container(horizontal=True):
    for split, count in rows.items():
        st.metric(f"{split} rows", f"{count:,}", border=True)
counts = data.counts(card)
if len(counts):
    st.subheader("Balance")
    shown.chart(data.balance_chart(counts), "Share of every class in every split")
    shown.table(counts, "counts", "Rows by split and class")
drawn = data.series(card)
if drawn:
    st.subheader("Profiles")
    columns = st.columns(2)
    for number, (name, frame) in enumerate(drawn.items()):
        with columns[number % 2]:
            shown.chart(data.series_chart(name, frame), name)
st.subheader("Facts")
shown.table(data.facts(card), "facts", "Facts of the data card")
