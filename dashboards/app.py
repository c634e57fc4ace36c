"""The dashboard: `make dashboard`, or `anelab dashboard`. Every page is a script in app_pages/."""

from pathlib import Path

import components
import streamlit as st
from altair.utils.schemapi import disable_debug_mode

st.set_page_config(page_title="anelab", page_icon=str(Path(__file__).with_name("icon.svg")), layout="wide")

disable_debug_mode()  # charts are checked once, when they are drawn, not at every step of making them

page = st.navigation(
    [
        st.Page(
            "app_pages/overview.py",
            title="Overview",
            icon=":material/home:",
            help="Champion and challenger of every workload, their gates, and what is still missing.",
            default=True,
        ),
        st.Page(
            "app_pages/engine.py",
            title="Neural Engine vs CPU",
            icon=":material/memory:",
            help="Where the Neural Engine beats the CPU, by how much, and with what certainty.",
        ),
        st.Page(
            "app_pages/chips.py",
            title="Chips",
            icon=":material/public:",
            help="What others measured: Neural Engine, GPU and CPU by chip, model and batch, with sources.",
        ),
        st.Page(
            "app_pages/compare.py",
            title="Compare",
            icon=":material/compare_arrows:",
            help="Versions, results or arms side by side: what differs, most significant first.",
        ),
        st.Page(
            "app_pages/pareto.py",
            title="Pareto",
            icon=":material/scatter_plot:",
            help="Quality, latency and size together, and the command that promotes a point.",
        ),
        st.Page(
            "app_pages/history.py",
            title="History",
            icon=":material/timeline:",
            help="One figure over commits, with the noise of its own past.",
        ),
        st.Page(
            "app_pages/search.py",
            title="Search",
            icon=":material/tune:",
            help="Optuna's study: history, importances, parallel coordinates and slices.",
        ),
        st.Page(
            "app_pages/lineage.py",
            title="Lineage",
            icon=":material/account_tree:",
            help="From a model version back to data, settings and commit, and on to its benchmarks.",
        ),
        st.Page(
            "app_pages/data.py",
            title="Data",
            icon=":material/table_chart:",
            help="What the rows are: counts, balance, lengths, qualities, warnings.",
        ),
        st.Page(
            "app_pages/clusters.py",
            title="Clusters",
            icon=":material/bubble_chart:",
            help="Marker genes on a map: clusters of references, and where a survey's sequences are among them.",
        ),
    ],
    position="top",
)

st.title(page.title)
with components.errors_as_messages():
    page.run()
