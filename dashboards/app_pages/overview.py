"""Which model is champion, is it right, and what is missing."""

from collections.abc import Sequence

import components
import glossary
import loading
import streamlit as st

from anelab.bench.results.schema import Report
from anelab.dashboard import TRAININGS
from anelab.tracking.reading import RunRow, VersionRow
from anelab.tracking.runs import STAGES
from anelab.views import engine, overview
from anelab.views.formatting import named


def show(workload: str) -> None:
    versions = loading.versions(workload)
    trained = loading.runs(workload, "train", TRAININGS)
    reports = [report for _, report in components.readable(loading.latest_benchmarks(workload))]
    champions = [one for one in versions if "champion" in one.aliases]
    st.subheader(workload)
    with st.container(horizontal=True):
        for one in champions:
            headline(one, overview.trend(trained, one.metric_name))
    for text in engine.answer(named(reports), versions) or [engine.UNKNOWN]:
        st.markdown(f":material/memory: {components.escaped(text)}")
    if len(frame := overview.holders_table(versions)):
        components.table(frame, f"holders_{workload}", f"Champions and challengers of {workload}", plain=True)
    for title, one in overview.judged(versions).items():
        with st.expander(title):
            components.table(overview.gates(one), f"gates_{one.model}", title, plain=True)
    for lack in overview.missing(workload, stages(workload, versions, trained, reports), versions, reports):
        st.markdown(f":material/pending: {components.escaped(f'{lack.what}: `{lack.command}`')}")


def headline(one: VersionRow, values: list[float]) -> None:
    st.metric(
        f"{one.model} champion, {one.metric_name}",
        "unavailable" if one.value is None else f"{one.value:.5g}",
        f"version {one.version}, {one.variant}",
        delta_color="off",
        delta_arrow="off",
        chart_data=values if len(values) > 1 else None,
        border=True,
        help=f"The line: {one.metric_name} of the last {len(values)} trainings." if len(values) > 1 else None,
    )


def stages(
    workload: str, versions: Sequence[VersionRow], trained: Sequence[RunRow], reports: Sequence[Report]
) -> dict[str, int]:
    """Which stages have runs; where there is a version, those before it are not asked one by one."""
    known = {"train": len(trained), "bench": len(reports)}
    others = [stage for stage in STAGES if stage not in known]
    return known | {stage: 1 if versions else len(loading.runs(workload, stage, 1)) for stage in others}


if not loading.workloads():
    components.link_to_chips()
    components.choose_workload()  # tells what to run, and ends the page
for workload in loading.workloads():
    with st.container(border=True), components.errors_as_messages():
        show(workload)
if not any(engine.has_neural_engine(loading.latest_reports(one)) for one in loading.workloads()):
    components.link_to_chips()
glossary.explain("champion", "gate", "arm", "noise")
