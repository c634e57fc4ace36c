"""Data cards: what the rows are, and what to mind."""

import math
import re
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from anelab.learning.base import SPLITS
from anelab.views.charts import WIDTH
from anelab.views.formatting import PLAIN

SHADES = (1.0, 0.65, 0.35, 0.2, 0.1)
"""Opacities of splits, in their order."""


def in_order(splits: Mapping[str, Any]) -> dict[str, Any]:
    """Training first, the test last."""
    return {name: splits[name] for name in [*SPLITS, *splits] if name in splits}


def counts(card: Mapping[str, Any]) -> pd.DataFrame:
    """Rows by split and class."""
    rows = [
        {"split": split, "class": str(name), "rows": count, "share": count / max(1, sum(classes.values()))}
        for split, classes in in_order(card.get("classes", {})).items()
        for name, count in classes.items()
    ]
    return pd.DataFrame(rows, columns=["split", "class", "rows", "share"])


def balance_chart(frame: pd.DataFrame) -> Any:
    there = list(in_order(dict.fromkeys(frame["split"])))
    return (
        alt.Chart(frame)
        .mark_bar(color=PLAIN)
        .encode(
            x=alt.X("class:N", title="class", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("share:Q", title="share of the split's rows", axis=alt.Axis(format="%")),
            xOffset=alt.XOffset("split:N", sort=list(SPLITS)),
            opacity=alt.Opacity(
                "split:N",
                title="split",
                sort=list(SPLITS),
                scale=alt.Scale(domain=there, range=SHADES[: len(there)]),
                legend=alt.Legend(orient="top", symbolFillColor=PLAIN, symbolStrokeColor=PLAIN),
            ),
            tooltip=["split", "class", "rows", alt.Tooltip("share:Q", format=".2%")],
        )
        .properties(height=260, width=WIDTH)
    )


def series(card: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Distributions and profiles of the card: mappings of numbers, and lists of numbers, by name."""
    found = {}
    for name, value in _flat(card):
        if isinstance(value, list) and value and all(isinstance(one, int | float) for one in value):
            found[name] = pd.DataFrame({"at": range(1, len(value) + 1), "value": value})
        elif (
            isinstance(value, Mapping)
            and len(value) > 1
            and all(isinstance(one, int | float) for one in value.values())
        ):
            keys = sorted(value, key=_first_number)
            found[name] = pd.DataFrame({"at": [_number(key) for key in keys], "value": [value[key] for key in keys]})
    return found


def _first_number(key: object) -> float:
    """So that p5 comes before p50, and 90-99 before 100-109."""
    number = re.search(r"\d+(\.\d+)?", str(key))
    return float(number[0]) if number else math.inf


def series_chart(name: str, frame: pd.DataFrame) -> Any:
    numeric = pd.api.types.is_numeric_dtype(frame["at"])
    base = alt.Chart(frame)
    mark = base.mark_line(color=PLAIN) if numeric and len(frame) > 12 else base.mark_bar(color=PLAIN)
    kind = "Q" if numeric and len(frame) > 12 else "O"
    return mark.encode(
        x=alt.X(f"at:{kind}", title="position" if numeric else None, sort=None),
        y=alt.Y("value:Q", title=name),
        tooltip=["at", "value"],
    ).properties(height=300, width=WIDTH)


def facts(card: Mapping[str, Any]) -> pd.DataFrame:
    """The card's single figures."""
    drawn = tuple(f"{name}." for name in series(card))
    single = [(name, value) for name, value in _flat(card) if isinstance(value, str | int | float | bool)]
    rows = [(name, str(value)) for name, value in single if not name.startswith(drawn)]
    return pd.DataFrame(rows, columns=["what", "value"])


def _flat(card: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Entries that are no counts of splits, by dotted name."""
    found: list[tuple[str, Any]] = []
    for name, value in card.items():
        if prefix or name not in ("rows", "classes", "warnings"):
            key = f"{prefix}{name}".removeprefix("facts.")
            found.append((key, value))
            if isinstance(value, Mapping):
                found += _flat(value, f"{key}.")
            elif isinstance(value, list):
                parts = [(number, part) for number, part in enumerate(value, start=1) if isinstance(part, Mapping)]
                found += [one for number, part in parts for one in _flat(part, f"{key}.{number}.")]
    return found


def _number(key: object) -> object:
    try:
        return float(str(key))
    except ValueError:
        return str(key)
