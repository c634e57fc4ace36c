"""Clusters of marker genes."""

import components
import loading
import streamlit as st

from anelab.views import clusters

maps = loading.clusters()
if not maps:
    st.info("Clusters are of `anelab edna index`; this places sequences among them:", title="No map yet")
    st.code("anelab edna clusters asv.fasta --index refs-index", language="bash")
    st.stop()
with st.container(horizontal=True):
    name = components.pick("Map", list(maps), "map")
    by = components.pick("Colour by", clusters.COLOUR_BY, "colour")
frame = maps[name]
queries = frame[frame["kind"] == clusters.QUERY]
table = clusters.by_cluster(frame)
with st.container(horizontal=True):
    st.metric("References", f"{len(frame) - len(queries):,}", border=True)
    st.metric("Clusters", f"{(table['cluster'] != clusters.NONE).sum():,}", border=True)
    st.metric("Queries", f"{len(queries):,}", border=True)
    if len(queries):
        st.metric("Queries in no cluster", f"{(queries['cluster'] < 0).mean():.1%}", border=True)
components.chart(clusters.map_chart(frame, by), f"Map of {name}, coloured by {by}")
st.caption(
    f"Diamonds: queries. Dots: references. At most {clusters.MOST_POINTS:,} of each are drawn. Map and clusters "
    "(HDBSCAN) were fitted once, on the references, so the maps of two surveys can be compared. Two components show "
    "only a part of the distances: points that lie on each other may be far apart."
)
components.table(table, "clusters", "Clusters, and what their references are")
