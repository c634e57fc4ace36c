"""The dashboard, and the same figures in one file."""

from pathlib import Path
from typing import Annotated

import typer

from anelab.cli.console import EVERYWHERE, commands
from anelab.errors import UsageError
from anelab.texts import echo

COMMANDS = commands()

ALLOW_HOST_HELP = (
    "A name, besides localhost, that browsers may know the dashboard by: of a proxy that publishes it. Repeat it for "
    "more. See docs/publishing.md first: whoever reaches that name reads everything."
)


@COMMANDS.command(epilog=f"Example: anelab dashboard --port 8600. {EVERYWHERE}")
def dashboard(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(help="The port. Only this machine can reach it.", min=1, max=65535)] = 8501,
    allow_host: Annotated[list[str] | None, typer.Option(metavar="NAME", help=ALLOW_HOST_HELP)] = None,
) -> None:
    """Serve the dashboard to this machine."""
    from anelab.dashboard import serve

    serve(ctx.obj.anywhere(), port, allow_host or ())


@COMMANDS.command(epilog=f"Example: anelab report --workload mnist -o mnist.html. {EVERYWHERE}")
def report(
    ctx: typer.Context,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="An .html file, or an .md file for a pull request. An existing file is replaced."
        ),
    ],
    workload: Annotated[list[str] | None, typer.Option(help="A workload. Repeat it for more. Default: all.")] = None,
) -> None:
    """Write the dashboard's content into one file."""
    from anelab import workloads
    from anelab.views.summary_report import write_report

    if out.suffix not in (".html", ".md"):
        raise UsageError(f"--out must end in .html or .md but got {out}")
    write_report(ctx.obj.workspace(), [workloads.check(name) for name in workload or []], out)
    echo(out)
