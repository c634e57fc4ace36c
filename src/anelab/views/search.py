"""Optuna's study: what was tried, and what it says of the search space."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from anelab.tracking.reading import RunRow
from anelab.views.charts import WIDTH, tooltips
from anelab.views.formatting import GOOD, PLAIN

LOG_FROM = 8
"""A setting whose values differ by such a factor is drawn by its logarithm."""


def trials(runs: Sequence[RunRow]) -> pd.DataFrame:
    """A row a trial: number, value (empty if it diverged), and its settings, as numbers where they are."""
    rows = [
        {"trial": int(run.tags.get("anelab.trial", 0)), "value": run.metrics.get("value"), **run.params} for run in runs
    ]
    frame = pd.DataFrame(rows)
    for name in frame.columns:
        numbers = pd.to_numeric(frame[name], errors="coerce")
        if numbers.notna().sum() == frame[name].notna().sum():
            frame[name] = numbers
    return frame


def settings(frame: pd.DataFrame) -> list[str]:
    """The names of what was searched: settings that differ between trials."""
    return [name for name in frame.columns if name not in ("trial", "value") and frame[name].nunique() > 1]


def best_so_far(frame: pd.DataFrame, higher_is_better: bool) -> pd.DataFrame:
    running = frame["value"].cummax() if higher_is_better else frame["value"].cummin()
    return frame.assign(best=running.ffill())


def history_chart(frame: pd.DataFrame, metric: str) -> Any:
    x = alt.X("trial:Q", title="trial", axis=alt.Axis(tickMinStep=1, format="d"))
    y = alt.Y("value:Q", title=f"{metric} on validation rows", scale=alt.Scale(zero=False))
    base = alt.Chart(frame)
    points = base.mark_point(filled=True, size=60, color=PLAIN).encode(
        x=x,
        y=y,
        tooltip=[alt.Tooltip(name.replace(".", r"\."), title=name) for name in frame.columns],
    )
    best = base.mark_line(interpolate="step-after", color=GOOD).encode(x=x, y=alt.Y("best:Q"))
    return alt.layer(best, points).properties(height=320, width=WIDTH)


def importance_chart(importances: Mapping[str, float]) -> Any:
    frame = pd.DataFrame({"setting": list(importances), "importance": list(importances.values())})
    return (
        alt.Chart(frame)
        .mark_bar(color=PLAIN)
        .encode(
            x=alt.X(
                "importance:Q", title="share of the variance explained (fANOVA)", axis=alt.Axis(format="%", tickCount=8)
            ),
            y=alt.Y("setting:N", title=None, sort="-x", axis=alt.Axis(labelLimit=320)),
            tooltip=tooltips("setting", alt.Tooltip("importance:Q", format=".1%")),
        )
        .properties(height=alt.Step(26), width=WIDTH)
    )


def parallel(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Every trial's place on every axis, from 0 (least) to 1 (most); text by its order."""
    complete = frame.dropna(subset=["value"])
    parts = []
    for name in [*names, "value"]:
        column = complete[name]
        codes = column if pd.api.types.is_numeric_dtype(column) else column.astype("category").cat.codes
        places = codes.astype(float)
        if name != "value" and (places > 0).all() and places.max() >= LOG_FROM * places.min():
            places = places.map(np.log10)
        reach = places.max() - places.min()
        parts.append(
            pd.DataFrame(
                {
                    "trial": complete["trial"],
                    "axis": name,
                    "place": (places - places.min()) / reach if reach else 0.5,
                    "shown": column.map(lambda value: f"{value:.4g}" if isinstance(value, float) else str(value)),
                    "result": complete["value"],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def parallel_chart(frame: pd.DataFrame, names: Sequence[str], metric: str) -> Any:
    long = parallel(frame, names).replace({"axis": {"value": metric}})
    x = alt.X("axis:N", title=None, sort=[*names, metric], axis=alt.Axis(labelAngle=-20, labelLimit=200))
    y = alt.Y(
        "place:Q",
        title="from least to most",
        axis=alt.Axis(values=[0, 1], labelExpr="datum.value ? 'most' : 'least'"),
    )
    colour = alt.Color("result:Q", title=metric, scale=alt.Scale(scheme="viridis"))
    line = alt.Chart(long).mark_line(opacity=0.7).encode(x=x, y=y, color=colour, detail=alt.Detail("trial:N"))
    point = (
        alt.Chart(long)
        .mark_point(filled=True, size=40)
        .encode(x=x, y=y, color=colour, tooltip=tooltips("trial", "axis", "shown", "result"))
    )
    return alt.layer(line, point).properties(height=380, width=WIDTH)


def slice_chart(frame: pd.DataFrame, name: str, metric: str) -> Any:
    numeric = pd.api.types.is_numeric_dtype(frame[name])
    wide = numeric and (frame[name] > 0).all() and frame[name].max() >= LOG_FROM * frame[name].min()
    scale = alt.Scale(type="log" if wide else "linear", zero=False) if numeric else alt.Undefined
    kept = frame[["trial", "value", name]].rename(columns={name: "setting"})
    return (
        alt.Chart(kept)
        .mark_point(filled=True, size=60)
        .encode(
            x=alt.X("setting:Q" if numeric else "setting:N", title=name, scale=scale, axis=alt.Axis(tickCount=5)),
            y=alt.Y("value:Q", title=metric, scale=alt.Scale(zero=False)),
            color=alt.Color("trial:Q", title="trial", scale=alt.Scale(scheme="viridis")),
            tooltip=tooltips("trial", "setting", "value"),
        )
        .properties(height=280, width=300)
    )
