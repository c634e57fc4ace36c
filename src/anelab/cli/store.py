"""The MLflow store: bring it up to date, find it, clean it."""

from typing import Annotated

import typer

from anelab.cli.console import EVERYWHERE, AsJson, commands, notify, print_json

COMMANDS = commands()
STORE = commands("The MLflow store: its address, and garbage collection.")
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
        print(f"{done.runs_made} runs added, {done.runs_found} were there, {done.moved} addresses moved")
    if done.failed:
        raise typer.Exit(1)


@STORE.command(epilog=f"Example: mlflow ui --backend-store-uri $(anelab store uri). {EVERYWHERE}")
def uri(ctx: typer.Context) -> None:
    """Print the address of the MLflow store in use."""
    from anelab.tracking.store import store_uri

    print(store_uri(ctx.obj.workspace()))


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

    print(collect_garbage(ctx.obj.workspace(), older_than))
