"""Runs inputs of a target one after the other, in a process that has nothing else to do, and writes down what each
did."""

import io
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from random import Random

from anelab.cli import main
from anelab.errors import AnelabError
from anelab.texts import UNPRINTABLE

MOST_S = 30
ENOUGH = 5
"""Failures after which a worker ends."""
Command = list[str] | Callable[[], object]


@dataclass
class Outcome:
    """`peak_mb`: memory above what the process had before; `problem` is empty if all was well."""

    number: int
    seconds: float
    peak_mb: float
    exit: object
    size: int
    problem: str
    text: str
    """The first that it wrote."""


def work(target: str, sample: Path, base: Path, seed: int, numbers: range, results: Path) -> None:
    """`target` names a class of `tests.fuzz.targets`, `sample` a workspace that it may copy from; inputs are made in
    `base`/inside. Lines of JSON go into `results`."""
    inside, outside = base / "inside", base / "outside"
    for folder in (inside, outside):
        folder.mkdir(parents=True)
    (outside / "secret").write_text("secret")
    with (base / "log").open("wb") as log:  # what libraries write past Python
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ["TMPDIR"] = str(inside)
    made = getattr(import_module("tests.fuzz.targets"), target)(sample, inside)
    before, failures = _listing(base), 0
    with results.open("w") as lines, chdir(inside):
        for number in numbers:
            lines.write(json.dumps({"number": number}) + "\n")
            lines.flush()
            found = attempt(made.input(Random(f"{seed} {target} {number}")), number)
            if not found.problem and (after := _listing(base)) != before:
                found.problem = f"outside the workspace: {sorted(set(after) ^ set(before))}"
            found.size = made.size()
            lines.write(json.dumps(asdict(found)) + "\n")
            failures += bool(found.problem)
            if failures >= ENOUGH:
                break


def _listing(base: Path) -> list[str]:
    """What lies beside the workspace."""
    kept = [*base.iterdir(), *(base / "outside").iterdir()]
    return sorted(f"{path} {path.stat().st_size if path.parent != base else ''}" for path in kept)


def attempt(command: Command, number: int) -> Outcome:
    """A command line, or a function that may raise AnelabError or OSError."""
    out, code, problem, started = io.StringIO(), None, "", time.perf_counter()
    start_mb = _memory("VmRSS")
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # from here on VmHWM counts anew
    try:
        with redirect_stdout(out), redirect_stderr(out), _limited():
            main(command) if isinstance(command, list) else command()
        code = 0
    except SystemExit as error:
        code = error.code
    except (AnelabError, OSError) as error:
        code = 1
        out.write(str(error))
        if isinstance(command, list):
            problem = traceback.format_exc()
    except BaseException:
        problem = traceback.format_exc()
    text = out.getvalue()
    if not problem and code not in (0, 1, 2):
        problem = f"exit {code}: {text[-500:]}"
    if not problem and ("Traceback (most recent" in text or ((odd := UNPRINTABLE.search(text)) and odd[0] != "\r")):
        problem = f"it wrote: {text[-1500:]!r}"
    return Outcome(
        number, time.perf_counter() - started, _memory("VmHWM") - start_mb, code, 0, problem[-3000:], text[:300]
    )


@contextmanager
def _limited() -> Iterator[None]:
    def late(number: int, frame: object) -> None:
        raise TimeoutError(f"not done after {MOST_S} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(MOST_S)
    try:
        yield
    finally:
        signal.alarm(0)


def _memory(kind: str) -> float:
    """Of this process, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(kind):
            return int(line.split()[1]) / 1000
    raise AssertionError(f"no {kind}, on {sys.platform}")
