"""Parts of pages: tables to take away, charts with a name, choices that the URL keeps."""

import io
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import loading
import pandas as pd
import streamlit as st

from anelab.bench.results.schema import Report
from anelab.errors import AnelabError
from anelab.tracking.reading import RunRow
from anelab.views import overview
from anelab.views.formatting import DEVICE_NAMES, THOUSANDS, cell_text, plain, prose, rounded

URL: Any = "query-params"
WIDE = 60
"""Characters from which on a cell is text that wants lines of its own."""
MOST_TEXT_ROWS = 40


@contextmanager
def errors_as_messages() -> Iterator[None]:
    """Shows what goes wrong inside as a sentence with the fix, never as a traceback; the server's log has that."""
    try:
        yield
    except AnelabError as error:
        st.error(escaped(sentence(str(error))), icon=":material/error:")
    except Exception as error:
        logging.getLogger("anelab").exception("a page failed")
        text = escaped(f"This could not be shown ({type(error).__name__}: {error}); the server's log says more.")
        st.error(text, icon=":material/error:")


def sentence(text: str) -> str:
    """With a capital, unless it begins with a name, such as a file's."""
    first = text.partition(" ")[0].rstrip(",:")
    return text[:1].upper() + text[1:] if first.isalpha() else text


def escaped(text: str) -> str:
    """Text with names and reasons from a store or a bundle, which must bring no markup, link or picture along."""
    return prose(text)


def readable(runs: Iterable[RunRow]) -> list[tuple[RunRow, Report]]:
    """Benchmarks with their results; what one is that cannot be read is said, and does not keep the others out."""
    found = []
    for run in runs:
        try:
            found.append((run, loading.report(run.id)))
        except AnelabError as error:
            st.warning(escaped(f"Not shown: {error}."), icon=":material/warning:")
    return found


def choose_workload() -> str:
    """The workload that the page is about; where there is none, what to do instead of a page."""
    there = loading.workloads()
    if not there:
        lack = overview.why_empty(loading.workspace())
        st.info(
            f"{sentence(lack.what)}. Then reload this page. Another store is shown if `MLFLOW_TRACKING_URI` names it.",
            title="Nothing here yet",
            icon=":material/inbox:",
        )
        st.code(lack.command, language="bash")
        st.stop()
    return pick("Workload", there, "workload")


def link_to_chips() -> None:
    """Where a result of one's own is missing."""
    label = "What others measured: Neural Engine, GPU and CPU by chip"
    st.page_link("app_pages/chips.py", label=label, icon=":material/public:")


def pick(label: str, options: Sequence[str], key: str, help: str | None = None) -> str:
    """One of some; the first unless the URL names another."""
    _warn_of_unknown(label, options, key)
    found: str = st.selectbox(label, options, key=key, bind=URL, help=help)
    return found


def pick_some(label: str, options: Sequence[str], key: str, placeholder: str = "All") -> list[str]:
    """Some of some; none stands for all."""
    _warn_of_unknown(label, options, key)
    found: list[str] = st.multiselect(label, options, key=key, bind=URL, placeholder=placeholder)
    return found


def _warn_of_unknown(label: str, options: Sequence[str], key: str) -> None:
    """A link may name what is not there, or no more. Only a link: in a running page the choice is made anew."""
    if key not in st.session_state:
        for asked in st.query_params.get_all(key):
            if asked not in options:
                st.warning(escaped(f"{label}: the link's {asked} is no choice here."), icon=":material/link_off:")


def limit(label: str, key: str, least: float | None = None, format: str | None = None) -> float | None:
    """A number that limits something, or none."""
    asked = st.query_params.get(key)
    if asked is not None and key not in st.session_state and not _is_limit(asked, least):
        st.warning(escaped(f"{label}: the link's {asked} is no number that fits here."), icon=":material/link_off:")
    found: float | None = st.number_input(
        label, value=None, min_value=least, key=key, bind=URL, placeholder="no limit", format=format
    )
    return found


def _is_limit(asked: str, least: float | None) -> bool:
    try:
        return math.isfinite(float(asked)) and (least is None or float(asked) >= least)
    except ValueError:
        return False


def toggle(label: str, key: str, help: str | None = None) -> bool:
    _warn_of_unknown(label, ("true", "false"), key)
    return bool(st.toggle(label, key=key, bind=URL, help=help))


def table(frame: pd.DataFrame, name: str, about: str, plain: bool = False) -> None:
    """A table under its title, `about`, with buttons that hand over the whole of it. `plain`: as text, which is there
    sooner than a grid."""
    st.caption(f"**{_escaped(about)}**")
    shown = rounded(frame)
    shown = shown.rename(columns={"host": "machine"})
    if "device" in shown:
        shown["device"] = shown["device"].map(lambda name: DEVICE_NAMES.get(name, name))
    if plain or _is_text(frame):
        st.table(shown.map(_escaped), hide_index=True, border="horizontal", alt=about)
    else:
        columns = _columns(shown)
        st.dataframe(shown, hide_index=True, alt=about, key=f"table_{name}", column_config=columns, placeholder="")
    with st.container(horizontal=True, gap="small"):
        _download("CSV", lambda: frame.to_csv(index=False).encode(), f"{name}.csv")
        _download("Parquet", lambda: _parquet(frame), f"{name}.parquet")


def _is_text(frame: pd.DataFrame) -> bool:
    """Whether its cells are sentences, which a grid would cut off."""
    longest = max((len(str(value)) for column in frame.columns for value in frame[column]), default=0)
    return len(frame) <= MOST_TEXT_ROWS and longest > WIDE


def _escaped(value: object) -> str:
    """As it is, not as Markdown."""
    return plain(cell_text(value))


def _download(label: str, data: Callable[[], bytes], file: str) -> None:
    """`data` is made when it is asked for."""
    icon = ":material/download:"
    st.download_button(label, data, file, key=f"download_{file}", icon=icon, on_click="ignore", type="tertiary")


def _columns(frame: pd.DataFrame) -> dict[str, Any]:
    """Numbers as a person writes them; they are rounded already."""
    found: dict[str, Any] = {}
    for name in frame.select_dtypes("float"):
        large = frame[name].abs().max() >= THOUSANDS
        kind = "percent" if name == "share" else "localized" if large else "%.5g"
        found[str(name)] = st.column_config.NumberColumn(format=kind)
    return found


def _parquet(frame: pd.DataFrame) -> bytes:
    kept = io.BytesIO()
    frame.to_parquet(kept, index=False)
    return kept.getvalue()


class _Unchecked:
    """A chart that Altair does not hold against the schema of all charts, which takes longer than to draw it; tests do
    so."""

    def __init__(self, drawn: Any) -> None:
        self._drawn = drawn

    def to_dict(self, **options: Any) -> Any:
        return self._drawn.to_dict(validate=False, **options)


def chart(drawn: Any, about: str, **options: Any) -> None:
    unchecked: Any = _Unchecked(drawn)
    st.altair_chart(unchecked, alt=about, width="stretch", **options)
