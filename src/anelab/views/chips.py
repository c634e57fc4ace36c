"""Figures that others published, by chip, model and batch: who was faster where, placement, energy, sustained load."""

from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt
import pandas as pd

from anelab.bench.published.records import Published
from anelab.views.charts import ROW_HEIGHT, WIDTH, tooltips
from anelab.views.formatting import DEVICE_COLOURS, DEVICE_NAMES, PLAIN

NAMES = {**DEVICE_NAMES, "ALL": "all units", "NE and GPU at once": "Neural Engine and GPU at once"}
COLOURS = {**{key: DEVICE_COLOURS[key] for key in ("NE", "GPU", "CPU")}, "ALL": PLAIN}
UNITS = ("NE", "GPU", "ALL", "CPU")
LIKE = 30
"""Models are alike in size up to this ratio of their multiply-adds."""
OTHER_COLOUR = DEVICE_COLOURS["unavailable"]


def of_size(records: Sequence[Published], macs: int) -> list[Published]:
    """Those whose multiply-adds are known, and near."""
    return [one for one in records if one.macs and macs / LIKE <= one.macs <= macs * LIKE]


def figures(records: Iterable[Published]) -> pd.DataFrame:
    """One row a figure, the fastest chips of a model first."""
    rows = [
        {
            "chip": one.chip,
            "model": one.model,
            "batch": one.batch,
            "device": one.device,
            "items/s": one.rate,
            "95 % low": one.interval[0] if one.interval else None,
            "95 % high": one.interval[1] if one.interval else None,
            "repeats": len(one.values) if one.values else one.repeats,
            "as published": f"{'less than ' if one.upper_bound else ''}{one.value:g} {one.metric}",
            "units": one.units,
            "precision": one.precision,
            "system": one.os,
            "framework": one.framework,
            "kind": one.kind,
            "source": one.source,
            "licence": one.licence,
        }
        for one in records
    ]
    frame = pd.DataFrame(rows)
    return (
        frame.sort_values(["model", "batch", "chip", "items/s"], ascending=[True, True, True, False]) if rows else frame
    )


def settings(records: Sequence[Published]) -> dict[tuple[Any, ...], dict[str, Published]]:
    """By setting: the figure of each device. Only of one source, for others measured in other ways."""
    found: dict[tuple[Any, ...], dict[str, Published]] = {}
    for one in records:
        if one.rate is not None and one.device in UNITS and one.kind != "soak" and not one.upper_bound:
            found.setdefault((*one.setting, one.metric), {}).setdefault(one.device, one)
    return {key: devices for key, devices in found.items() if len(devices) > 1}


def summary(records: Sequence[Published]) -> list[str]:
    """How often who was faster, in a sentence each."""
    every = settings(records).values()
    found = []
    for first, second in (("NE", "GPU"), ("NE", "CPU")):
        both = [devices for devices in every if first in devices and second in devices]
        wins = sum((devices[first].rate or 0) > (devices[second].rate or 0) for devices in both)
        if both:
            found.append(
                f"In {len(both)} settings in which a source measured both, the {NAMES[first]} was faster than the "
                f"{NAMES[second]} in {wins}, and slower or equal in {len(both) - wins}."
            )
    both = [devices for devices in every if {"NE", "GPU", "ALL"} <= devices.keys()]
    worst = sum(min(devices.values(), key=lambda one: one.rate or 0).device == "ALL" for devices in both)
    if both:
        found.append(
            f"Where Core ML chose among all units ({len(both)} settings), its choice was the slowest in {worst}."
        )
    return found


def ranking(records: Sequence[Published]) -> list[str]:
    """Of each setting of several devices: rates, fastest first."""
    return [
        f"{one.chip}, {one.model}{'' if one.batch is None else f', batch {one.batch}'}: "
        + " / ".join(f"{NAMES[device]} {_rate(found)}" for device, found in _fastest_first(devices))
        + f" {one.metric.partition(' ')[0] if one.metric.startswith('items') else 'items/s'}"
        for devices in settings(records).values()
        for one in [next(iter(devices.values()))]
    ]


def _fastest_first(devices: dict[str, Published]) -> list[tuple[str, Published]]:
    return sorted(devices.items(), key=lambda pair: -(pair[1].rate or 0))


def _rate(one: Published) -> str:
    rate = one.rate or 0
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def placements(records: Iterable[Published]) -> pd.DataFrame:
    """Shares by device, as the source has them."""
    rows = [
        {
            "chip": one.chip,
            "model": one.model,
            "batch": one.batch,
            "units": one.units,
            "on": {"ANE": "Neural Engine"}.get(device, device),
            "share": share,
            "by": one.placement_by,
            "source": one.source,
        }
        for one in records
        if one.placement
        for device, share in one.placement.items()
    ]
    return pd.DataFrame(rows).drop_duplicates() if rows else pd.DataFrame()


def energy(records: Iterable[Published]) -> pd.DataFrame:
    rows = [
        {
            "chip": one.chip,
            "model": one.model,
            "batch": one.batch,
            "device": one.device,
            "package (W)": one.energy.package_watts,
            "an item (mJ)": one.energy.millijoule_per_item,
            "items/s": one.rate,
            "framework": one.framework,
            "source": one.source,
        }
        for one in records
        if one.energy is not None
    ]
    return pd.DataFrame(rows)


def sustained(records: Iterable[Published]) -> pd.DataFrame:
    """Successive windows of one run, relative to its first."""
    return pd.DataFrame(
        [
            {
                "run": f"{one.chip}, {one.model}, {NAMES.get(one.device, one.device)}",
                "window": number,
                "relative": value / one.values[0],
                "metric": one.metric,
                "source": one.source,
            }
            for one in records
            if one.kind == "soak" and one.values
            for number, value in enumerate(one.values, 1)
        ]
    )


def rate_chart(frame: pd.DataFrame) -> Any:
    """Rates of one model by chip and device, with intervals where repeats were published."""
    drawn = frame.assign(
        place=frame["chip"] + frame["batch"].map(lambda batch: "" if pd.isna(batch) else f", batch {batch:g}"),
        device=frame["device"].map(lambda name: NAMES.get(name, name)),
        low=frame["95 % low"].astype(float),
        high=frame["95 % high"].astype(float),
        rate=frame["items/s"],
    )
    scale = alt.Scale(type="log", nice=False, padding=20)
    title, axis = "items/s, published by others (log scale)", alt.Axis(format="~s", tickCount=6)
    base = alt.Chart(drawn).encode(y=alt.Y("place:N", title=None, axis=alt.Axis(labelLimit=240)))
    there = [name for key, name in NAMES.items() if name in set(drawn["device"])]
    colours = [COLOURS.get(key, OTHER_COLOUR) for key, name in NAMES.items() if name in there]
    if "not stated" in set(drawn["device"]):
        there, colours = [*there, "not stated"], [*colours, OTHER_COLOUR]
    colour = alt.Color(
        "device:N", title="asked for", scale=alt.Scale(domain=there, range=colours), legend=alt.Legend(orient="top")
    )
    tooltip = tooltips("chip", "model", "device", "as published", "repeats", "precision", "framework", "source")
    rule = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", scale=scale, title=title, axis=axis), x2="high:Q", color=colour
    )
    point = base.mark_point(filled=True, size=80).encode(
        x=alt.X("rate:Q", scale=scale, title=title, axis=axis),
        color=colour,
        shape=alt.Shape("device:N", title="asked for", scale=alt.Scale(domain=there)),
        tooltip=tooltip,
    )
    layers = [rule.transform_filter("isValid(datum.low)"), point] if drawn["low"].notna().any() else [point]
    return alt.layer(*layers).properties(width=WIDTH, height=alt.Step(ROW_HEIGHT))


def sustained_chart(frame: pd.DataFrame) -> Any:
    return (
        alt.Chart(frame)
        .mark_line(point=True)
        .encode(
            x=alt.X("window:O", title="window of 10 s"),
            y=alt.Y("relative:Q", title="rate, of the first window", scale=alt.Scale(zero=False)),
            color=alt.Color("run:N", title=None, legend=alt.Legend(orient="top", columns=2, labelLimit=320)),
            tooltip=tooltips("run", "window", alt.Tooltip("relative:Q", format=".3f"), "source"),
        )
        .properties(width=WIDTH, height=380)
    )
