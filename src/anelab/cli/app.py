"""The command line as a whole. Every module of this package that has `COMMANDS` is a part of it; nothing heavy is
imported before a command needs it."""

import logging
import pkgutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from anelab.cli.console import EVERYWHERE, OPTIONS, take_common
from anelab.errors import AnelabError
from anelab.interruption import exit_if_stuck
from anelab.texts import echo, notify, printable

app = typer.Typer(
    help="Train small models, export them to ONNX and Core ML, and measure which runtime is fastest.",
    epilog=EVERYWHERE,
    pretty_exceptions_enable=False,
    **OPTIONS,
)


def register_commands() -> None:
    """Add the commands of every module of this package that has them. A named Typer becomes a group."""
    for found in pkgutil.iter_modules([str(Path(__file__).parent)]):
        commands = getattr(import_module(f"anelab.cli.{found.name}"), "COMMANDS", None)
        if commands is not None:
            app.add_typer(commands)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command; exit 0 if it worked, 1 if it failed, 2 if it was used wrongly."""
    exit_if_stuck()
    try:
        common, rest = take_common(sys.argv[1:] if arguments is None else arguments)
        if common.verbose:
            logging.basicConfig(level=logging.INFO)
            logging.getLogger("anelab").setLevel(logging.DEBUG)
        app(rest, prog_name="anelab", obj=common)
    except AnelabError as error:
        notify(f"anelab: {error}")
        sys.exit(error.exit_code)
    except OSError as error:  # a file or folder that the system refuses: full, read-only, no folder
        notify(f"anelab: {printable(error.filename or 'a file')}: {error.strerror or error}")
        sys.exit(1)
    except KeyboardInterrupt:
        notify("anelab: interrupted")
        sys.exit(130)
    sys.exit(0)


def _print_version(wanted: bool) -> None:
    if wanted:
        from anelab import __version__

        echo(f"anelab {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


register_commands()
