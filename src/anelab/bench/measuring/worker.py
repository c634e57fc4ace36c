"""What runs in a worker process: one arm, opened once, told what to time, gone after one block."""

import ctypes
import faulthandler
import gc
import itertools
import os
import platform
import re
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from anelab.bench.arms.contract import Arm, Call, Opened, Subject, UnavailableError
from anelab.bench.measuring import timing
from anelab.errors import AnelabError
from anelab.export.examples import EXAMPLES, read_examples
from anelab.learning.base import Array, Arrays, Split

DISTINCT = 64
"""Calls of different rows that are timed in turn; at least 8, or a cache would be measured."""
LEAST_DISTINCT = 8
PR_SET_PDEATHSIG = 1
"""Of prctl(2)."""


def serve(connection: Connection, arm: Arm, subject: Subject, log: Path) -> None:
    """Answer commands until the parent hangs up. Whatever libraries print goes to `log`."""
    with log.open("ab") as handle:
        for stream in (1, 2):
            os.dup2(handle.fileno(), stream)
    faulthandler.enable(2)
    _end_with_parent()
    status, worker = _answer(_started, {"arm": arm, "subject": subject})
    connection.send((status, None if status == "ok" else worker))
    while True:
        try:
            command, arguments = connection.recv()
        except EOFError:
            os._exit(0)  # at once: what libraries would tidy up goes with the process
        connection.send(_answer(getattr(worker, command), arguments))


def _started(arm: Arm, subject: Subject) -> "Worker":
    worker = Worker(arm, subject)
    arm.load_libraries(subject)
    return worker


def _end_with_parent() -> None:
    """Even in the middle of a call: a worker that outlived a killed benchmark would time into the next one."""
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _answer(command: Callable[..., Any], arguments: Mapping[str, Any]) -> tuple[str, Any]:
    try:
        return "ok", command(**arguments)
    except UnavailableError as error:
        return "unavailable", str(error)
    except AnelabError as error:
        return "error", str(error)
    except MemoryError as error:
        return "memory", str(error) or "MemoryError"
    except Exception as error:  # an arm's runtime may raise anything; the parent records it
        return "error", f"{type(error).__name__}: {error}"


class Worker:
    def __init__(self, arm: Arm, subject: Subject) -> None:
        self.arm, self.subject = arm, subject
        self.whole = subject.whole_calls
        self.rows = read_examples(subject.folder / EXAMPLES).split
        self.prepared: dict[int, list[Call]] = {}
        self.turns: dict[int, Iterator[Call]] = {}
        self.kept: list[Call] = []
        self.opened: Opened

    def open(self, observe: bool, core: int | None) -> dict[str, Any]:
        """Load the model and predict once, on that core alone if one is named. Memory in bytes, before loading."""
        if core is not None:
            os.sched_setaffinity(0, {core})
        before = memory_bytes()
        self.opened = self.arm.open(self.subject, observe)
        call = self.calls(1)[0]
        gc.collect()
        gc.freeze()
        started = time.perf_counter_ns()
        call()
        return {
            "compile_ns": self.opened.compile_ns,
            "load_ns": self.opened.load_ns,
            "first_predict_ns": time.perf_counter_ns() - started,
            "memory_before_bytes": before,
        }

    def placement(self, batch: int) -> Any:
        return self.opened.placement(batch)

    def outputs(self, batch: int) -> dict[str, Array]:
        """What the arm makes of all example rows, `batch` rows a call; a last batch is filled up from the front."""
        total = len(self.rows)
        parts: list[Arrays] = []
        for start in range(0, total, batch):
            call = self.opened.prepare(self.rows.take(np.arange(start, start + batch) % total))
            self.kept.append(call)  # Core ML lets go of inputs after the call, and crashes if nobody else has them
            found = self.opened.read(call())
            parts.append({name: np.asarray(each)[None] for name, each in found.items()} if self.whole else found)
        return {name: np.concatenate([part[name] for part in parts])[:total] for name in parts[0]}

    def calls(self, batch: int) -> list[Call]:
        """Prepared calls of different rows. Kept, because what is prepared must outlive its calls."""
        if batch not in self.prepared:
            self.prepared[batch] = [self.opened.prepare(rows) for rows in distinct(self.rows, batch)]
        return self.prepared[batch]

    def turn(self, batch: int) -> Iterator[Call]:
        """The calls in turn, going on where the last slice ended: short slices too see all rows in the end."""
        if batch not in self.turns:
            self.turns[batch] = itertools.cycle(self.calls(batch))
        return self.turns[batch]

    def unsupported(self, batch: int) -> str | None:
        """Why the arm cannot take so many rows at once; None if it can."""
        try:
            self.calls(batch)
        except UnavailableError as error:
            return str(error)
        return None

    def warm_up(self, batch: int, budget_ns: int) -> tuple[Any, bool]:
        return timing.warm_up(self.turn(batch), budget_ns)

    def slice(self, batch: int, min_ns: int, min_count: int, reentry: int) -> tuple[int, Any, Any]:
        """When it began, `reentry` calls that fetch back what the others drove out of the caches, and the samples."""
        calls, began = self.turn(batch), time.time_ns()
        first = timing.time_calls(calls, 0, reentry)
        return began, first, timing.time_calls(calls, min_ns, min_count)

    def offline(self, batch: int, rows: int, passes: int) -> Any:
        """Time of each of `passes` over `rows` rows, `batch` rows a call."""
        calls = self.calls(batch)
        chosen = [calls[index % len(calls)] for index in range(-(-rows // batch))]

        def whole() -> None:
            for call in chosen:
                call()

        return timing.time_calls(itertools.repeat(whole), 0, passes)

    def server(self, rate_hz: float, count: int, seed: int) -> tuple[Any, bool]:
        return timing.serve_arrivals(self.turn(1), rate_hz, count, np.random.default_rng(seed))

    def idle(self, gap_ns: int, count: int) -> Any:
        return timing.time_after_gaps(self.turn(1), gap_ns, count)

    def repeat(self, batch: int, min_ns: int, min_count: int) -> int:
        """How many calls a window had that a meter is read around."""
        return len(timing.time_calls(self.turn(batch), min_ns, min_count))

    def memory(self) -> int:
        return memory_bytes()


def distinct(rows: Split, batch: int) -> list[Split]:
    """Batches that differ from each other, of rows in an order of their own."""
    total = len(rows)
    count = max(LEAST_DISTINCT, min(DISTINCT, total // batch))
    order = np.random.default_rng(0).permutation(total)
    return [
        rows.take(order[(np.arange(batch) + index * max(1, min(batch, total // count))) % total])
        for index in range(count)
    ]


def memory_bytes() -> int:
    """The most memory this process has had. Linux' ru_maxrss is inherited from the parent, so it is not used."""
    if platform.system() == "Linux":
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(found[1]) * 1024 if found else 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
