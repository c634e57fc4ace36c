"""The command line: thin, and nothing heavy is imported before a command needs it."""

import logging
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from anelab.cli_bench import bench_app
from anelab.cli_model import model_app
from anelab.cli_score import score
from anelab.console import EVERYWHERE, OPTIONS, AsJson, Common, Workload, print_json, say, take_common
from anelab.errors import AnelabError, UsageError

app = typer.Typer(
    help="Train small models, ship them as ONNX and Core ML, and know with evidence what runs best.",
    epilog=EVERYWHERE,
    pretty_exceptions_enable=False,
    **OPTIONS,
)
store_app = typer.Typer(help="The MLflow store: where it is, and cleaning it.", epilog=EVERYWHERE, **OPTIONS)
app.command(epilog=f"Example: anelab score reads.fastq.gz -o verdicts.tsv. {EVERYWHERE}")(score)
app.add_typer(model_app, name="model")
app.add_typer(bench_app, name="bench")
app.add_typer(store_app, name="store")


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command; exit 0 if it worked, 1 if it failed, 2 if it was used wrongly."""
    try:
        common, rest = take_common(sys.argv[1:] if arguments is None else arguments)
        if common.verbose:
            logging.basicConfig(level=logging.INFO)
            logging.getLogger("anelab").setLevel(logging.DEBUG)
        app(rest, prog_name="anelab", obj=common)
    except AnelabError as error:
        print(f"anelab: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:  # a file or folder that the system refuses: full, read-only, no folder
        print(f"anelab: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("anelab: interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)


def _print_version(wanted: bool) -> None:
    if wanted:
        from anelab import __version__

        print(f"anelab {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command(epilog=f"Example: anelab check -S mnist.training.max_epochs=3. {EVERYWHERE}")
def check(ctx: typer.Context) -> None:
    """Check params.yaml as a whole."""
    ctx.obj.params()
    print("params.yaml is valid")


@app.command(epilog=f"Example: anelab inputs mnist. {EVERYWHERE}")
def inputs(ctx: typer.Context, workload: Workload) -> None:
    """List a workload's data files, and what this host is."""
    from anelab.inputs import write_host, write_manifest

    job = ctx.obj.job(workload)
    write_manifest(workload, job.config.data.source, job.workspace)
    write_host(job.workspace)


@app.command(epilog=f"Example: anelab simulate mnist. {EVERYWHERE}")
def simulate(ctx: typer.Context, workload: Workload) -> None:
    """Make the default raw data, or fetch what addresses name."""
    from anelab.stages import simulate as stage

    stage.run(ctx.obj.job(workload))


@app.command(epilog=f"Example: anelab prepare read_quality -S read_quality.data.phred=33. {EVERYWHERE}")
def prepare(ctx: typer.Context, workload: Workload) -> None:
    """Check, label and split the raw data."""
    _execute(ctx.obj, "prepare", workload)


@app.command(epilog=f"Example: anelab search mnist -S mnist.search.n_trials=20. {EVERYWHERE}")
def search(ctx: typer.Context, workload: Workload) -> None:
    """Search better values with Optuna."""
    _execute(ctx.obj, "search", workload)


@app.command(epilog=f"Example: anelab train mnist -S mnist.training.debug=fast-dev-run. {EVERYWHERE}")
def train(ctx: typer.Context, workload: Workload) -> None:
    """Train with the values that were found, and test."""
    _execute(ctx.obj, "train", workload)


@app.command(epilog=f"Example: anelab export mnist -S mnist.export.int8=false. {EVERYWHERE}")
def export(ctx: typer.Context, workload: Workload) -> None:
    """Export to ONNX and Core ML, proven to compute the same."""
    _execute(ctx.obj, "export", workload)


@app.command(epilog=f"Example: anelab register mnist. {EVERYWHERE}")
def register(ctx: typer.Context, workload: Workload) -> None:
    """Judge the exported model at every gate and register it."""
    _execute(ctx.obj, "register", workload)


def _execute(common: Common, stage: str, workload: str) -> None:
    from importlib import import_module

    from anelab.stages.job import execute

    job = common.job(workload)
    execute(import_module(f"anelab.stages.{stage}").STAGE, job)


@app.command(epilog=f"Example: anelab run mnist -S 'mnist.data.source=[../mnist]' --workspace out. {EVERYWHERE}")
def run(ctx: typer.Context, workload: Workload) -> None:
    """Run all stages of a workload in order, without DVC."""
    ctx.obj.job(workload)
    for step in (inputs, simulate):
        say(f"{workload}: {step.__name__}")
        step(ctx, workload)
    for stage in ("prepare", "search", "train", "export", "bench", "register"):
        say(f"{workload}: {stage}")
        _execute(ctx.obj, stage, workload)


@app.command(epilog=f"Example: anelab sync. {EVERYWHERE}")
def sync(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Bring the MLflow store to what the files record. Running it twice changes nothing more."""
    from dataclasses import asdict

    from anelab.tracking.sync import sync as synchronise

    done = synchronise(ctx.obj.workspace(), ctx.obj.params().workloads)
    for warning in done.warnings:
        say(f"anelab: warning: {warning}")
    if as_json:
        print_json(asdict(done))
    else:
        print(f"{done.runs_made} runs added, {done.runs_found} were there, {done.moved} addresses moved")


@app.command(epilog=f"Example: anelab doctor. {EVERYWHERE}")
def doctor(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Check versions, native libraries, devices, store, DVC and disk. Exit 1 if one of them is an error."""
    from anelab.doctor import examine

    found = list(examine(ctx.obj.workspace()))
    if as_json:
        print_json([finding.as_json() for finding in found])
    else:
        for finding in found:
            print(f"{finding.level:8} {finding.name}: {finding.text}")
            if finding.fix:
                print(f"{'':8} {finding.fix}")
    if any(finding.level == "error" for finding in found):
        raise typer.Exit(1)


@store_app.command(epilog=f"Example: mlflow ui --backend-store-uri $(anelab store uri). {EVERYWHERE}")
def uri(ctx: typer.Context) -> None:
    """Print the address of the MLflow store in use."""
    from anelab.tracking.store import store_uri

    print(store_uri(ctx.obj.workspace()))


@app.command(epilog=f"Example: anelab dashboard --port 8600. {EVERYWHERE}")
def dashboard(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(help="Where it listens, on this machine only.", min=1, max=65535)] = 8501,
) -> None:
    """Serve the dashboard on the loopback interface."""
    from anelab.dashboard import serve

    serve(ctx.obj.workspace(), port)


@app.command(epilog=f"Example: anelab report --workload mnist -o mnist.html. {EVERYWHERE}")
def report(
    ctx: typer.Context,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="An .html file, or .md for a pull request; replaced if it is there.")
    ],
    workload: Annotated[list[str] | None, typer.Option(help="One workload; may be given again. Default: all.")] = None,
) -> None:
    """Write what the dashboard shows into one file that stands alone."""
    from anelab import workloads
    from anelab.summary_report import write_report

    if out.suffix not in (".html", ".md"):
        raise UsageError(f"--out must end in .html or .md but got {out}")
    write_report(ctx.obj.workspace(), [workloads.check(name) for name in workload or []], out)
    print(out)


@store_app.command(epilog=f"Example: anelab store gc --older-than 30d. {EVERYWHERE}")
def gc(
    ctx: typer.Context,
    older_than: Annotated[str, typer.Option(help="Only what was deleted so long ago, like 30d or 12h.")] = "30d",
) -> None:
    """Erase for good the runs deleted in MLflow (its pages, `mlflow runs delete`, or ours that broke off), but
    never one that a champion or challenger comes from."""
    from anelab.tracking.commands import collect_garbage

    print(collect_garbage(ctx.obj.workspace(), older_than))
