"""Quality, latency and size: what no other version beats."""

import components
import glossary
import loading
import streamlit as st

from anelab.views import charts, pareto

MOST_RESULTS = 50  # the newest are read for points


def take_picked() -> None:
    """What was clicked in the chart becomes the choice below it, and so goes into the address."""
    clicked = st.session_state["chart"].selection.get(charts.PICKED)
    if clicked:
        st.session_state["point"] = clicked[0]["point"]


workload = components.choose_workload()
versions = loading.versions(workload)
test_sets = list(dict.fromkeys((one.test_digest, one.metric) for one in versions))
versions = [one for one in versions if (one.test_digest, one.metric) == test_sets[0]] if versions else []
wanted = {run for one in versions for run in one.results.values()}
newest = [one for one in reversed(loading.runs(workload, "bench")) if one.id in wanted][:MOST_RESULTS]
frame = pareto.points(versions, {run.id: report for run, report in components.readable(newest)})
if frame.empty:
    st.info(
        f"No registered version of {workload} was measured yet. Run `anelab bench run {workload}`, then `anelab sync`.",
        title="No points",
    )
    st.stop()

metric = versions[0].metric_name
better = versions[0].direction(metric) > 0
with st.container(horizontal=True, vertical_alignment="bottom"):
    host = components.pick("Machine", list(dict.fromkeys(frame["host"])), "host")
    least = components.limit(f"{'Least' if better else 'Most'} {metric}", "quality", format="%.5f")
    most_us = components.limit("Most time (µs)", "us", 0.0)
    most_kb = components.limit("Most size (kB)", "kb", 0.0)
    with_others = components.toggle("Show what is not feasible", "infeasible")
frame = pareto.judged(frame[frame["host"] == host], better, least, most_us, most_kb)
if not with_others:
    frame = frame[frame["feasible"]]
if frame.empty:
    st.info("No version is within these limits and past its gates.", title="Nothing feasible")
    st.stop()

frame = pareto.named(frame, metric)
if len(frame) == 1:
    st.markdown(components.escaped(pareto.only_point(frame, metric)))
else:
    components.chart(
        charts.pareto_chart(frame, metric, pick=True),
        f"{metric} against time of a call and size",
        key="chart",
        on_select=take_picked,
        selection_mode=charts.PICKED,
    )
    st.caption(
        "Filled: on the front, that is feasible, and no feasible point is as good in all three and better in one. "
        "Click a point to choose it."
    )
points = {row["point"]: row for row in frame.to_dict("records")}
point = points[components.pick("Point", list(points), "point")]
if "champion" in point["aliases"]:
    st.caption("It is the champion already.")
elif not point["feasible"]:
    st.caption(components.escaped(f"Not feasible: {point['held back by'] or 'it is beyond the limits above'}."))
elif reasons := loading.held_back_now(*pareto.model_and_number(str(point["version"]))):
    st.caption(components.escaped(f"It is held back now: {'; '.join(reasons)}."))
else:
    st.caption("What makes its version champion:")
    st.code(pareto.promote_command(str(point["version"])), language="bash")
if len(test_sets) > 1:
    st.caption("Versions that were judged on another test set or by another metric are left out.")
columns = {"us": "time of a call (µs)", "quality": metric, "size_kb": "size (kB)"}
components.table(
    frame.drop(columns=["host", "point"]).rename(columns=columns), "pareto", "Versions by quality, time and size"
)
glossary.explain("front", "eligible", "champion", "gate", "arm")
