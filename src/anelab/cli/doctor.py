"""`anelab doctor`: what is installed, and what is missing."""

import typer

from anelab.cli.console import EVERYWHERE, AsJson, commands, print_json
from anelab.texts import echo

COMMANDS = commands()


@COMMANDS.command(epilog=f"Example: anelab doctor. {EVERYWHERE}")
def doctor(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Check the installation.

    Versions, native libraries, devices, store, DVC and disk. Exit 1 if a check is an error."""
    from anelab.doctor import examine

    found = []
    for finding in examine(ctx.obj.anywhere()):
        found.append(finding)
        if not as_json:
            fix = f"\n{'':8} {finding.fix}" if finding.fix else ""
            echo(f"{finding.level:8} {finding.name}: {finding.text}{fix}")
    if as_json:
        print_json([finding.as_json() for finding in found])
    if any(finding.level == "error" for finding in found):
        raise typer.Exit(1)
