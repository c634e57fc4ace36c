"""Whether what a server is sent looks like the training rows: the tables that `anelab serve` writes."""

from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from anelab.views.charts import WIDTH
from anelab.views.formatting import PLAIN

COLUMNS = ["time", "workload", "version", "input", "rows", "psi_mean", "psi_largest", "feature", "noise"]
MOST_ROWS = 1440
"""Of a chart: a day of minutes."""


def read_drift(folder: Path, workload: str) -> dict[str, pd.DataFrame]:
    """By the name of the served model: a row a minute and input, the newest last. A table that cannot be read is left
    out: a server may be writing it for the first time."""
    found = {}
    for path in sorted(folder.glob("*.parquet")):
        try:
            table = pd.read_parquet(path, columns=COLUMNS)
        except (OSError, ValueError, KeyError):
            continue
        rows = table[table["workload"] == workload].drop(columns="workload")
        if len(rows):
            found[path.stem] = rows
    return found


def drift_chart(frame: pd.DataFrame) -> Any:
    """PSI over time: the mean of the features, and a dashed line at what chance alone gives."""
    several = frame["input"].nunique() > 1
    newest = frame.tail(MOST_ROWS)
    base = alt.Chart(newest).encode(x=alt.X("time:T", title=None))
    figures = (alt.Tooltip(name, format=".3f") for name in ("psi_mean", "noise"))
    tips = ["time:T", "version", "input", "rows", *figures]
    mean = base.mark_line(color=PLAIN, point=alt.OverlayMarkDef(color=PLAIN, size=20)).encode(
        y=alt.Y("psi_mean:Q", title="PSI, mean of the features", scale=alt.Scale(zero=True)), tooltip=tips
    )
    noise = base.mark_line(color=PLAIN, opacity=0.5, strokeDash=[4, 4]).encode(y="noise:Q")
    if several:
        mean, noise = (one.encode(strokeWidth=alt.value(1.5), detail="input:N") for one in (mean, noise))
    return (mean + noise).properties(height=260, width=WIDTH)
