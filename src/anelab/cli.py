"""The command line: thin, and nothing heavy is imported before a command needs it."""

import json
import sys
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Common:
    """What -S and --workspace said, wherever they stood on the command line."""

    overrides: tuple[str, ...] = ()
    folder: str | None = None

    def workspace(self) -> "Workspace":
        from anelab.workspace import Workspace

        return Workspace.locate(Path(self.folder) if self.folder else None)

    def params(self) -> "Params":
        from anelab.config import load_params
        from anelab.workspace import MARKER

        return load_params(self.workspace().project / MARKER, self.overrides)

    def job(self, workload: str) -> "Job":
        from anelab import workloads
        from anelab.stages.job import Job

        workloads.check(workload)
        params = self.params()
        if not hasattr(params, workload):
            raise UsageError(f"params.yaml has no section {workload}; add one")
        return Job(self.workspace(), params, workload)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command; exit 0 if it worked, 1 if it failed, 2 if it was used wrongly."""
    try:
        common, rest = _take_common(sys.argv[1:] if arguments is None else arguments)
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


def _take_common(arguments: list[str]) -> tuple[Common, list[str]]:
    """-S and --workspace, and the arguments without them."""
    rest: list[str] = []
    overrides: list[str] = []
    folder, waiting = None, list(arguments)
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            rest += [word, *waiting]
            break
        if word in ("-S", "--workspace"):
            if not waiting:
                raise UsageError(f"{word} needs a value; see `anelab --help`")
            word = f"{word}{'=' if word.startswith('--') else ''}{waiting.pop(0)}"
        if word.startswith("-S"):
            overrides.append(word[2:])
        elif word.startswith("--workspace="):
            folder = word.partition("=")[2]
        else:
            rest.append(word)
    return Common(tuple(overrides), folder), rest


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, sort_keys=True))


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
    """Write the manifest of a workload's data files, and what this host is."""
    from anelab.inputs import write_host, write_manifest

    job = ctx.obj.job(workload)
    write_manifest(workload, job.config.data.source, job.workspace)
    write_host(job.workspace)


@app.command(epilog=f"Example: anelab simulate mnist. {EVERYWHERE}")
def simulate(ctx: typer.Context, workload: Workload) -> None:
    """Make the default raw data, or fetch those that are named by address."""
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
    """Export to ONNX and prove that the files compute the same."""
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


@app.command(epilog=f"Example: anelab run mnist -S mnist.data.source=[../mnist] --workspace out. {EVERYWHERE}")
def run(ctx: typer.Context, workload: Workload) -> None:
    """Run all stages of a workload in order, without DVC."""
    ctx.obj.job(workload)
    for step in (inputs, simulate):
        _say(f"{workload}: {step.__name__}")
        step(ctx, workload)
    for stage in ("prepare", "search", "train", "export", "register"):
        _say(f"{workload}: {stage}")
        _execute(ctx.obj, stage, workload)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


@app.command(epilog=f"Example: anelab sync. {EVERYWHERE}")
def sync(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Bring the MLflow store to what the files record. Running it twice changes nothing more."""
    from dataclasses import asdict

    from anelab.tracking.sync import sync as synchronise

    done = synchronise(ctx.obj.workspace(), ctx.obj.params().workloads)
    for warning in done.warnings:
        _say(f"anelab: warning: {warning}")
    if as_json:
        _print_json(asdict(done))
    else:
        print(f"{done.runs_made} runs added, {done.runs_found} were there, {done.moved} addresses moved")


@model_app.command("list", epilog=f"Example: anelab model list mnist-onnx. {EVERYWHERE}")
def list_(ctx: typer.Context, model: Model, as_json: AsJson = False) -> None:
    """List a model's versions, newest first."""
    from anelab.tracking.commands import list_versions

    versions = list_versions(ctx.obj.workspace(), model)
    if as_json:
        _print_json(versions)
        return
    for row in versions:
        print(f"{row['version']:>4}  {row['variant']:5}  {row['metric']:32}  {row['verdict']:20}  {row['aliases']}")


@model_app.command(epilog=f"Example: anelab model inspect mnist-onnx champion. {EVERYWHERE}")
def inspect(ctx: typer.Context, model: Model, version: Reference = "champion", as_json: AsJson = False) -> None:
    """Show a version: its gates, figures, files and where it comes from."""
    from anelab.tracking.commands import inspect_version

    found = inspect_version(ctx.obj.workspace(), model, version)
    if as_json:
        _print_json(found)
    else:
        print(_as_text(found))


@model_app.command(epilog=f"Example: anelab model promote mnist-onnx 3. {EVERYWHERE}")
def promote(
    ctx: typer.Context,
    model: Model,
    version: Reference,
    force: Annotated[bool, typer.Option("--force", help="Promote even if a gate failed.")] = False,
) -> None:
    """Make a version the champion."""
    from anelab.tracking.commands import promote_version

    print(promote_version(ctx.obj.workspace(), model, version, force))


@model_app.command(epilog=f"Example: anelab model rollback mnist-onnx. {EVERYWHERE}")
def rollback(ctx: typer.Context, model: Model) -> None:
    """Make the former champion champion again."""
    from anelab.tracking.commands import rollback_model

    print(rollback_model(ctx.obj.workspace(), model))


@model_app.command(epilog=f"Example: anelab model delete mnist-onnx 2. {EVERYWHERE}")
def delete(ctx: typer.Context, model: Model, version: Reference) -> None:
    """Delete a version that no alias points at."""
    from anelab.tracking.commands import delete_model_version

    print(delete_model_version(ctx.obj.workspace(), model, version))


@store_app.command(epilog=f"Example: mlflow ui --backend-store-uri $(anelab store uri). {EVERYWHERE}")
def uri(ctx: typer.Context) -> None:
    """Print the address of the MLflow store in use."""
    from anelab.tracking.store import store_uri

    print(store_uri(ctx.obj.workspace()))


@store_app.command(epilog=f"Example: anelab store gc --older-than 30d. {EVERYWHERE}")
def gc(
    ctx: typer.Context,
    older_than: Annotated[str, typer.Option(help="Only what was deleted so long ago, like 30d or 12h.")] = "30d",
) -> None:
    """Erase for good the runs deleted in MLflow (its pages, `mlflow runs delete`, or ours that broke off), but
    never one that a champion or challenger comes from."""
    from anelab.tracking.commands import collect_garbage

    print(collect_garbage(ctx.obj.workspace(), older_than))


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
