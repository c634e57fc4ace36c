"""The command line: thin, and nothing heavy is imported before a command needs it."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from anelab.errors import AnelabError, UsageError

if TYPE_CHECKING:
    from anelab.config import Params
    from anelab.stages.job import Job
    from anelab.workspace import Workspace

EVERYWHERE = """
Before or after any command: -S key=value lays a value over params.yaml (values are YAML; give it as
often as needed), --workspace DIR says where data/, models/, reports/ and mlruns/ live (default: the
folder of params.yaml).
"""

options: dict[str, Any] = {"rich_markup_mode": None, "no_args_is_help": True, "add_completion": False}
app = typer.Typer(
    help="Train small models, ship them as ONNX and Core ML, and know with evidence what runs best.",
    epilog=EVERYWHERE,
    pretty_exceptions_enable=False,
    **options,
)
model_app = typer.Typer(help="Registered models: look, promote, roll back, delete.", epilog=EVERYWHERE, **options)
store_app = typer.Typer(help="The MLflow store: where it is, and cleaning it.", epilog=EVERYWHERE, **options)
app.add_typer(model_app, name="model")
app.add_typer(store_app, name="store")

Workload = Annotated[str, typer.Argument(metavar="WORKLOAD", help="A workload of params.yaml, such as mnist.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="A registered model, such as mnist-onnx.")]
Reference = Annotated[str, typer.Argument(metavar="VERSION", help="A version number or an alias.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]


class _Globals:
    """What -S and --workspace said, taken off the command line before typer sees it."""

    overrides: list[str]
    workspace: Path | None


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command; exit 0 if it worked, 1 if it failed, 2 if it was used wrongly."""
    try:
        rest: list[str] = _take_globals(sys.argv[1:] if arguments is None else arguments)
        app(rest, prog_name="anelab")
    except AnelabError as error:
        print(f"anelab: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("anelab: interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)


def _take_globals(arguments: list[str]) -> list[str]:
    """`arguments` without -S and --workspace, which are kept in _Globals."""
    _Globals.overrides, _Globals.workspace = [], None
    rest: list[str] = []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            return [*rest, word, *waiting]
        name, equals, value = word.partition("=")
        if word == "-S" or name == "--workspace":
            value = value if equals and name == "--workspace" else _next(word, waiting)
            _keep(name, value)
        elif word.startswith("-S"):
            _keep("-S", word[2:])
        else:
            rest.append(word)
    return rest


def _next(word: str, waiting: list[str]) -> str:
    if not waiting:
        raise UsageError(f"{word} needs a value; see `anelab --help`")
    return waiting.pop(0)


def _keep(name: str, value: str) -> None:
    if name == "-S":
        _Globals.overrides.append(value)
    else:
        _Globals.workspace = Path(value)


def _workspace() -> "Workspace":
    from anelab.workspace import Workspace

    return Workspace.locate(_Globals.workspace)


def _params(workspace: "Workspace") -> "Params":
    from anelab.config import load_params
    from anelab.workspace import MARKER

    return load_params(workspace.project / MARKER, _Globals.overrides)


def _job(workload: str) -> "Job":
    from anelab import workloads
    from anelab.stages.job import Job

    workspace = _workspace()
    workloads.check(workload)
    params = _params(workspace)
    if not hasattr(params, workload):
        raise UsageError(f"params.yaml has no section {workload}; add one")
    return Job(workspace, params, workload)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, sort_keys=True))


@app.command(epilog=f"Example: anelab inputs mnist. {EVERYWHERE}")
def inputs(workload: Workload) -> None:
    """Write the manifest of a workload's data files, and what this host is."""
    from anelab.inputs import write_host, write_manifest

    job = _job(workload)
    write_manifest(workload, job.config.data.source, job.workspace)
    write_host(job.workspace)


@app.command(epilog=f"Example: anelab simulate mnist. {EVERYWHERE}")
def simulate(workload: Workload) -> None:
    """Make the default raw data, or fetch those that are named by address."""
    from anelab.stages import simulate as stage

    stage.run(_job(workload))


@app.command(epilog=f"Example: anelab prepare read_quality -S read_quality.data.phred=33. {EVERYWHERE}")
def prepare(workload: Workload) -> None:
    """Check, label and split the raw data."""
    _execute("prepare", workload)


@app.command(epilog=f"Example: anelab search mnist -S mnist.search.n_trials=20. {EVERYWHERE}")
def search(workload: Workload) -> None:
    """Search better values with Optuna."""
    _execute("search", workload)


@app.command(epilog=f"Example: anelab train mnist -S mnist.training.debug=fast-dev-run. {EVERYWHERE}")
def train(workload: Workload) -> None:
    """Train with the values that were found, and test."""
    _execute("train", workload)


@app.command(epilog=f"Example: anelab export mnist -S mnist.export.int8=false. {EVERYWHERE}")
def export(workload: Workload) -> None:
    """Export to ONNX and prove that the files compute the same."""
    _execute("export", workload)


@app.command(epilog=f"Example: anelab register mnist. {EVERYWHERE}")
def register(workload: Workload) -> None:
    """Judge the exported model at every gate and register it."""
    _execute("register", workload)


def _execute(stage: str, workload: str) -> None:
    from importlib import import_module

    from anelab.stages.job import execute

    job = _job(workload)
    execute(import_module(f"anelab.stages.{stage}").STAGE, job)


@app.command(epilog=f"Example: anelab run mnist -S mnist.data.source=[../mnist] --workspace out. {EVERYWHERE}")
def run(workload: Workload) -> None:
    """Run all stages of a workload in order, without DVC."""
    for step in (inputs, simulate):
        _say(f"{workload}: {step.__name__}")
        step(workload)
    for stage in ("prepare", "search", "train", "export", "register"):
        _say(f"{workload}: {stage}")
        _execute(stage, workload)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


@app.command(epilog=f"Example: anelab sync. {EVERYWHERE}")
def sync(as_json: AsJson = False) -> None:
    """Bring the MLflow store to what the files record. Running it twice changes nothing more."""
    from dataclasses import asdict

    from anelab.tracking.sync import sync as synchronise

    workspace = _workspace()
    done = synchronise(workspace, _params(workspace).workloads)
    for warning in done.warnings:
        _say(f"anelab: warning: {warning}")
    if as_json:
        _print_json(asdict(done))
    else:
        print(f"{done.runs_made} runs added, {done.runs_found} were there, {done.moved} addresses moved")


@model_app.command(epilog=f"Example: anelab model inspect mnist-onnx champion. {EVERYWHERE}")
def inspect(model: Model, version: Reference = "champion", as_json: AsJson = False) -> None:
    """Show a version: its gates, figures, files and where it comes from."""
    from anelab.tracking.commands import inspect_version

    found = inspect_version(_workspace(), model, version)
    if as_json:
        _print_json(found)
    else:
        print(_as_text(found))


@model_app.command(epilog=f"Example: anelab model promote mnist-onnx 3. {EVERYWHERE}")
def promote(
    model: Model,
    version: Reference,
    force: Annotated[bool, typer.Option("--force", help="Promote even if a gate failed.")] = False,
) -> None:
    """Make a version the champion."""
    from anelab.tracking.commands import promote_version

    print(promote_version(_workspace(), model, version, force))


@model_app.command(epilog=f"Example: anelab model rollback mnist-onnx. {EVERYWHERE}")
def rollback(model: Model) -> None:
    """Make the former champion champion again."""
    from anelab.tracking.commands import rollback_model

    print(rollback_model(_workspace(), model))


@model_app.command(epilog=f"Example: anelab model delete mnist-onnx 2. {EVERYWHERE}")
def delete(model: Model, version: Reference) -> None:
    """Delete a version that no alias points at."""
    from anelab.tracking.commands import delete_model_version

    print(delete_model_version(_workspace(), model, version))


@store_app.command(epilog=f"Example: mlflow ui --backend-store-uri $(anelab store uri). {EVERYWHERE}")
def uri() -> None:
    """Print the address of the MLflow store in use."""
    from anelab.tracking.store import store_uri

    print(store_uri(_workspace()))


@store_app.command(epilog=f"Example: anelab store gc --older-than 30d. {EVERYWHERE}")
def gc(
    older_than: Annotated[str, typer.Option(help="Only what was deleted so long ago, like 30d or 12h.")] = "30d",
) -> None:
    """Erase deleted runs for good, but never one that a champion or challenger comes from."""
    from anelab.tracking.commands import collect_garbage

    print(collect_garbage(_workspace(), older_than))


def _as_text(value: Any, indent: str = "") -> str:
    if not isinstance(value, dict):
        return f"{indent}{value}"
    lines = []
    for key, item in value.items():
        nested = isinstance(item, dict)
        lines.append(f"{indent}{key}:" if nested else f"{indent}{key}: {item}")
        if nested:
            lines.append(_as_text(item, indent + "  "))
    return "\n".join(lines)
