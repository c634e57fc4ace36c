"""Commands on benchmarks: measure, look, compare, carry from machine to machine."""

import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anelab.cli import published
from anelab.cli.bench_options import Arms, InputFile, New, Old, Ranges, Result, Shapes, Target, Thorough, Url
from anelab.cli.console import EVERYWHERE, AsJson, Workload, commands, print_json
from anelab.cli.placements import Chip
from anelab.cli.results import opened
from anelab.errors import UsageError
from anelab.texts import echo, echo_lines, notify, printable

if TYPE_CHECKING:
    from anelab.bench.results.schema import Report
    from anelab.bench.scenario import Scenario
    from anelab.cli.console import Common

COMMANDS = commands("Time models, compare results, carry them between machines.", "bench")
COMMANDS.add_typer(published.COMMANDS, name="published")


@COMMANDS.command(
    short_help="Time a workload's model, or a registered version.",
    epilog=f"Example: anelab bench run mnist --thorough. {EVERYWHERE}",
)
def run(
    ctx: typer.Context,
    target: Target,
    arm: Arms = None,
    thorough: Thorough = False,
    url: Url = None,
    rows: InputFile = None,
    shape: Shapes = None,
    value_range: Ranges = None,
    as_json: AsJson = False,
) -> None:
    """Time a model on this machine.

    A workload: its exported files, by the arms of params.yaml; this is the stage that DVC runs. A registered version:
    by every arm that this machine has; the result is attached to the version. A folder or a file: the result becomes a
    bundle. A file needs no project: it is timed on random inputs, or on yours."""
    from anelab.cli.bench_file import FileCalls, is_file, run_file
    from anelab.cli.bench_targets import run_target

    calls = FileCalls(rows, tuple(shape or ()), tuple(value_range or ()))
    if is_file(target):
        report = run_file(target, calls, arm or [], thorough, url)
    else:
        calls.check_unused()
        report = run_target(ctx.obj, target, arm or [], thorough, url)
    if report is not None:
        _print(ctx.obj, report, as_json)


def _print(common: "Common", report: "Report", as_json: bool) -> None:
    if as_json:
        print_json(report.as_json())
        return
    from anelab.tracking.timed_versions import timed_versions
    from anelab.views.tables import report_text

    echo_lines(report_text(report, timed_versions(common.anywhere(), report)))


@COMMANDS.command(epilog=f"Example: anelab bench show mnist. {EVERYWHERE}")
def show(ctx: typer.Context, result: Result, as_json: AsJson = False) -> None:
    """Print a result."""
    with opened(ctx.obj.workspace, result) as (report, _):
        _print(ctx.obj, report, as_json)


@COMMANDS.command(
    short_help="List the arms that can be timed here, and why others cannot.",
    epilog=f"Example: anelab bench arms mnist. {EVERYWHERE}",
)
def arms(ctx: typer.Context, workload: Workload, as_json: AsJson = False) -> None:
    """List every arm of a workload, as kind[/option][:variant], and why some cannot run here.

    The option is a number of threads, or Core ML's compute units (with _nn: its older model format). The variant raw is
    the graph that takes bytes."""
    from anelab.bench.measuring.run import arms_of
    from anelab.stages.bench import subject_of

    subject = subject_of(ctx.obj.job(workload))
    found = {
        arm.name: arm.unavailable(subject) or ("available" if arm.timeable else "available, to be checked only")
        for arm in arms_of(subject)
    }
    if as_json:
        print_json(found)
    else:
        for reason in dict.fromkeys(found.values()):
            names = [name for name, text in found.items() if text == reason]
            echo_lines("\n  ".join([f"{printable(reason)}:", *names]))


@COMMANDS.command(
    short_help="Compare two results.",
    epilog=f"Example: anelab bench compare before.json mnist --fail-on-regression. {EVERYWHERE}",
)
def compare(
    ctx: typer.Context,
    old: Old,
    new: New,
    fail_on_regression: Annotated[
        bool, typer.Option("--fail-on-regression", help="Exit 1 if an arm is slower, fails now, or is missing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare two results: regressions, improvements, arms that fail now or are missing, and arms that are about the
    Neural Engine (NE) but mostly ran elsewhere. An arm that computes another network is told apart."""
    from anelab.bench.results.compare import compare_reports
    from anelab.tracking.timed_versions import timed_versions
    from anelab.views.tables import differences_text, title, versions_text

    with opened(ctx.obj.workspace, old) as (before, _), opened(ctx.obj.workspace, new) as (after, _):
        found = compare_reports(before, after)
    versions = {name: timed_versions(ctx.obj.anywhere(), one) for name, one in (("old", before), ("new", after))}
    if as_json:
        named = {name: [one.as_json() for one in timed] for name, timed in versions.items()}
        print_json({**found.as_json(), "versions": named})
    else:
        for name, report in (("old", before), ("new", after)):
            echo_lines(f"{name}: {title(report)}\n{versions_text(versions[name])}\n")
        echo_lines(differences_text(found))
    if fail_on_regression and found.regressed:
        raise typer.Exit(1)


@COMMANDS.command(
    short_help="List the median times of all results in the store.",
    epilog=f"Example: anelab bench history mnist --scenario batch_64. {EVERYWHERE}",
)
def history(
    ctx: typer.Context,
    workload: Workload,
    scenario: Annotated[str, typer.Option(help="A scenario: single, batch_64, server, ...")] = "single",
    as_json: AsJson = False,
) -> None:
    """List the median time of a call in every result of the store, oldest first."""
    from anelab import workloads
    from anelab.tracking.benchmarks import list_results
    from anelab.tracking.store import open_store
    from anelab.tracking.timed_versions import with_versions
    from anelab.views.tables import history_text

    workloads.check(workload)
    wanted = _scenario(scenario)
    store = open_store(ctx.obj.workspace())
    results = with_versions(store, workload, list_results(store, workload))
    if not results and not as_json:
        echo(f"{workload} has no results here; run `anelab bench run {workload}`, or `anelab sync` if there are files")
        return
    found = _with_scenario(workload, results, wanted)
    print_json(found) if as_json else echo_lines(history_text(found, wanted))


def _scenario(text: str) -> "Scenario":
    from anelab.bench.scenario import Scenario

    try:
        return Scenario.parse(text)
    except ValueError as error:
        raise UsageError(f"--scenario {error}") from None


def _with_scenario(workload: str, results: list[dict[str, Any]], wanted: "Scenario") -> list[dict[str, Any]]:
    """Results with the medians of that scenario only. Raises UsageError if there are results, but none has it."""
    from anelab.bench.results.metrics import Median

    parsed = {name: Median.of_label(name) for one in results for name in one["medians_us"]}
    chosen = {name for name, median in parsed.items() if median and median.scenario == wanted}
    if results and not chosen:
        there = sorted({str(median.scenario) for median in parsed.values() if median})
        raise UsageError(f"no result of {workload} has the scenario {wanted}; they have {', '.join(there)}")
    medians = ({name: value for name, value in one["medians_us"].items() if name in chosen} for one in results)
    return [{**one, "medians_us": some} for one, some in zip(results, medians, strict=True) if some]


@COMMANDS.command(
    "export",
    short_help="Write a result into a file for another machine.",
    epilog=f"Example: anelab bench export mnist -o mnist-m4.bench.zip. {EVERYWHERE}",
)
def export(
    ctx: typer.Context,
    result: Result,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A file, or a folder. Default: the working directory.")
    ] = None,
) -> None:
    """Write a result and its samples into one file (a bundle), which another machine can import."""
    from anelab.bench.results.bundle import write_bundle

    with opened(ctx.obj.workspace, result) as (report, samples):
        name = f"{report.subject.workload}-{report.id[:12]}.bench.zip"
        target = out / name if out is not None and out.is_dir() else out or Path(name)
        write_bundle(report, samples, target)
    echo(target)


@COMMANDS.command(
    "import",
    short_help="Import a result of another machine.",
    epilog=f"Example: anelab bench import mnist-m4.bench.zip. {EVERYWHERE}",
)
def import_(
    ctx: typer.Context,
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A file that `anelab bench export` wrote.")],
) -> None:
    """Import a result of another machine: check it, and attach it to the registered versions that it measured."""
    from anelab.tracking.benchmarks import import_bundle
    from anelab.tracking.store import open_store

    workspace = ctx.obj.workspace()
    report, versions = import_bundle(open_store(workspace), workspace, bundle)
    echo(f"{report.id[:12]} of {report.host.processor} is attached to {', '.join(versions)}")


@COMMANDS.command(
    short_help="Ask an agent on another machine to time a version.",
    epilog=f"Example: anelab bench request mnist-coreml@champion --host system=Darwin. {EVERYWHERE}",
)
def request(
    ctx: typer.Context,
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="A registered version: mnist-coreml@champion, mnist-onnx/3.")
    ],
    host: Annotated[
        str,
        typer.Option(
            help="Which machines may do it: * for any, or key=pattern[,...] of host, machine, name, processor, system."
        ),
    ] = "*",
) -> None:
    """Ask an agent (`anelab bench agent`) on another machine to time a registered version.

    No other machine sees a store that is a file on this one: then it says what to copy and to run."""
    from anelab.bench.other_machine import steps
    from anelab.stages.version import find_version
    from anelab.tracking.claims import request as ask
    from anelab.tracking.store import open_store, without_password

    store = open_store(ctx.obj.workspace())
    found = find_version(store, version)
    with store.writing():
        ask(store, found, host)
    echo(f"{found.name}/{found.version} asks for {host}")
    notify(steps(f"{found.name}/{found.version}", None if store.root else without_password(store.uri)))


@COMMANDS.command(
    short_help="Time the versions that are requested for this machine.",
    epilog=f"Example: anelab bench agent --tracking-uri http://server:5000 --once. {EVERYWHERE}",
)
def agent(
    ctx: typer.Context,
    tracking_uri: Annotated[
        str | None, typer.Option(help="The MLflow server. Default: MLFLOW_TRACKING_URI, else the workspace's store.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Stop when no request is left.")] = False,
    thorough: Thorough = False,
    name: Annotated[str | None, typer.Option(help="Name of this agent, for requests. Default: the host name.")] = None,
    interval: Annotated[float, typer.Option(help="Seconds between two queries of the registry.")] = 30.0,
) -> None:
    """Time the registered versions that are requested for a machine like this one, and log the results to the registry.

    You can stop the agent and start it again at any time."""
    import socket

    from anelab.agent import Agent

    if tracking_uri:
        os.environ["MLFLOW_TRACKING_URI"] = tracking_uri
    who = name or socket.gethostname().partition(".")[0]
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", who):
        raise UsageError(f"--name takes letters and digits, and within it also dots, - and _, but got {who}")
    if not 0 < interval < math.inf:
        raise UsageError(f"--interval takes seconds above 0, but got {interval}")
    done = Agent(ctx.obj.workspace(), ctx.obj.params(), thorough, who, notify).work(once, interval)
    echo(f"{done} versions done")


@COMMANDS.command(
    short_help="Estimate whether a test of any Core ML package on a Mac is worth it.",
    epilog=f"Example: anelab bench estimate mnist-coreml@champion. {EVERYWHERE}",
)
def estimate(
    ctx: typer.Context,
    package: Annotated[
        str | None,
        typer.Argument(metavar="PKG", help="A .mlpackage, or a registered one: mnist-coreml@champion."),
    ] = None,
    chip: Chip = "M4",
    as_json: AsJson = False,
) -> None:
    """Estimate whether a test of any Core ML package on a Mac is worth it, predict where operators would run, and list
    cases that others published. Nothing is measured."""
    from anelab.bench.estimate import package_estimates, published_pairs
    from anelab.export.placement.rates import check_chip
    from anelab.inference.location import opened_package
    from anelab.views.tables import estimates_text, published_text, sources_text

    found = []
    if package is not None:
        with opened_package(ctx.obj.workspace, package) as path:
            found = package_estimates(path, check_chip(chip))
    if as_json:
        cases = [{**vars(case), "published_by_others": True} for case in published_pairs()]
        print_json({"estimates": [one.model_dump(mode="json") for one in found], "published": cases})
        return
    own = [estimates_text(found), sources_text(found)] if found else []
    echo_lines("\n\n".join([*own, published_text(published_pairs())]))


@COMMANDS.command(epilog=f"Example: anelab bench schema > bench.schema.json. {EVERYWHERE}")
def schema() -> None:
    """Print the JSON Schema of a result."""
    from anelab.bench.results.schema import Report

    print_json(Report.model_json_schema())
