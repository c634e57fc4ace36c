"""The command line: one module a group of commands."""

import sys
from typing import NoReturn


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and exit: 0 if it worked, 1 if it failed, 2 if it was used wrongly."""
    try:
        from anelab.cli.app import main as run

        run(arguments)
    except KeyboardInterrupt:  # also while the rest is imported
        sys.exit(130)
