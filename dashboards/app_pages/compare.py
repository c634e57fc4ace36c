"""Any versions, results or arms side by side."""

from collections.abc import Callable

import components
import glossary
import loading
import pandas as pd
import streamlit as st

from anelab.bench.results.compare import compare_reports
from anelab.tracking.reading import RunRow, VersionRow
from anelab.views import compare, engine, history, lineage
from anelab.views.formatting import latex, markdown, result_name, run_names, versions_sentence

LEAST = 2
MOST_VERSIONS = 50


def result_names(workload: str) -> dict[str, RunRow]:
    """Runs of benchmarks by the versions they timed, when and where, newest first."""
    benchmarks = loading.runs(workload, "bench")
    runs = run_names(benchmarks, loading.versions_by_run(workload, benchmarks))
    if not runs:
        stop(f"There is no benchmark of {workload} in this store. Run `anelab bench run {workload}`.")
    names = history.machines([one.host for one in runs.values()], loading.latest_reports(workload))
    return {f"{name}, {names[one.host]}": one for name, one in runs.items()}


def stop(text: str) -> None:
    st.info(text, title="Nothing to compare")
    st.stop()


def arms(workload: str, with_noise: bool) -> pd.DataFrame:
    results = result_names(workload)
    with st.container(horizontal=True):
        run_id = results[components.pick("Result", list(results), "result")].id
        report = loading.report(run_id)
        timed = sorted(engine.chosen(report), key=lambda name: name != report.settings.reference)
        if len(timed) < LEAST:
            stop(f"Only {', '.join(timed) or 'nothing'} was timed in this result.")
        baseline = components.pick("Against", timed, "against")
    others = [name for name in timed if name != baseline]
    chosen = components.pick_some("Arms", others, "arm") or others
    pairs = loading.pairs(run_id, baseline)
    return compare.arms([one for one in pairs if one.arm in chosen], with_noise)


def results(workload: str, with_noise: bool) -> pd.DataFrame:
    there = result_names(workload)
    if len(there) < LEAST:
        stop("There is one result only. Another follows from `anelab bench run` on another commit or machine.")
    with st.container(horizontal=True):
        old = components.pick("Old", older_first(there), "old")
        others = (name for name in there if name != old)
        later = sorted(others, key=lambda name: there[name].host != there[old].host)
        new = components.pick_some("New", later, "new", "The newest") or later[:1]
    parts, of_run = [], loading.versions_by_run(workload, loading.runs(workload, "bench"))
    before = loading.report(there[old].id)
    for name in new:
        after = loading.report(there[name].id)
        found = compare_reports(before, after)
        for word, run, report in (("Old", there[old], before), ("New", there[name], after)):
            timed = versions_sentence(of_run.get(run.id, ()))
            st.caption(components.escaped(f"{word}: {result_name(report)}. {timed}"))
        if found.reason:
            st.warning(components.escaped(f"Times are not comparable: {found.reason}."), icon=":material/block:")
            continue
        frame = compare.results(found, with_noise)
        frame.insert(0, "new result", name)
        parts.append(frame)
    if not parts:
        st.stop()
    joined = pd.concat(parts, ignore_index=True)
    return joined if len(new) > 1 else joined.drop(columns=["new result"])


def older_first(there: dict[str, RunRow]) -> list[str]:
    """The newest result that another of its machine follows, and then the others."""
    names = list(there)
    hosts = [there[name].host for name in names]
    followed = [name for number, name in enumerate(names) if hosts[number] in hosts[:number]]
    return list(dict.fromkeys([*followed, *names[1:], *names]))


def versions(workload: str, with_noise: bool) -> pd.DataFrame:
    there = {one.title: one for one in loading.versions(workload)}
    if len(there) < LEAST:
        stop("There are fewer than two registered versions.")
    titles = components.pick_some("Versions", list(there), "versions", "The last two of a kind")
    if len(titles) == 1:
        before = lineage.parent(there[titles[0]], list(there.values()))
        if before is None:
            stop(f"{titles[0]} is the first of its model and variant: choose another version beside it.")
        else:
            titles = [before.title, *titles]
    picked = [there[title] for title in titles or same_kind(list(there.values()))]
    st.caption(
        "Intervals are of 95 %, over rows of the test set drawn anew (grouped as the split is); differences are of the "
        "same rows. Without an interval, the version is of an older anelab or of another test set."
    )
    return compare.versions(loading.judged(picked), with_noise)


def same_kind(versions: list[VersionRow]) -> list[str]:
    """The last two of the first model and variant that has two, champions' before others', else the last two."""
    kinds: dict[tuple[str, str], list[str]] = {}
    champions = {(one.model, one.variant) for one in versions if "champion" in one.aliases}
    for one in sorted(versions, key=lambda one: (one.model, one.variant) not in champions):
        kinds.setdefault((one.model, one.variant), []).append(one.title)
    several = [titles for titles in kinds.values() if len(titles) >= LEAST]
    return (several[0] if several else [one.title for one in versions])[:LEAST][::-1]


def devices(workload: str, with_noise: bool) -> pd.DataFrame:
    result_names(workload)
    latest = [report for _, report in components.readable(loading.latest_benchmarks(workload))]
    cells = {engine.cell_name(cell): cell for cell in engine.cells_of(latest)}
    st.caption("Median of a call with its 95 % interval over processes. Machines are shown side by side, not divided.")
    return compare.pivot(latest, cells[components.pick("Batch or scenario", list(cells), "scenario")])


def datasets(workload: str, with_noise: bool) -> pd.DataFrame:
    st.caption("The headline metric on the test set, with its 95 % interval over rows of the test set drawn anew.")
    return compare.datasets(loading.judged(loading.versions(workload)[:MOST_VERSIONS]))


KINDS: dict[str, Callable[[str, bool], pd.DataFrame]] = {
    "Arms of a result": arms,
    "Results": results,
    "Versions": versions,
    "Models by devices": devices,
    "Models by datasets": datasets,
}

PIVOTS = ("Models by devices", "Models by datasets")

with st.container(horizontal=True, vertical_alignment="bottom"):
    workload = components.choose_workload()
    kind = components.pick("Compare", list(KINDS), "kind")
    with_noise = kind not in PIVOTS and components.toggle("Show noise and what is equal", "noise")
frame = KINDS[kind](workload, with_noise)
if len(frame):
    components.table(frame, "compared", f"{kind} of {workload}")
    with st.expander("Copy as Markdown or LaTeX"):
        st.code(markdown(frame), language="markdown")
        st.code(latex(frame), language="latex")
else:
    st.caption("No difference to show beyond the noise. The switch above shows what was measured all the same.")
glossary.explain("arm", "speed-up", "verdict", "noise")
