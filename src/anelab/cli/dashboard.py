"""The dashboard, and the same figures in one file."""

from pathlib import Path
from typing import Annotated

import typer

from anelab.cli.console import EVERYWHERE, commands
from anelab.errors import UsageError

COMMANDS = commands()


@COMMANDS.command(epilog=f"Example: anelab dashboard --port 8600. {EVERYWHERE}")
def dashboard(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(help="Where it listens, on this machine only.", min=1, max=65535)] = 8501,
) -> None:
    """Serve the dashboard on the loopback interface."""
    from anelab.dashboard import serve

    serve(ctx.obj.anywhere(), port)


@COMMANDS.command(epilog=f"Example: anelab report --workload mnist -o mnist.html. {EVERYWHERE}")
def report(
    ctx: typer.Context,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="An .html file, or .md for a pull request; replaced if it is there.")
    ],
    workload: Annotated[list[str] | None, typer.Option(help="One workload; may be given again. Default: all.")] = None,
) -> None:
    """Write what the dashboard shows into one file that stands alone."""
    from anelab import workloads
    from anelab.views.summary_report import write_report

    if out.suffix not in (".html", ".md"):
        raise UsageError(f"--out must end in .html or .md but got {out}")
    write_report(ctx.obj.workspace(), [workloads.check(name) for name in workload or []], out)
    print(out)
