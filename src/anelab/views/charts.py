"""Charts of the frames beside. Units on every axis, a colour a device, a shape a verdict."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from anelab.bench.results.trend import OTHER_NETWORK
from anelab.views.formatting import BAD, DEVICE_COLOURS, DEVICE_NAMES, GOOD, PLAIN, VERDICT_SHAPES

WIDTH = 680
ROW_HEIGHT = 26
NOISE = "#8C8C8C"
DEVICE_SHAPES = {"NE": "diamond", "GPU": "square", "CPU": "circle", "unavailable": "cross"}
MOST_SHARE = 0.99
STEPS = {
    "too few before": ("circle", NOISE),
    "as before": ("circle", PLAIN),
    "improvement": ("triangle-up", GOOD),
    "regression": ("triangle-down", BAD),
    "change": ("diamond", NOISE),
    OTHER_NETWORK: ("square", NOISE),
}
"""What a value of a history can be, and how it is drawn."""


def device_scale(frame: pd.DataFrame) -> alt.Scale:
    there = [device for device in DEVICE_COLOURS if device in set(frame["device"])]
    return alt.Scale(domain=there, range=[DEVICE_COLOURS[device] for device in there])


def device_fill(frame: pd.DataFrame) -> Any:
    return alt.Fill("device:N", scale=device_scale(frame), legend=None)


def device_colour(frame: pd.DataFrame) -> Any:
    names = " : ".join(f"datum.value == '{key}' ? '{text}'" for key, text in DEVICE_NAMES.items())
    return alt.Color(
        "device:N",
        title="runs on",
        scale=device_scale(frame),
        legend=alt.Legend(orient="top", labelExpr=f"{names} : datum.value", labelLimit=300),
    )


def shapes(frame: pd.DataFrame, column: str, title: str, shape_of: Mapping[str, str]) -> Any:
    """A shape for each value of a column that is there, whatever its colour."""
    there = [value for value in shape_of if value in set(frame[column])]
    return alt.Shape(
        f"{column}:N",
        title=title,
        scale=alt.Scale(domain=there, range=[shape_of[value] for value in there]),
        legend=alt.Legend(orient="top", symbolFillColor=NOISE, symbolStrokeColor=NOISE),
    )


def arm_axis() -> Any:
    return alt.Y("arm:N", title=None, sort=None, axis=alt.Axis(labelLimit=320))


def tooltips(*given: "str | alt.Tooltip") -> list[Any]:
    """Made here, for Altair makes each that is text only after it has looked through all of its classes."""
    return [alt.Tooltip(one) if isinstance(one, str) else one for one in given]


def speedup_chart(frame: pd.DataFrame, against: str) -> Any:
    """Speed-ups over one arm, with 95 % intervals; the grey band is noise, 1 is as fast."""
    frame = frame.dropna(subset=["speedup", "low", "high"])
    axis = alt.X(
        "speedup:Q",
        title=f"speed-up over {against} (times; log scale; right of 1 is faster)",
        scale=alt.Scale(type="log", nice=False, padding=12),
        axis=alt.Axis(format="~g", tickCount=8),
    )
    base = alt.Chart(frame)
    shape = shapes(frame, "verdict", "verdict", VERDICT_SHAPES)
    tooltip = tooltips("arm", "scenario", "text", "reason", "host")
    noise = base.mark_bar(color=NOISE, opacity=0.25, height=ROW_HEIGHT).encode(
        x=alt.X("noise_low:Q"), x2=alt.X2("noise_high"), y=arm_axis()
    )
    one = (
        alt.Chart(pd.DataFrame({"speedup": [1.0]}))
        .mark_rule(strokeDash=[4, 3], color=NOISE)
        .encode(x=alt.X("speedup:Q"))
    )
    reach = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q"), x2=alt.X2("high"), y=arm_axis(), color=device_colour(frame)
    )
    point = base.mark_point(filled=True, size=90, opacity=1).encode(
        x=axis, y=arm_axis(), color=device_colour(frame), shape=shape, tooltip=tooltip
    )
    return alt.layer(noise, one, reach, point).properties(height=alt.Step(ROW_HEIGHT), width=WIDTH)


def placement_chart(frame: pd.DataFrame) -> Any:
    """Share of the work by device, a bar an arm and batch size."""
    frame = frame.assign(
        label=frame["arm"]
        + ", "
        + frame["rows"].astype(str)
        + frame["rows"].map(lambda n: " row" if n == 1 else " rows")
    )
    return (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X(
                "share:Q",
                title="share of the work (% of estimated cost, else of operators)",
                stack="normalize",
                axis=alt.Axis(format="%"),
            ),
            y=alt.Y("label:N", title=None, sort=list(dict.fromkeys(frame["label"])), axis=alt.Axis(labelLimit=320)),
            color=device_colour(frame),
            tooltip=tooltips(
                "arm", "rows", "device", alt.Tooltip("share:Q", format=".1%"), "source", "partitions", "switches"
            ),
        )
        .properties(height=alt.Step(ROW_HEIGHT), width=WIDTH)
    )


SHADES = {
    "NE": ("#D55E00", "#FFA45C", "#7A3600", "#E69F00"),
    "GPU": ("#009E73", "#6FD9BC", "#00543D"),
    "CPU": ("#0072B2", "#56B4E9", "#003A5C", "#8A7FD1", "#00A3A3", "#4A4A8A"),
    "unavailable": ("#8C8C8C", "#4D4D4D", "#BFBFBF"),
}
"""Of arms on one device: its colour first, then others that eyes tell from it."""


def arm_encodings(frame: pd.DataFrame) -> dict[str, Any]:
    """Colour and dashes by arm, with one legend for both. The hue follows the device that the arm ran on first."""
    devices = dict(zip(frame["arm"][::-1], frame["device"][::-1], strict=True))  # of the first row
    taken: Counter[str] = Counter()
    colours = {}
    for arm in dict.fromkeys(frame["arm"]):
        shades = SHADES[devices[arm]]
        colours[arm] = shades[taken[devices[arm]] % len(shades)]
        taken[devices[arm]] += 1
    legend = alt.Legend(orient="bottom", columns=3, labelLimit=260)
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return {
        "color": alt.Color("arm:N", title="arm", sort=None, scale=scale, legend=legend),
        "strokeDash": alt.StrokeDash(
            "arm:N", title="arm", sort=None, scale=alt.Scale(domain=list(colours)), legend=legend
        ),
    }


def distribution_chart(frame: pd.DataFrame, title: str = "time of a call") -> Any:
    """Share of calls that took at most so long, up to MOST_SHARE of them: few slow ones would squeeze the rest."""
    return (
        alt.Chart(frame[frame["share"] <= MOST_SHARE])
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=alt.X(
                "us:Q",
                title=f"{title} (µs, log scale)",
                scale=alt.Scale(type="log", nice=False),
                axis=alt.Axis(format="~s", tickCount=6),
            ),
            y=alt.Y(
                "share:Q",
                title=f"share of calls (%), the slowest {1 - MOST_SHARE:.0%} left out",
                axis=alt.Axis(format="%"),
            ),
            **arm_encodings(frame),
            tooltip=tooltips(
                "arm",
                "device",
                alt.Tooltip("us:Q", title="µs", format=".4g"),
                alt.Tooltip("share:Q", format=".1%"),
            ),
        )
        .properties(height=380, width=WIDTH)
    )


def sweep_chart(frame: pd.DataFrame, value: str, crossings: pd.DataFrame) -> Any:
    """`us` or `rows_per_s` against rows a call; a rule where an arm begins to be faster."""
    title = "time of a call (µs, log scale)" if value == "us" else "throughput (rows/s, log scale)"
    x = alt.X(
        "rows:Q",
        title="rows a call (log scale)",
        scale=alt.Scale(type="log", base=2, nice=False),
        axis=alt.Axis(format="~g", values=sorted(set(frame["rows"]))),
    )
    base = alt.Chart(frame.dropna(subset=[value]))
    y = alt.Y(
        f"{value}:Q",
        title=title,
        scale=alt.Scale(type="log", nice=False, padding=10),
        axis=alt.Axis(format="~s", tickCount=5),
    )
    encodings = arm_encodings(frame)
    line = base.mark_line().encode(x=x, y=y, **encodings)
    shape = shapes(frame, "device", "runs on", DEVICE_SHAPES)
    tooltip = tooltips("arm", "device", "rows", alt.Tooltip(f"{value}:Q", format=".4g"), "host")
    point = base.mark_point(filled=True, size=70).encode(
        x=x, y=y, color=encodings["color"], shape=shape, tooltip=tooltip
    )
    layers = [line, point]
    if value == "us":
        layers.append(base.mark_rule().encode(x=x, y=alt.Y("us_low:Q"), y2=alt.Y2("us_high"), color=encodings["color"]))
    if len(crossings):
        marks = crossings.assign(text="from here on faster than " + crossings["against"])
        layers.append(
            alt.Chart(marks)
            .mark_rule(strokeDash=[2, 2], color=NOISE)
            .encode(x=alt.X("rows:Q"), tooltip=tooltips("arm", "text"))
        )
    return alt.layer(*layers).properties(height=400, width=WIDTH)


def band_chart(frame: pd.DataFrame, unit: str) -> Any:
    """A figure over results with the band its past lets expect; changes are marked."""
    order = alt.X(
        "order:O",
        title="result, oldest first (version, or commit)",
        sort=None,
        axis=alt.Axis(labelExpr="split(datum.label, '#')[1]", labelAngle=-60, labelOverlap=True),
    )
    base = alt.Chart(frame)
    band = base.mark_area(opacity=0.25, color=NOISE, interpolate="step").encode(
        x=order, y=alt.Y("low:Q"), y2=alt.Y2("high")
    )
    y = alt.Y("value:Q", title=unit, scale=alt.Scale(zero=False, padding=12), axis=alt.Axis(format="~g", tickCount=6))
    line = base.mark_line(color=PLAIN, opacity=0.5).encode(x=order, y=y)
    there = [step for step in STEPS if step in set(frame["change"])]
    legend = alt.Legend(orient="top")
    shapes = alt.Shape(
        "change:N", title="", scale=alt.Scale(domain=there, range=[STEPS[step][0] for step in there]), legend=legend
    )
    colours = alt.Color(
        "change:N", title="", scale=alt.Scale(domain=there, range=[STEPS[step][1] for step in there]), legend=legend
    )
    point = base.mark_point(filled=True, size=80, opacity=1).encode(
        x=order,
        y=y,
        shape=shapes,
        color=colours,
        tooltip=tooltips("when", "version", "commit", alt.Tooltip("value:Q", format=".5g"), "change", "host"),
    )
    layers = [band, line, point] if frame["low"].notna().any() else [line, point]
    return alt.layer(*layers).properties(height=380, width=WIDTH)


PICKED = "picked"


def pareto_chart(frame: pd.DataFrame, metric: str, pick: bool = False) -> Any:
    """Quality against time of a call; the size of a point is the model's. Points of the front are filled. `pick`: a
    click selects a `point`, by the name PICKED."""
    drawn = (
        alt.Chart(frame)
        .mark_point(strokeWidth=2)
        .encode(
            x=alt.X(
                "us:Q",
                title="median time of a call of one row (µs, log scale)",
                scale=alt.Scale(type="log", nice=False, padding=20),
                axis=alt.Axis(format="~s", tickCount=6),
            ),
            y=alt.Y(
                "quality:Q",
                title=f"{metric} on the test set",
                scale=alt.Scale(zero=False, padding=20),
                axis=alt.Axis(format=".5~r", tickCount=6),
            ),
            size=alt.Size("size_kb:Q", title="model size (kB)", legend=alt.Legend(orient="top")),
            color=device_colour(frame),
            shape=alt.Shape("format:N", title="format", legend=alt.Legend(orient="top")),
            fillOpacity=alt.condition("datum.front", alt.value(0.9), alt.value(0)),
            fill=device_fill(frame),
            tooltip=tooltips(
                "version",
                "variant",
                "arm",
                "host",
                alt.Tooltip("us:Q", title="time of a call (µs)", format=".4g"),
                alt.Tooltip("quality:Q", title=metric, format=".5g"),
                alt.Tooltip("size_kb:Q", title="size (kB)", format=".4g"),
                "feasible",
                "front",
            ),
        )
        .properties(height=440, width=WIDTH)
    )
    return drawn.add_params(alt.selection_point(name=PICKED, fields=["point"])) if pick else drawn
