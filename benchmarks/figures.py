"""The quick figures of this folder, kept with their own past: `make figures`, a few minutes after `make repro`.

Adds what it measures to reports/figures.json, with intervals and versions, and says what left the noise of what was
measured before on a machine like this one. With --docs the last run goes into docs/quick-figures.md; with --compare
nothing is measured. A figure whose tools or models are not there is left out, with the reason.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mil_evaluator
import pipeline_time
import score_reads
import training_step

from anelab.bench.results import trend
from anelab.files import json_text, read_json, write_text
from anelab.host import host_facts, host_fingerprint

ROOT = Path(__file__).parents[1]
REPORT, PAGE = ROOT / "reports" / "figures.json", ROOT / "docs" / "quick-figures.md"
SCHEMA, MOST_RUNS = 1, 200
BEGIN, END = "<!-- figures: made by `make figures` -->", "<!-- end of figures -->"
MACHINE = ("cores", "machine", "memory_bytes", "processor", "python", "system")
PACKAGES = ("anelab", "coremltools", "dvc", "isal", "mlflow", "onnxruntime", "streamlit", "torch")
LONGEST_GAP_S = 30.0
"""Between stages of one run of the pipeline."""
ANELAB = (sys.executable, "-m", "anelab")


class MissingError(Exception):
    """What a figure needs is not there."""


@dataclass(frozen=True)
class Figure:
    """`measure` gives samples: ratios of two times of one moment, or seconds. `limit` is what the project asks for:
    samples are to lie below it, or above it if `high` is better."""

    title: str
    unit: str
    measure: Callable[[], list[float]]
    limit: float
    high: bool = False


def training(augment: float, pairs: int = 7) -> list[float]:
    config = training_step.configured(augment)
    return training_step.ratios(config, training_step.prepare(config), pairs)


def evaluator(pairs: int = 9, bucket: int = 512) -> list[float]:
    with tempfile.TemporaryDirectory() as scratch:
        source, rows = mil_evaluator.exported(Path(scratch), bucket, 20_000)
        rows = rows[: len(rows) // bucket * bucket]
        many = mil_evaluator.alone(Path(scratch, "model.buckets.mlpackage"), f"rows_{bucket}", "fp16")
        eager = mil_evaluator.eager_of(
            source.deployed(source.workload.graphs(source.config)[0], half=True), rows, bucket
        )
        times = mil_evaluator.alternating(lambda: many({"input": rows}), eager, pairs)
    return [one / two for one, two in times]


def scoring(rounds: int = 3, reads: int = 1_000_000) -> list[float]:
    """Decompression's seconds over those of scoring with the model, on one core."""
    model = ROOT / "models" / "read_quality" / "export"
    if not model.is_dir():
        raise MissingError("there is no model; run `make repro`")
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "reads.fq.gz")
        score_reads.make_reads(file, reads)
        todo = score_reads.commands(file, model, Path(scratch, "out.tsv"))
        times = [[score_reads.timed(todo[name], {1})[0] for name in ("decompress", "anelab")] for _ in range(rounds)]
    return [alone / ours for alone, ours in times]


def seconds_of(*command: str, times: int) -> list[float]:
    found = []
    for _ in range(times + 1):
        started = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        found.append(time.perf_counter() - started)
    return found[1:]


def repeated_pipeline() -> list[float]:
    if not (ROOT / "dvc.lock").is_file():
        raise MissingError("nothing was made yet; run `make repro`")
    seconds_of("dvc", "repro", times=0)
    return seconds_of("dvc", "repro", times=3)


def stage_gaps() -> list[float]:
    """Seconds between two stages of the last run of the pipeline; what was made in another run is left out."""
    found = [gap for gap in pipeline_time.gaps(ROOT) if 0 <= gap < LONGEST_GAP_S]
    if not found:
        raise MissingError("no stage followed another; run `make repro`")
    return found


def first_page(starts: int = 3) -> list[float]:
    """Seconds until the first page of a fresh server stands still in Chromium."""
    sys.path.insert(0, str(ROOT))
    from dashboard_scale import first_page as seen
    from tests.browser.conftest import CHROMIUM

    if not CHROMIUM:
        raise MissingError("there is no Chromium")
    if not (ROOT / "mlruns" / "mlflow.db").is_file():
        raise MissingError("there is no store; run `make repro`")
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(ROOT / "mlruns", Path(scratch, "mlruns"))
        return [seen(Path(scratch)) for _ in range(starts)]


FIGURES: Mapping[str, Figure] = {
    "training_step": Figure(
        "training step over a bare loop, without augmentation", "ratio", partial(training, 0.0), 1.15
    ),
    "training_step_augmented": Figure(
        "training step with augmentation over a bare loop without", "ratio", partial(training, 0.5), 1.35
    ),
    "evaluator": Figure("evaluator of packages over torch eager, 512 rows a call", "ratio", evaluator, 5.0),
    "scoring": Figure(
        "`anelab score` with a model, of the speed of decompression, one core", "ratio", scoring, 0.35, high=True
    ),
    "repro_again": Figure("`dvc repro` with nothing to do", "s", repeated_pipeline, 3.0),
    "stage_gaps": Figure("from a stage's last write to the next one's first work", "s", stage_gaps, 3.0),
    "help": Figure("`anelab --help`", "s", partial(seconds_of, *ANELAB, "--help", times=9), 0.3),
    "first_page": Figure("first page of the dashboard's server", "s", first_page, 1.8),
}


def measured() -> dict[str, Any]:
    """A run: what was measured, of what, on what."""
    found: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for name, figure in FIGURES.items():
        try:
            samples = figure.measure()
        except MissingError as reason:
            left_out[name] = str(reason)
            print(f"{figure.title}: left out, {reason}", flush=True)
            continue
        found[name] = {
            "high": max(samples),
            "low": min(samples),
            "samples": len(samples),
            "value": statistics.median(samples),
        }
        print(f"{figure.title}: {text_of(found[name], figure.unit)}", flush=True)
    versions = {package: version(package) for package in PACKAGES}
    return {
        "commit": subprocess.run(
            ("git", "rev-parse", "HEAD"), cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip(),
        "figures": found,
        "host": host_fingerprint(),
        "left_out": left_out,
        "machine": {name: value for name, value in host_facts().items() if name in MACHINE},
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions,
    }


def text_of(figure: Mapping[str, float], unit: str) -> str:
    suffix = "" if unit == "ratio" else f" {unit}"
    return f"{figure['value']:.3g}{suffix} [{figure['low']:.3g}, {figure['high']:.3g}]"


def changes(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What of the last run left the noise of those before it on a machine like this one, a sentence a figure."""
    found = []
    alike = [run for run in runs if run["host"] == runs[-1]["host"]]
    for name, figure in FIGURES.items():
        values = [run["figures"][name]["value"] for run in alike if name in run["figures"]]
        if name not in runs[-1]["figures"]:
            continue
        last = trend.times([1 / value if figure.high else value for value in values])[-1]
        if last.low is None or last.high is None:
            found.append(f"{figure.title}: {len(values) - 1} earlier runs on such a machine, too few to tell noise")
        elif last.change:
            bounds = sorted(1 / one if figure.high else one for one in (last.low, last.high))
            found.append(
                f"{figure.title}: {last.change}, {values[-1]:.3g} where {bounds[0]:.3g} to {bounds[1]:.3g} was expected"
            )
    return found


def table(run: Mapping[str, Any]) -> str:
    """The last run, as Markdown."""
    rows = []
    for name, figure in FIGURES.items():
        found = run["figures"].get(name)
        asked = f"{'at least' if figure.high else 'at most'} {figure.limit:g}"
        shown = text_of(found, figure.unit) if found else f"left out: {run['left_out'].get(name, 'not measured')}"
        rows.append(f"| {figure.title} | {shown} | {asked} |")
    versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    machine = f"{run['machine']['processor']}, {run['machine']['cores']} cores, Python {run['machine']['python']}"
    lines = [
        f"Measured {run['measured_at'][:10]} on {machine}, with {versions}. Median [lowest, highest].",
        "",
        "| figure | measured | asked |",
        "|---|---|---|",
        *rows,
    ]
    return "\n".join(lines)


def with_table(page: str, run: Mapping[str, Any]) -> str:
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(run)}\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", action="store_true", help="write the last run into docs/quick-figures.md")
    parser.add_argument("--compare", action="store_true", help="measure nothing")
    given = parser.parse_args()
    runs: list[Any] = read_json(REPORT)["runs"] if REPORT.is_file() else []
    if not given.compare:
        runs = [*runs, measured()][-MOST_RUNS:]
        write_text(REPORT, json_text({"runs": runs, "schema": SCHEMA}, indent=2) + "\n")
    if not runs:
        sys.exit("figures: nothing was measured yet; run `make figures`")
    for sentence in changes(runs) or ["no figure left the noise of its past"]:
        print(sentence)
    if given.docs:
        write_text(PAGE, with_table(PAGE.read_text(encoding="utf-8"), runs[-1]))


if __name__ == "__main__":
    main()
