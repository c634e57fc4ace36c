"""Optuna's study."""

import components
import loading
import streamlit as st

from anelab.views import search
from anelab.views.formatting import run_names

FEW = 20
"""Trials below which fANOVA's shares are mostly chance."""

workload = components.choose_workload()
runs = run_names(loading.runs(workload, "search"))
if not runs:
    st.info(f"There is no search of {workload} in this store. Run `dvc repro search@{workload}`.", title="No search")
    st.stop()
run = runs[components.pick("Search", list(runs), "search")]
trials = loading.trials(run.id)
if not trials:
    st.info(
        f"This search had no trials: `{workload}.search.n_trials` is 0, and params.yaml's own values were used.",
        title="No trials",
    )
    st.stop()

report = loading.artifact(run.id, "search.json")
metric = next(
    (name.removeprefix("best_validation_") for name in run.metrics if name.startswith("best_validation_")), "value"
)
better = not str(run.params.get("metric", "max:")).startswith("min:")
frame = search.trials(trials)
diverged = int(frame["value"].isna().sum())
with st.container(horizontal=True):
    st.metric("Trials", len(frame), border=True)
    st.metric("Diverged", diverged, border=True)
    st.metric(f"Best {metric}", f"{run.metrics.get(f'best_validation_{metric}', float('nan')):.5g}", border=True)
if len(frame) == 1:
    st.markdown("There was one trial only: params.yaml's own values.")
    st.stop()
components.chart(search.history_chart(search.best_so_far(frame, better), metric), f"{metric} by trial")

names = search.settings(frame)
importances = report.get("importances")
st.subheader("Importance")
if isinstance(importances, dict) and importances:
    components.chart(search.importance_chart(importances), "Importance of every setting")
    if len(frame) < FEW:
        st.caption(f"Of {len(frame)} trials: a hint at most. {FEW} and more say something.")
else:
    st.caption("Not known: it takes at least four trials that ended, with values that differ.")
if names:
    st.subheader("Parallel coordinates")
    components.chart(search.parallel_chart(frame, names, metric), "Every trial across all settings")
    st.subheader("Slices")
    columns = st.columns(3)
    for number, name in enumerate(names):
        with columns[number % 3]:
            components.chart(search.slice_chart(frame, name, metric), f"{metric} against {name}")
components.table(frame, "trials", "Trials")
