"""The command line as tests call it: in this process, or in one of its own."""

import io
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from anelab.cli import main
from tests.conftest import ROOT, TINY

SETTINGS = [word for override in TINY for word in ("-S", override)]
WIDE = ["-S", "mnist.registry.margin=1.0"]


class Done(NamedTuple):
    returncode: object
    stdout: str
    stderr: str


def anelab(home: Path, *arguments: str) -> Done:
    """The command line in this process, which imports torch and MLflow but once."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), chdir(ROOT), pytest.raises(SystemExit) as caught:
        main([*arguments, "--workspace", str(home)])
    return Done(caught.value.code, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Running:
    """The command line in a process of its own. `folder` has what it writes."""

    process: Any
    folder: tempfile.TemporaryDirectory[str]

    def wait(self) -> Done:
        self.process.join()
        with self.folder as scratch:
            out, err = (Path(scratch, name).read_text() for name in ("out", "err"))
        return Done(self.process.exitcode, out, err)

    def kill(self) -> None:
        self.process.kill()
        self.wait()


def start_anelab(home: Path, *arguments: str, **environment: str) -> Running:
    """The command line in a process of its own, which knows of no store that this one has open. It is forked from
    one that has imported what takes seconds to import, and has done nothing else."""
    scratch = tempfile.TemporaryDirectory()
    words = [*arguments, "--workspace", str(home)]
    return Running(start_forked(_run, words, {**os.environ, **environment}, scratch.name), scratch)


def anelab_alone(home: Path, *arguments: str, **environment: str) -> Done:
    """The same, when it has ended."""
    return start_anelab(home, *arguments, **environment).wait()


def start_forked(function: Callable[..., object], *arguments: object) -> Any:
    """A process that calls the function, forked in the same way."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.imported"])
    process = context.Process(target=function, args=arguments)
    process.start()
    return process


def _run(words: list[str], environment: Mapping[str, str], scratch: str) -> None:
    for stream, name in ((1, "out"), (2, "err")):
        with Path(scratch, name).open("wb") as file:
            os.dup2(file.fileno(), stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.argv = ["anelab", *words]
    main(words)
