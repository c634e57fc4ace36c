"""`anelab score --report`: one run of the filter as a page that stands alone."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import altair as alt
import pandas as pd

from anelab.views.charts import WIDTH
from anelab.views.formatting import BAD, PLAIN
from anelab.views.page import Part, as_html

KINDS = ("kept reads", "all reads")
"""The latter is drawn above, in dashes."""
COLOURS = {"all reads": "#8C8C8C", "kept reads": PLAIN, "kept": PLAIN, "discarded": BAD}
MOST_CHARTS = 24
"""Samples of which there are charts; the table has all."""


Report = Mapping[str, Any]
"""What `anelab score --report FILE.json` writes."""
Sample = Mapping[str, Any]


def reads_page(report: Report) -> str:
    """The whole page, as HTML."""
    samples = report["samples"]
    parts = [Part("Reads", _sentences(report), samples_table(samples), level=2)]
    for sample in samples[:MOST_CHARTS]:
        parts += _of_sample(sample)
    if len(samples) > MOST_CHARTS:
        parts.append(Part("Further samples", [f"Charts are of the first {MOST_CHARTS} samples; the table has all."]))
    return as_html(parts, f"Made {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.", "anelab score")


def _sentences(report: Report) -> list[str]:
    summary = report["summary"]
    found = [
        f"Judged by {report['scorer']}. A read passes if: {report['pass_means']}.",
        f"{summary['pass']:,} of {summary['reads']:,} reads pass.",
    ]
    if summary["pairs"]:
        found.append(
            f"Both mates pass in {summary['pairs_passing']:,} of {summary['pairs']:,} pairs. Kept reads are those of "
            "these pairs."
        )
    for share, threshold in summary["thresholds"].items():
        found.append(f"A threshold of {threshold:g} would keep {share} % of these reads.")
    if summary["invalid"]:
        found.append(f"{summary['invalid']:,} reads fail because the model's answer is no probability.")
    if summary["longer"]:
        how = "as a whole" if summary["whole"] else "by their first 150 bases"
        found.append(f"{summary['longer']:,} reads are longer than 150 bases and were judged {how}.")
    return found


def samples_table(samples: Sequence[Sample]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "sample": one["name"],
                "reads": one["reads"],
                "pass": one["pass"],
                "fail": one["fail"],
                "kept": one["kept"],
                "kept, %": round(100 * one["kept"] / max(one["reads"], 1), 2),
                "bases": one["bases"],
                "kept bases": one["kept_bases"],
                "Phred offset": one["offset"],
                "file": one["file"],
            }
            for one in samples
        ]
    )


def _of_sample(sample: Sample) -> list[Part]:
    quality, lengths = quality_frame(sample), length_frame(sample)
    title = [Part(str(sample["name"]), level=2)]
    if quality.empty:
        return [*title, Part("No bases", ["The file has no reads, or only empty ones."])]
    found = [Part("Mean quality by cycle", chart=_quality_chart(quality))]
    if sample["shortest"] == sample["longest"]:
        return [*title, *found, Part("Verdicts by length", [f"All reads have {sample['longest']} bases."])]
    wider = ["From 1,000 bases on, the bars stand for wider ranges."] if sample["by_length"][-1]["to"] > 1000 else []
    return [*title, *found, Part("Reads by length, and how many are kept", wider, chart=_length_chart(lengths))]


def quality_frame(sample: Sample) -> pd.DataFrame:
    """Mean Phred score by cycle, of all reads and of kept ones."""
    rows = []
    for one in sample["by_cycle"]:
        cycle = (one["from"] + one["to"]) / 2
        for key, reads in (("mean_quality", "all reads"), ("kept_mean_quality", "kept reads")):
            if one[key] is not None:
                rows.append({"cycle": cycle, "quality": one[key], "reads": reads})
    return pd.DataFrame(rows, columns=["cycle", "quality", "reads"])


def length_frame(sample: Sample) -> pd.DataFrame:
    """Reads by length and whether they are kept."""
    rows = []
    for place, one in enumerate(sample["by_length"]):
        length = str(one["from"]) if one["from"] == one["to"] else f"{one['from']}-{one['to']}"
        for verdict, count in (("kept", one["kept"]), ("discarded", one["reads"] - one["kept"])):
            rows.append({"place": place, "length": length, "verdict": verdict, "count": count})
    return pd.DataFrame(rows, columns=["place", "length", "verdict", "count"])


def _scale(names: Sequence[str]) -> alt.Scale:
    return alt.Scale(domain=list(names), range=[COLOURS[name] for name in names])


def _quality_chart(frame: pd.DataFrame) -> Any:
    there = [name for name in KINDS if name in set(frame["reads"])]
    wide = frame["cycle"].max() > 1000
    scale = alt.Scale(type="log") if wide else alt.Scale(zero=False, nice=False)
    return (
        alt.Chart(frame)
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("cycle:Q", title=f"cycle{' (log scale)' if wide else ''}", scale=scale),
            y=alt.Y("quality:Q", title="mean Phred score", scale=alt.Scale(zero=False)),
            color=alt.Color("reads:N", title="", scale=_scale(there), legend=alt.Legend(orient="top")),
            strokeDash=alt.StrokeDash("reads:N", scale=alt.Scale(domain=there, range=[[1, 0], [4, 3]][-len(there) :])),
        )
        .properties(height=260, width=WIDTH)
    )


def _length_chart(frame: pd.DataFrame) -> Any:
    return (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X("length:O", title="bases", sort=None, axis=alt.Axis(labelOverlap=True, labelAngle=0)),
            y=alt.Y("count:Q", title="reads"),
            color=alt.Color(
                "verdict:N", title="", scale=_scale(["kept", "discarded"]), legend=alt.Legend(orient="top")
            ),
            order=alt.Order("verdict:N", sort="descending"),
        )
        .properties(height=260, width=WIDTH)
    )
