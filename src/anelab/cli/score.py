"""`anelab score`: reads in, verdicts out."""

import math
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anelab.cli.console import EVERYWHERE, AsJson, Timeout, commands, print_json
from anelab.errors import UsageError
from anelab.interruption import TIMEOUT_S, ending_in_order
from anelab.texts import echo_lines, notify, printable

if TYPE_CHECKING:
    from anelab.cli.console import Common
    from anelab.inference.reads.run import Summary
    from anelab.inference.reads.scorer import ScorerPlan
    from anelab.sequences.phred import Phred
    from anelab.workloads.read_quality.config import ReadsDataConfig

CHAMPION = "models:/read_quality-onnx@champion"
MODEL_HELP = "A registered version, the folder of an export, or an .onnx file of read_quality."
RULE_HELP = "Use a rule instead of a model: mean_quality or expected_errors, with the thresholds of params.yaml."
TO_HELP = (
    "Also write the reads that {} into this file. `{{}}` in its name stands for the mate, 1 or 2. .gz: compressed."
)

THRESHOLD_HELP = (
    "PASS is a probability of at least this. With --rule: a mean quality of at least this, or at most this number of "
    "expected errors. Default: 0.5, or the thresholds of params.yaml."
)
COMMANDS = commands()


@COMMANDS.command(epilog=f"Example: anelab score reads.fastq.gz -o verdicts.tsv. {EVERYWHERE}")
def score(
    ctx: typer.Context,
    reads: Annotated[
        list[str], typer.Argument(metavar="READS...", help="FASTQ files, folders or globs. - is standard input.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="File for the table: read_id, value, verdict; for pairs also mate, pair_verdict. .gz: compressed. - "
            "is standard output.",
        ),
    ],
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = CHAMPION,
    rule: Annotated[str | None, typer.Option(help=RULE_HELP)] = None,
    pass_fastq: Annotated[Path | None, typer.Option(help=TO_HELP.format("pass"))] = None,
    fail_fastq: Annotated[Path | None, typer.Option(help=TO_HELP.format("fail"))] = None,
    paired: Annotated[
        bool, typer.Option("--paired", help="Files are pairs: R1 R2 R1 R2 ... A pair passes if both mates pass.")
    ] = False,
    interleaved: Annotated[bool, typer.Option("--interleaved", help="Mates alternate within each file.")] = False,
    threshold: Annotated[float | None, typer.Option(help=THRESHOLD_HELP)] = None,
    first_150: Annotated[
        bool, typer.Option("--first-150", help="Judge reads by their first 150 bases, not as a whole.")
    ] = False,
    phred: Annotated[str, typer.Option(help="Offset of the quality characters: auto, 33 or 64.")] = "auto",
    max_records: Annotated[int | None, typer.Option(min=1, help="Stop after this number of reads, or pairs.")] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Score so many files (or pairs of files) at the same time, a process each.")
    ] = 1,
    report: Annotated[
        Path | None, typer.Option(help="Also write counts, lengths and qualities before and after: .html or .json.")
    ] = None,
    multiqc: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write files for MultiQC into this folder.")
    ] = None,
    timeout: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Score reads: PASS or FAIL for each read, by a model or a rule."""
    from anelab.inference.reads.memory import keep_memory
    from anelab.inference.reads.run import Layout, Outputs, Reading, score_reads

    if phred not in ("auto", "33", "64"):
        raise UsageError(f"--phred must be auto, 33 or 64 but got {phred}")
    _check_judge(model, rule, threshold)
    if paired and interleaved:
        raise UsageError("--paired and --interleaved exclude each other")
    _check_reports(report, multiqc)
    keep_memory()
    layout: Layout = "paired" if paired else "interleaved" if interleaved else "single"
    offset: Phred = "auto" if phred == "auto" else 33 if phred == "33" else 64
    reading = Reading(layout, offset, max_records, statistics=bool(report or multiqc))
    outputs, sources = Outputs(out, pass_fastq, fail_fastq, report), _sources(reads)
    with ExitStack() as stack:
        stack.enter_context(ending_in_order())
        plan = stack.enter_context(_planned(ctx.obj, model, rule, threshold, not first_150))
        plan = replace(plan, timeout_s=timeout)
        on_scored = partial(_write_reports, report, multiqc, plan.pass_means)
        if jobs > 1 and len(sources) > (2 if paired else 1):
            from anelab.inference.reads.jobs import score_in_jobs

            on_progress = _progress if sys.stderr.isatty() else None
            found = score_in_jobs(sources, plan, outputs, reading, jobs, on_progress, on_scored)
        else:
            scorer = stack.enter_context(plan.opened())
            found = score_reads(sources, scorer, outputs, reading, sys.stderr.isatty(), on_scored)
    taken = any(str(path) in ("-", "/dev/stdout") for path in (out, pass_fastq, fail_fastq))
    with redirect_stdout(sys.stderr if taken else sys.stdout):
        print_json(found.as_json()) if as_json else echo_lines(_summary_text(found))


@contextmanager
def _planned(
    common: "Common", model: str, rule: str | None, threshold: float | None, whole: bool
) -> "Iterator[ScorerPlan]":
    """What judges, for as long as the block lasts: a registered version may be fetched for it."""
    from anelab.inference.location import located
    from anelab.inference.model import warn_if_held_back
    from anelab.inference.reads.scorer import GRAPHS, THRESHOLD, ScorerPlan, rule_text

    if rule is not None:
        config: Any = common.params().section("read_quality")
        data = _with_threshold(config.data, rule, threshold)
        yield ScorerPlan(rule_text(rule, data), whole=whole, rule=rule, data=data)
        return
    with located(common.workspace, model) as place:
        warn_if_held_back(place)
        path = place.file("onnx", GRAPHS)
        limit = THRESHOLD if threshold is None else threshold
        yield ScorerPlan(printable(f"{place.name} ({path.name})"), limit, whole, model=path)


def _check_judge(model: str, rule: str | None, threshold: float | None) -> None:
    from anelab.workloads.read_quality.labels import SCORES

    if rule is not None and rule not in SCORES:
        raise UsageError(f"--rule must be one of {', '.join(SCORES)} but got {rule}")
    if rule is not None and model != CHAMPION:
        raise UsageError("--rule and --model exclude each other")
    if threshold is not None and not 0 < threshold < (1 if rule is None else math.inf):
        raise UsageError(f"--threshold must be above 0{' and below 1' if rule is None else ''} but got {threshold}")


def _check_reports(report: Path | None, multiqc: Path | None) -> None:
    """Raise UsageError before hours of work for what could not be written after it."""
    if report is not None and report.suffix not in (".html", ".json"):
        raise UsageError(f"--report takes a file that ends in .html or .json, but got {report}")
    if report is not None and report.suffix == ".html" and find_spec("vl_convert") is None:
        raise UsageError("--report as .html needs charts: pip install 'anelab[dashboard]', or write .json")
    if multiqc is not None and not multiqc.is_dir():
        raise UsageError(f"--multiqc {multiqc}: there is no such folder; create it first, or name another")
    if multiqc is not None and not os.access(multiqc, os.W_OK):
        raise UsageError(f"--multiqc {multiqc}: you may not write into this folder; name another")


def _write_reports(report: Path | None, multiqc: Path | None, pass_means: str, summary: "Summary") -> None:
    from anelab.files import write_json, write_text
    from anelab.inference.reads.report import ScoreReport, write_multiqc

    content = ScoreReport(summary.scorer, pass_means, summary.as_json(), summary.statistics)
    if multiqc is not None:
        write_multiqc(content, multiqc)
    if report is not None and report.suffix == ".json":
        write_json(report, content.as_json())
    elif report is not None:
        from anelab.views.reads_report import reads_page

        write_text(report, reads_page(content.as_json()))


def _progress(done: int, total: int) -> None:
    notify(f"anelab: {done} of {total} files (or pairs of files) are scored")


def _with_threshold(data: "ReadsDataConfig", rule: str, threshold: float | None) -> "ReadsDataConfig":
    key = {"mean_quality": "min_mean_quality", "expected_errors": "max_expected_errors"}[rule]
    return data if threshold is None else data.model_copy(update={key: threshold})


def _sources(given: list[str]) -> list[Path | str]:
    """Files of paths, folders and globs, in the order given; - is standard input, and pipes are as good as files."""
    from anelab.sources import expand

    found: list[Path | str] = []
    for text in given:
        if text == "-":
            found.append(text)
        elif Path(text).exists() and not Path(text).is_dir():
            found.append(Path(text))
        else:
            found += expand([text], Path.cwd(), "READS", or_simulate=False)
    return found


def _summary_text(found: "Summary") -> str:
    share = found.passing / found.reads if found.reads else 0.0
    offsets = " and ".join(f"Phred+{offset}" for offset in sorted(found.offsets)) or "no reads"
    lines = [
        f"{found.reads:,} reads ({offsets}) by {printable(found.scorer)} in {found.seconds:.1f} s",
        f"PASS {found.passing:,} ({share:.2%}), FAIL {found.reads - found.passing:,}",
    ]
    if found.pairs:
        lines.append(f"pairs of which both pass: {found.pairs_passing:,} of {found.pairs:,}")
    if thresholds := found.thresholds():
        shares, values = ", ".join(thresholds), ", ".join(f"{value:g}" for value in thresholds.values())
        lines.append(f"to keep {shares} % of these reads: --threshold {values}")
    if found.invalid:
        lines.append(f"{found.invalid:,} reads FAIL: the model's answer is no probability (NaN, or not in 0 to 1)")
    if found.longer:
        how = "each was judged as a whole" if found.whole else "their first 150 were judged"
        lines.append(f"{found.longer:,} reads are longer than 150 bases; {how}")
    return "\n".join(lines)
