"""Any versions, results or arms side by side."""

import loading
import shown
import streamlit as st

from anelab.bench.compare import compare_reports
from anelab.views import compare, engine
from anelab.views.look import latex, markdown, moment, result_name

KINDS = ("Arms of a result", "Two results", "Versions", "Models by devices", "Models by datasets")
LEAST = 2


def result_names(workload: str) -> dict[str, str]:
    """Runs of benchmarks by a name that tells them apart, newest first."""
    names = {}
    for one in reversed(loading.runs(workload, "bench")):
        imported = ", imported" if one.tags.get("anelab.imported") == "true" else ""
        names[
            f"{moment(one.started_ms)}, host {one.host[:6]}, {one.commit[:7] or 'no commit'}{imported}, {one.key[:8]}"
        ] = one.id
    return names


with st.container(horizontal=True, vertical_alignment="bottom"):
    workload = shown.choose_workload()
    kind = shown.pick("Compare", KINDS, "kind")
    with_noise = shown.toggle("Show noise and what is equal", "noise")

results = result_names(workload)
if kind != "Versions" and kind != "Models by datasets" and not results:
    st.info(
        f"There is no benchmark of {workload} in this store. Run `anelab bench run {workload}`.",
        title="Not measured yet",
    )
    st.stop()

if kind == "Arms of a result":
    with st.container(horizontal=True):
        run_id = results[shown.pick("Result", list(results), "result")]
        report = loading.report(run_id)
        timed = list(engine.chosen(report))
        baseline = shown.pick(
            "Against",
            [report.settings.reference, *(one for one in timed if one != report.settings.reference)],
            "against",
        )
    others = shown.pick_some("Arms", [one for one in timed if one != baseline], "arm") or [
        one for one in timed if one != baseline
    ]
    frame = compare.arms([one for arm in others for one in loading.pair(run_id, arm, baseline)], with_noise)
elif kind == "Two results":
    with st.container(horizontal=True):
        new = shown.pick("New", list(results), "new")
        old = shown.pick("Old", [name for name in results if name != new] or [new], "old")
    reports = loading.report(results[old]), loading.report(results[new])
    found = compare_reports(*reports)
    st.caption(f"Old: {result_name(reports[0])}. New: {result_name(reports[1])}.")
    if found.reason:
        st.warning(f"Times are not comparable: {found.reason}.", icon=":material/block:")
    frame = compare.results(found, with_noise)
elif kind == "Versions":
    there = {one.title: one for one in loading.versions(workload)}
    titles = shown.pick_some("Versions", list(there), "versions", "The last two")
    picked = [there[title] for title in titles] if len(titles) >= LEAST else list(there.values())[:LEAST]
    frame = compare.versions(picked, {one.run_id: loading.run(one.run_id) for one in picked if one.run_id}, with_noise)
elif kind == "Models by devices":
    latest = [loading.report(one.id) for one in loading.latest_by_host(loading.runs(workload, "bench")).values()]
    cells = {engine.cell_name(cell): cell for cell in engine.cells_of(latest)}
    frame = compare.pivot(latest, cells[shown.pick("Batch or scenario", list(cells), "scenario")])
    st.caption("Median of a call with its 95 % interval over processes. Machines are shown side by side, not divided.")
else:
    rows = loading.versions(workload)
    frame = compare.datasets(rows, {one.run_id: loading.run(one.run_id) for one in rows[:50] if one.run_id})

if len(frame):
    shown.table(frame, "compared", f"{kind} of {workload}")
    with st.expander("Copy as Markdown or LaTeX"):
        st.code(markdown(frame), language="markdown")
        st.code(latex(frame), language="latex")
else:
    st.success(
        "No difference beyond the noise. The switch above shows what was measured all the same.",
        icon=":material/check:",
    )
