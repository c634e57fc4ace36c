"""What all commands share: common options, and how they print."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anelab.errors import UsageError
from anelab.texts import echo_lines, printable

if TYPE_CHECKING:
    from anelab.config import Params
    from anelab.stages.job import Job
    from anelab.workspace import Workspace

EVERYWHERE = """

Options of every command, before or after its name: -S key=value replaces a value of params.yaml for this
run (the value is YAML; repeat -S for more keys), -S @FILE.yaml all that a file has. --workspace DIR names
the folder of data/, models/, reports/ and mlruns/ (default: the folder of params.yaml). -v also prints the
messages of the libraries.
"""

MOST_TIMEOUT_S = 10**7
MOST_VALUE = 2000
"""Characters of a value in a list of them."""
OPTIONS: dict[str, Any] = {"rich_markup_mode": None, "no_args_is_help": True, "add_completion": False}


def commands(help: str | None = None, name: str | None = None) -> typer.Typer:
    """Commands of a module: a group if they have a name, else at the top."""
    return typer.Typer(help=help, name=name, epilog=EVERYWHERE, **OPTIONS)


Workload = Annotated[
    str, typer.Argument(metavar="WORKLOAD", help="A workload, such as mnist: a section of params.yaml.")
]
MODEL_HELP = "A registered model and its version: mnist-onnx@champion or mnist-onnx/3. Default version: the champion."
Model = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)]
NamedModel = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="A registered model and its version: mnist-onnx/3 or mnist-onnx@challenger."),
]
Version = Annotated[
    str | None, typer.Argument(metavar="VERSION", help="A version number or an alias. Not needed if MODEL names one.")
]


def _seconds(value: float) -> float:
    if not 0.1 <= value <= MOST_TIMEOUT_S:  # NaN is neither
        raise UsageError(f"--timeout must be from 0.1 to {MOST_TIMEOUT_S:,} seconds but got {value:g}")
    return value


Timeout = Annotated[
    float,
    typer.Option(metavar="SECONDS", callback=_seconds, help="The longest that the model may take for one call."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@dataclass(frozen=True)
class Common:
    """What -S and --workspace said, wherever they stood on the command line."""

    overrides: tuple[str, ...] = ()
    folder: str | None = None
    verbose: bool = False

    def workspace(self) -> "Workspace":
        """The clone's; none is needed where MLFLOW_TRACKING_URI or --workspace names a store."""
        from anelab.workspace import STORE, Workspace

        has_store = self._folder is not None and (self._folder / STORE).is_dir()
        located = Workspace.anywhere if has_store or os.environ.get("MLFLOW_TRACKING_URI") else Workspace.locate
        return located(self._folder)

    def anywhere(self) -> "Workspace":
        """The clone's; without one, the folder that is named, or the working directory."""
        from anelab.workspace import Workspace

        return Workspace.anywhere(self._folder)

    @property
    def _folder(self) -> Path | None:
        return Path(self.folder) if self.folder else None

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


def take_common(arguments: list[str]) -> tuple[Common, list[str]]:
    """-S and --workspace, and the arguments without them."""
    rest: list[str] = []
    overrides: list[str] = []
    folder, verbose, waiting = None, False, list(arguments)
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            rest += [word, *waiting]
            break
        if word in ("-v", "--verbose"):
            verbose = True
            continue
        if word in ("-S", "--workspace"):
            if not waiting:
                raise UsageError(f"{word} needs a value; see `anelab --help`")
            word = f"{word}{'=' if word.startswith('--') else ''}{waiting.pop(0)}"
        if word.startswith("-S"):
            overrides.append(word[2:])
        elif word.startswith("--workspace="):
            folder = word.partition("=")[2]
            if not folder:
                raise UsageError("--workspace needs the name of a folder, but got an empty one")
        else:
            rest.append(word)
    return Common(tuple(overrides), folder, verbose), rest


def print_json(value: Any) -> None:
    from anelab.files import json_text

    echo_lines(json_text(_finite(value), indent=2, ascii_only=True))


def _finite(value: Any) -> Any:
    """JSON has no infinity and no NaN: they become text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def as_text(value: Any, indent: str = "") -> str:
    if not isinstance(value, dict):
        return f"{indent}{printable(value, MOST_VALUE)}"
    lines = []
    for key, item in value.items():
        nested = isinstance(item, dict)
        name = f"{indent}{printable(key)}:"
        lines.append(name if nested else f"{name} {printable(item, MOST_VALUE)}")
        if nested:
            lines.append(as_text(item, indent + "  "))
    return "\n".join(lines)
