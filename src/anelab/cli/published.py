"""`anelab bench published`: what others measured."""

from pathlib import Path
from typing import Annotated

import typer

from anelab.cli.console import EVERYWHERE, AsJson, commands, print_json
from anelab.texts import echo, echo_lines

COMMANDS = commands("List what others measured, and add more of it.", "bench published")
FOLDER = "published"


@COMMANDS.command("list", epilog=f"Example: anelab bench published list --chip M4. {EVERYWHERE}")
def list_records(
    ctx: typer.Context,
    chip: Annotated[str | None, typer.Option(help="Chips whose name contains this.")] = None,
    model: Annotated[str | None, typer.Option(help="Models whose name contains this.")] = None,
    as_json: AsJson = False,
) -> None:
    """List figures that others published, with their sources. Nothing of it was measured here."""
    from anelab.bench.published.collection import published
    from anelab.views.tables import published_figures_text

    found = [
        one
        for one in published(ctx.obj.anywhere().reports(FOLDER))
        if (chip or "").lower() in one.chip.lower() and (model or "").lower() in one.model.lower()
    ]
    if as_json:
        print_json([one.as_json() for one in found])
    else:
        echo_lines(published_figures_text(found))


@COMMANDS.command(epilog=f"Example: anelab bench published add results.json. {EVERYWHERE}")
def add(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON: a record, or a list of records.")],
) -> None:
    """Add figures that others published, with their source, to this workspace.

    They are checked, kept in reports/published, and shown on the page Chips. `anelab bench published schema` prints
    what a record has."""
    from anelab.bench.published.collection import add_records

    path, count = add_records(file, ctx.obj.anywhere().reports(FOLDER))
    echo(f"{count} record{'s' if count > 1 else ''} in {path}")


@COMMANDS.command(epilog=f"Example: anelab bench published schema > published.schema.json. {EVERYWHERE}")
def schema() -> None:
    """Print the JSON Schema of a record."""
    from anelab.bench.published.records import Published

    print_json(Published.model_json_schema())
