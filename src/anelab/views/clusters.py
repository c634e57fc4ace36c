"""Maps of marker genes and their clusters: the tables that `anelab edna clusters` writes."""

from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from anelab.views.charts import NOISE, WIDTH, tooltips

TAXA = ["domain", "phylum", "class", "order", "family", "genus", "species"]
COLUMNS = ["id", "verdict", "x", "y", "cluster", *TAXA]
COLOUR_BY = ["family", "order", "genus", "verdict", "cluster"]
PALETTE = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"]
"""Okabe and Ito's. What is rarer than the commonest of these is grey."""
OTHERS, UNKNOWN, NONE = "others", "not known", "in none"
REFERENCE, QUERY = "reference", "query"
MOST_POINTS = 2000
"""Of references, and of queries."""


def read_clusters(folder: Path) -> dict[str, pd.DataFrame]:
    """By name, the newest first. A table that cannot be read is left out."""
    found = {}
    for path in sorted(folder.glob("*.parquet"), key=lambda path: -path.stat().st_mtime):
        try:
            table = pd.read_parquet(path, columns=COLUMNS)
        except (OSError, ValueError, KeyError):
            continue
        found[path.stem] = table.assign(kind=table["verdict"].where(table["verdict"] == REFERENCE, QUERY))
    return found


def by_cluster(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a cluster: its references, its queries, and what the references are; the one with most queries first."""
    references = frame[frame["kind"] == REFERENCE].groupby("cluster")
    found = pd.DataFrame({"references": references.size(), "queries": _counts(frame[frame["kind"] == QUERY])}).fillna(0)
    for rank in ("family", "genus", "species"):
        named = frame[(frame["kind"] == REFERENCE) & (frame[rank] != "")].groupby("cluster")[rank]
        found[rank] = named.agg(lambda names: names.mode().iloc[0])
        found[f"share of {rank}"] = named.agg(lambda names: names.value_counts(normalize=True).iloc[0])
    ordered = found.sort_values(["queries", "references"], ascending=False).astype({"references": int, "queries": int})
    texts = ordered.fillna(dict.fromkeys(("family", "genus", "species"), "")).reset_index()
    return texts.assign(cluster=texts["cluster"].map(_cluster_name))


def _counts(frame: pd.DataFrame) -> "pd.Series[int]":
    return frame.groupby("cluster").size()


def _cluster_name(number: int) -> str:
    return NONE if number < 0 else str(number)


def map_chart(frame: pd.DataFrame, by: str) -> Any:
    """Points of at most MOST_POINTS references and as many queries, coloured by the commonest values of a column."""
    parts = [part.sample(min(len(part), MOST_POINTS), random_state=0) for _, part in frame.groupby("kind")]
    shown = pd.concat(parts)
    values = shown["cluster"].map(_cluster_name) if by == "cluster" else shown[by].replace("", UNKNOWN)
    commonest = [name for name in values.value_counts().index if name not in (NONE, UNKNOWN)][: len(PALETTE)]
    shown = shown.assign(colour=values.where(values.isin([*commonest, NONE, UNKNOWN]), OTHERS))
    rest = [name for name in (OTHERS, UNKNOWN, NONE) if (shown["colour"] == name).any()]
    scale = alt.Scale(domain=[*commonest, *rest], range=[*PALETTE[: len(commonest)], *(NOISE for _ in rest)])
    colour = alt.Color("colour:N", title=by, scale=scale, legend=alt.Legend(orient="right", labelLimit=200))
    base = alt.Chart(shown).encode(
        x=alt.X("x:Q", title="first principal component", scale=alt.Scale(zero=False)),
        y=alt.Y("y:Q", title="second principal component", scale=alt.Scale(zero=False)),
        color=colour,
        tooltip=tooltips("id", "verdict", "cluster", "family", "genus", "species"),
    )
    references = base.transform_filter(alt.datum.kind == REFERENCE).mark_circle(size=14, opacity=0.45)
    queries = base.transform_filter(alt.datum.kind == QUERY).mark_point(
        size=55, shape="diamond", filled=True, opacity=0.9, stroke="black", strokeWidth=0.6
    )
    return (references + queries).properties(height=460, width=WIDTH)
