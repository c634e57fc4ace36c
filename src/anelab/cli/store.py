"""The MLflow store: bring it up to date, find it, clean it."""

from pathlib import Path
from typing import Annotated

import typer

from anelab.cli.console import EVERYWHERE, AsJson, commands, print_json
from anelab.errors import UsageError
from anelab.texts import echo, echo_lines, notify

COMMANDS = commands()
STORE = commands("The MLflow store: its address, a copy that can be served, garbage collection.")
COMMANDS.add_typer(STORE, name="store")


@COMMANDS.command(epilog=f"Example: anelab sync. {EVERYWHERE}")
def sync(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Publish to the MLflow store what the files record.

    Also restores what the store lost. Safe to repeat."""
    from dataclasses import asdict

    from anelab.tracking.sync import sync as synchronise

    done = synchronise(ctx.obj.workspace(), ctx.obj.params().workloads)
    for warning in done.warnings:
        notify(f"anelab: warning: {warning}")
    if as_json:
        print_json(asdict(done))
    else:
        echo(f"{done.runs_made} runs added, {done.runs_found} were there, {done.moved} addresses moved")
    if done.failed:
        raise typer.Exit(1)


@STORE.command(epilog=f"Example: mlflow ui --backend-store-uri $(anelab store uri). {EVERYWHERE}")
def uri(ctx: typer.Context) -> None:
    """Print the address of the MLflow store in use."""
    from anelab.tracking.store import store_uri

    echo(store_uri(ctx.obj.workspace()))


@STORE.command(epilog=f"Example: anelab store copy /srv/anelab. {EVERYWHERE}")
def copy(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that does not exist yet.")],
) -> None:
    """Copy the embedded store into a folder that an MLflow server can serve.

    Nobody writes to the store meanwhile. The store itself stays as it is."""
    from anelab.tracking.reading import open_existing
    from anelab.tracking.relocate import copy_for_server
    from anelab.tracking.store import SQLITE

    store = open_existing(ctx.obj.workspace())
    if store is None:
        raise UsageError("there is no store yet; run `make repro`, or `anelab sync`, which makes it from the files")
    if not store.uri.startswith(SQLITE):
        raise UsageError("the store is on a server already, or in a database; MLFLOW_TRACKING_URI names it")
    with store.writing():
        count = copy_for_server(Path(store.uri.removeprefix(SQLITE)), folder)
    place = folder.absolute()
    echo_lines(
        f"{count} addresses were rewritten. To serve it to machines that call this one SERVER:\n"
        f"mlflow server --host 0.0.0.0 --port 5000 --allowed-hosts 'SERVER:*,localhost:*' "
        f"--backend-store-uri sqlite:///{place}/mlflow.db --artifacts-destination {place}/artifacts"
    )


@STORE.command(epilog=f"Example: anelab store gc --older-than 30d. {EVERYWHERE}")
def gc(
    ctx: typer.Context,
    older_than: Annotated[
        str, typer.Option(help="Only what was deleted at least this long ago, such as 30d or 12h.")
    ] = "30d",
) -> None:
    """Erase for good what was deleted in MLflow.

    That is runs, logged models and experiments. Kept are all runs that a champion, a challenger or a model to roll
    back to comes from, and the files of every registered version."""
    from anelab.tracking.garbage import collect_garbage

    echo_lines(collect_garbage(ctx.obj.workspace(), older_than))
