"""How things look everywhere: one colour a device, one sign a verdict, digits that mean something."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from anelab.bench.arms.placement import UNAVAILABLE
from anelab.bench.results.schema import ArmResult, Report
from anelab.texts import printable, utc_time
from anelab.tracking.reading import RunRow, VersionRow
from anelab.tracking.timed_versions import TimedVersion
from anelab.views.tables import duration

DEVICE_COLOURS = {"NE": "#D55E00", "GPU": "#009E73", "CPU": "#0072B2", "unavailable": "#8C8C8C"}
"""Okabe and Ito's colours, which eyes of every kind tell apart (jfly.uni-koeln.de/color)."""
DEVICE_NAMES = {"NE": "Neural Engine", "GPU": "GPU", "CPU": "CPU", "unavailable": "placement unavailable"}
PLAIN, GOOD, BAD = "#56B4E9", "#E69F00", "#CC79A7"
"""Of the same palette, for what is no device: figures, the best and better ones, and worse ones."""
PROVIDERS = {"CPUExecutionProvider": "CPU", "CUDAExecutionProvider": "GPU"}
"""Devices of ONNX Runtime's providers. Which device Core ML's uses, it does not tell."""
VERDICT_SIGNS = {"faster": "▲", "slower": "▼", "within noise": "≈", "not comparable": "–", "not on NE": "✕"}
VERDICT_SHAPES = {
    "faster": "triangle-up",
    "slower": "triangle-down",
    "within noise": "circle",
    "not comparable": "square",
    "not on NE": "cross",
}


MOST_CELL = 2000
"""Characters of a cell or sentence."""
THOUSANDS = 10_000
"""From here on digits are set apart by threes."""


def device_name(placed_on: str) -> str:
    """A device of DEVICE_COLOURS, of what a placement calls it."""
    name = PROVIDERS.get(placed_on, placed_on)
    return name if name in DEVICE_COLOURS else "unavailable"


def device_of(arm: ArmResult, rows: int = 1) -> str:
    """Where most of it was placed in calls of so many rows. What can run on the CPU alone needs no witness."""
    seen = arm.placements.get(rows, UNAVAILABLE)
    if seen.source != "none" and seen.primary:
        return device_name(seen.primary)
    return "CPU" if arm.device == "CPU" else "unavailable"


def verdict_text(verdict: str) -> str:
    return f"{VERDICT_SIGNS.get(verdict, '')} {verdict}".strip()


def ratio_text(value: float | None, low: float | None, high: float | None) -> str:
    """Such as 1.52 [1.47, 1.58]."""
    if value is None or low is None or high is None:
        return "unavailable"
    return interval_text(value, low, high)


def interval_text(value: float, low: float, high: float, signed: bool = False) -> str:
    """A value with its interval: as many digits as the interval is wide, four after the point at most, or three that
    mean something where the bounds are small."""
    width = high - low if math.isfinite(high - low) else 1.0
    largest = max((abs(one) for one in (low, high) if math.isfinite(one)), default=1.0)
    most = max(4, 2 - math.floor(math.log10(max(largest, 1e-6))))
    digits = max(0, min(most, 1 - math.floor(math.log10(max(width, 1e-9)))))
    sign = "+" if signed else ""
    return f"{value:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def significant(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}")


def rounded(frame: pd.DataFrame) -> pd.DataFrame:
    """For eyes: floats in four significant digits, in five where they are shares and scores of 1 at most; texts without
    control characters."""
    shown = frame.copy()
    for name in shown.select_dtypes("float"):
        digits = 5 if shown[name].abs().max() <= 1 else 4
        shown[name] = [significant(value, digits) if math.isfinite(value) else value for value in shown[name]]
    for name in shown.select_dtypes(["object", "string"]):
        shown[name] = [printable(value, MOST_CELL) if isinstance(value, str) else value for value in shown[name]]
    return shown


def moment(milliseconds: int) -> str:
    return f"{utc_time(milliseconds)} UTC"


def time_text(nanoseconds: float) -> str:
    return duration(nanoseconds).replace("us", "µs")


def size_text(size_bytes: float | None) -> str:
    if size_bytes is None:
        return "unavailable"
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= size:
            return f"{size_bytes / size:.3g} {unit}"
    return f"{size_bytes:.0f} bytes"


def host_name(report: Report) -> str:
    """A machine as a person knows it."""
    return printable(f"{report.host.model or report.host.processor}, {report.host.system}")


def host_names(reports: Sequence[Report]) -> dict[str, str]:
    """Names of machines by fingerprint; those of one name by its beginning, too."""
    names = {report.host.fingerprint: host_name(report) for report in reports}
    alike = Counter(names.values())
    return {print_: f"{name} ({print_[:6]})" if alike[name] > 1 else name for print_, name in names.items()}


def result_name(report: Report) -> str:
    imported = ", imported" if report.imported else ""
    return f"{host_name(report)}, {report.measured_at[:16].replace('T', ' ')}{imported}"


def named(reports: Sequence[Report], versions: Sequence[VersionRow] = ()) -> dict[str, Report]:
    """Results by their machine; where one has several, also by the versions they measured, or when."""
    names, results = host_names(reports), Counter(report.host.fingerprint for report in reports)
    found: dict[str, Report] = {}
    for report in reports:
        name = names[report.host.fingerprint]
        several = results[report.host.fingerprint] > 1
        name = f"{name}, imported" if report.imported else name
        if several:
            files = {sha256 for arm in report.arms.values() for sha256 in arm.files.values()}
            measured = ", ".join(one.title for one in versions if one.sha256 in files)
            name = f"{name}, {measured or report.measured_at[:16].replace('T', ' ')}"
        found[name if name not in found else f"{name}, result {report.id[:8]}"] = report
    return found


def run_names(runs: Sequence[RunRow], timed: Mapping[str, Sequence[TimedVersion]] | None = None) -> dict[str, RunRow]:
    """Runs by a name that tells them apart, newest first: the versions that they timed (`timed`, by run) or the commit,
    and when."""
    found: dict[str, RunRow] = {}
    for one in reversed(runs):
        what = versions_title((timed or {}).get(one.id, ())) or f"commit {one.commit[:8] or 'unknown'}"
        name = f"{what}, {moment(one.started_ms)}"
        name = f"{name}, imported" if one.tags.get("anelab.imported") == "true" else name
        found[name if name not in found else f"{name}, run {one.id[:8]}"] = one
    return found


def versions_title(versions: Sequence[TimedVersion]) -> str:
    """The champion or first of a result's versions, and how many more; "" for none."""
    if not versions:
        return ""
    first, *others = versions
    champion = " (champion)" if first.is_champion else ""
    return f"{first.title}{champion}{f' and {len(others)} more' if others else ''}"


def versions_sentence(versions: Sequence[TimedVersion]) -> str:
    """What a result timed: versions, commits, and their headline metric."""
    if not versions:
        return "It timed no version that is registered here."
    return f"It timed {'; '.join(_version_text(one) for one in versions)}."


def _version_text(one: TimedVersion) -> str:
    parts = [f"{one.title} ({one.variant}{', champion' if one.is_champion else ''})"]
    parts += [f"of commit {one.commit}"] if one.commit else []
    parts += [] if one.value is None else [f"{one.metric} {one.value:.4g} on the test set"]
    return ", ".join(parts)


ADDRESS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?=@[\w-]+\.\w)", re.IGNORECASE)
JOINER = "\u2060"
"""Invisible, and of no width."""
MARKUP = re.compile(r"([\\`*_{}\[\]()$<>~|:#&!])")


def plain(text: str) -> str:
    """For Markdown: as it is, on one line, without any markup or address that would become a link."""
    return MARKUP.sub(r"\\\1", ADDRESS.sub(JOINER, printable(" ".join(text.split()), MOST_CELL)))


def prose(text: str) -> str:
    """A sentence for Markdown: what stands in backticks stays code, all else is plain."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        return plain(text)
    return "`".join(piece if number % 2 else _spaced(piece) for number, piece in enumerate(pieces))


def _spaced(piece: str) -> str:
    """`plain`, with the spaces at both ends that part it from code."""
    inner = plain(piece)
    return f"{' ' * (piece[:1].isspace())}{inner}{' ' * (piece[-1:].isspace() and bool(inner))}"


def harmless(text: str) -> str:
    """For Markdown: no link, picture, tag or column of its own, and no address that becomes a link, on one line. Texts
    come from stores and bundles."""
    line = printable(" ".join(text.split()), MOST_CELL)
    return ADDRESS.sub(JOINER, line.replace("](", "]\\(").replace("<", "&lt;").replace("|", "\\|"))


def markdown(frame: pd.DataFrame) -> str:
    """A table for a pull request."""
    rows = [[harmless(cell_text(value)) for value in row] for row in rounded(frame).itertuples(index=False)]
    header = [harmless(str(name)) for name in frame.columns]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


SIGNS = dict.fromkeys("▲▼≈✕✓", "") | {"–": "--", "µ": r"\textmu{}", "…": r"\ldots{}"}
LATEX = str.maketrans(
    {one: f"\\{one}" for one in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | SIGNS
)
"""Signs go, for the words beside them say the same, and fonts of LaTeX lack them."""


def latex(frame: pd.DataFrame) -> str:
    """A tabular; it needs no package but textcomp, which LaTeX has had built in since 2020."""
    rows = [
        [cell_text(value).translate(LATEX).strip() for value in row] for row in rounded(frame).itertuples(index=False)
    ]
    header = [cell_text(name).translate(LATEX) for name in frame.columns]
    lines = [f"{' & '.join(row)} \\\\" for row in (header, *rows)]
    columns = "l" + "r" * (len(header) - 1)
    parts = [
        f"\\begin{{tabular}}{{{columns}}}",
        "\\hline",
        lines[0],
        "\\hline",
        *lines[1:],
        "\\hline",
        "\\end{tabular}",
    ]
    return "\n".join(parts)


def cell_text(value: object) -> str:
    """A cell of a table that is text; nothing for what is not known."""
    if value is None or value is pd.NA or value != value:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= THOUSANDS else f"{value:g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}" if abs(value) >= THOUSANDS else str(value)
    return printable(value, MOST_CELL)
