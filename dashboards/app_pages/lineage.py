"""From a version back to where it comes from, and on to what was measured."""

from typing import Any

import components
import loading
import streamlit as st

from anelab.errors import AnelabError
from anelab.tracking.reading import RunRow
from anelab.views import compare, lineage
from anelab.views.formatting import moment


def entry_of(run: RunRow, file: str, key: str) -> Any:
    """An entry of a report of the run; None if the report is lost or older than the entry."""
    try:
        return loading.artifact(run.id, file).get(key)
    except AnelabError:
        return None


workload = components.choose_workload()
versions = loading.versions(workload)
if not versions:
    st.info(f"There is no registered version of {workload}. Run `anelab run {workload}`.", title="No versions")
    st.stop()
titles = {one.title: one for one in sorted(versions, key=lambda one: "champion" not in one.aliases)}
version = titles[components.pick("Version", list(titles), "version")]
train = loading.training_runs([version]).get(version.run_id or "")
export = loading.run_of(workload, version.input_key)
searched = entry_of(train, "train.json", "searched") if train else None
search = None
if train is not None:
    searches = loading.runs(workload, "search")
    search = lineage.search_of(train, searched, searches, lambda one: entry_of(one, "search.json", "best"))
stages = {name: run for name, run in (("search", search), ("train", train), ("export", export)) if run is not None}
results = {}
for short, run_id in version.results.items():
    run = loading.run(run_id)
    results[short] = f"{moment(run.started_ms)}\nhost {run.host[:6]}"

st.graphviz_chart(lineage.graph(version, stages, results), alt=f"From data to {version.title} and its benchmarks")
left, right = st.columns(2)
with left:
    st.subheader("Where it comes from")
    components.table(lineage.origin(version, train), "origin", f"Origin of {version.title}")
with right:
    st.subheader("Against the version before")
    before = lineage.parent(version, versions)
    if before is None:
        st.caption("It is the first of its model and variant.")
    else:
        components.table(
            compare.versions(loading.judged([before, version]), with_noise=False),
            "diff",
            f"What differs between {before.title} and {version.title}",
        )
if train is not None:
    with st.expander("Settings"):
        components.table(lineage.settings(train, searched or {}), "settings", "Settings of the training")
    with st.expander("Packages"):
        components.table(lineage.packages(train), "packages", "Packages of the training")
with st.expander("Files"):
    components.table(lineage.files(loading.files_of(version.model_id, version)), "files", f"Files of {version.title}")
st.code(f"anelab model inspect {version.model} {version.version}", language="bash")
