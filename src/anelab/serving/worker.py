"""One of several processes of `anelab serve --workers`; the parent starts it as `python -m anelab.serving.worker`."""

import os
import socket
import sys
from pathlib import Path
from typing import cast

from anelab.errors import AnelabError
from anelab.serving.server import Job, serve_on
from anelab.serving.workers import READY, Shared, end_with_parent, read_job
from anelab.texts import notify


def main(descriptor: str, folder: str, number: str) -> int:
    """`descriptor` of the listening socket. `folder`: of all workers' counts."""
    job = cast(Job, read_job(sys.stdin.buffer))
    end_with_parent(sys.stdin.fileno())

    parent = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is nothing for the parent

    def ready() -> None:
        os.write(parent, READY)

    try:
        with socket.socket(fileno=int(descriptor)) as listening:
            serve_on(listening, job, Shared(Path(folder), int(number)), ready)
    except AnelabError as error:
        notify(f"anelab: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
