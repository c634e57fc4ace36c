"""A page in one file that stands alone: titles, sentences, tables and charts, as HTML or as Markdown."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from anelab.texts import printable
from anelab.views.formatting import MOST_CELL, cell_text, harmless, markdown, rounded

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: 13px; margin: .5rem 0 1.5rem; }
th, td { border-bottom: 1px solid #8888; padding: .25rem .6rem; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
td.number, td.short { white-space: nowrap; }
div.wide { overflow-x: auto; }
figure { margin: .5rem 0 1.5rem; background: #fff; padding: .5rem; border-radius: 6px; overflow-x: auto; }
figure svg { max-width: 100%; height: auto; }
.estimate { border: 2px dashed #8888; padding: 0 1rem; margin: 1rem 0; }
code { background: #8882; padding: .1rem .3rem; border-radius: 4px; }
@media print {
  body { max-width: none; margin: 0; font-size: 11px; }
  h2 { break-before: page; }
  h2.first { break-before: avoid; }
  h2, h3 { break-after: avoid; }
  figure, tr { break-inside: avoid; }
  figure, div.wide { overflow: visible; }
  table { font-size: 8px; width: 100%; }
  th, td { padding: .15rem .25rem; }
  td.number, td.short, td.text { white-space: normal; overflow-wrap: anywhere; }
}
"""

SHORT = 30
"""Characters up to which a cell is kept on one line."""


@dataclass(frozen=True)
class Part:
    """One thing on the page: a title, text in sentences, and a table or a chart."""

    title: str
    text: Sequence[str] = ()
    table: pd.DataFrame | None = None
    chart: Any = None
    level: int = 3
    estimate: bool = False


def as_markdown(parts: Sequence[Part]) -> str:
    """Tables and sentences; charts are for the HTML."""
    blocks = []
    for part in parts:
        if part.chart is None or part.table is not None:
            blocks.append(f"{'#' * part.level} {harmless(part.title)}")
            blocks += [f"- {harmless(text)}" for text in part.text]
            if part.table is not None and len(part.table):
                blocks.append(f"\n{markdown(part.table)}")
            blocks.append("")
    return "\n".join(blocks)


def as_html(parts: Sequence[Part], made: str, title: str) -> str:
    body = "\n".join(_html(part) for part in parts).replace("<h2>", '<h2 class="first">', 1)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n<body>\n'
        f"<h1>{html.escape(title)}</h1>\n<p>{html.escape(made)}</p>\n{body}\n</body></html>\n"
    )


def _html(part: Part) -> str:
    pieces = [f"<h{part.level}>{html.escape(printable(part.title))}</h{part.level}>"]
    pieces += [f"<p>{_code(text)}</p>" for text in part.text]
    if part.chart is not None:
        pieces.append(f"<figure>{_svg(part.chart)}</figure>")
    if part.table is not None and len(part.table):
        pieces.append(f'<div class="wide">{_table(part.table)}</div>')
    inside = "\n".join(pieces)
    return f'<div class="estimate">{inside}</div>' if part.estimate else inside


def _code(text: str) -> str:
    """Escaped, with what stands in backticks as code."""
    pieces = html.escape(printable(text, MOST_CELL)).split("`")
    return "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))


def _table(frame: pd.DataFrame) -> str:
    head = "".join(f"<th>{html.escape(printable(name))}</th>" for name in frame.columns)
    rows = "".join(
        f"<tr>{''.join(_cell(value) for value in row)}</tr>\n" for row in rounded(frame).itertuples(index=False)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table>"


def _cell(value: object) -> str:
    text = cell_text(value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    kind = "number" if number else "short" if len(text) < SHORT else "text"
    return f'<td class="{kind}">{html.escape(text)}</td>'


def _svg(chart: Any) -> str:
    import vl_convert

    with alt.data_transformers.enable("default", max_rows=None):
        drawn: str = vl_convert.vegalite_to_svg(chart.to_dict())
    return drawn
