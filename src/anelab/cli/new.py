"""`anelab new`: begin a workload."""

from pathlib import Path
from typing import Annotated

import typer

from anelab.cli.console import EVERYWHERE, commands
from anelab.errors import UsageError
from anelab.texts import echo

COMMANDS = commands()


@COMMANDS.command(epilog=f"Example: anelab new flowers. {EVERYWHERE}")
def new(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits and _, such as flowers.")],
) -> None:
    """Create a workload that runs at once.

    Written are its folder, its section of params.yaml and its test. The new workload runs on a CSV file that it
    simulates. Then change the code to fit your data."""
    import anelab
    from anelab.scaffold import new_workload
    from anelab.workspace import find_project

    project = ctx.obj.workspace().project if ctx.obj.folder is None else find_project(Path(ctx.obj.folder))
    if project / "src" / "anelab" != Path(anelab.__file__).parent:
        raise UsageError(f"{project} is not the clone that anelab runs from; run `make setup` there, and its anelab")
    for path in new_workload(project, name):
        echo(path.relative_to(project))
    echo(f"next: anelab run {name}; python -m pytest tests/workloads/test_{name}.py; then edit workload.py")
