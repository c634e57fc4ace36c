"""Which model is champion, is it right, and what is missing."""

import loading
import shown
import streamlit as st

from anelab.tracking.runs import STAGES
from anelab.views import engine, overview
from anelab.views.charts import spark

if not loading.workloads():
    shown.choose_workload()
for workload in loading.workloads():
    versions = loading.versions(workload)
    benchmarks = loading.runs(workload, "bench")
    reports = [loading.report(one.id) for one in loading.latest_by_host(benchmarks).values()]
    with st.container(border=True):
        st.subheader(workload)
        champions = [one for one in versions if "champion" in one.aliases]
        trained = loading.runs(workload, "train")
        with st.container(horizontal=True):
            for one in champions:
                values = overview.trend(trained, one.metric_name)
                st.metric(
                    f"{one.model} champion",
                    "unavailable" if one.value is None else f"{one.metric_name} {one.value:.5g}",
                    f"version {one.version}, {one.variant}",
                    delta_color="off",
                    delta_arrow="off",
                    chart_data=values if len(values) > 1 else None,
                    border=True,
                )
        for text in engine.answer(reports):
            st.markdown(f":material/memory: {text}")
        if not engine.has_neural_engine(reports):
            st.markdown(f":material/memory: {engine.UNKNOWN}")
        if len(frame := overview.standing(versions)):
            shown.table(frame, f"standing_{workload}", f"Champions and challengers of {workload}")
        for one in champions:
            with st.expander(f"Gates of {one.title}"):
                shown.table(overview.gates(one), f"gates_{one.model}", f"Gates that {one.title} passed")
        if len(values := overview.trend(trained, champions[0].metric_name) if champions else []) > 1:
            with st.expander(f"{champions[0].metric_name} of the last {len(values)} trainings"):
                shown.chart(spark(values), f"{champions[0].metric_name} by training run")
        stages = {stage: len(loading.runs(workload, stage, 1)) for stage in STAGES}
        for lack in overview.missing(workload, stages, versions, engine.has_neural_engine(reports)):
            st.markdown(f":material/pending: {lack.what}: `{lack.command}`")
