"""Several files at once: a process for each, some at a time; outputs are in the order of the files."""

import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from anelab.errors import AnelabError, UsageError
from anelab.files import replacing
from anelab.inference.reads.memory import keep_memory
from anelab.inference.reads.outputs import MATE, STANDARD_OUTPUT, files_of, is_special
from anelab.inference.reads.run import (
    Outputs,
    Reading,
    Summary,
    Unit,
    check_names,
    header,
    score_units,
    units_of,
    writing,
)
from anelab.inference.reads.scorer import ScorerPlan
from anelab.sequences.streams import STANDARD_INPUT, Source, title

COPIED_AT_ONCE = 1 << 22
METHOD = "fork" if sys.platform == "linux" else "spawn"
"""A fork is ready at once; on macOS, Apple's libraries do not survive one."""
INHERITED = ("/dev/fd/", "/proc/self/fd/")


def score_in_jobs(
    sources: Sequence[Source],
    plan: ScorerPlan,
    outputs: Outputs,
    reading: Reading,
    jobs: int,
    on_progress: Callable[[int, int], None] | None = None,
    on_scored: Callable[[Summary], None] | None = None,
) -> Summary:
    """As `run.score_reads`, with up to `jobs` processes. `on_progress` is told how many of how many are done. Raises
    UsageError for what cannot be shared out."""
    check_names(sources, outputs, reading.layout)
    if any(str(source) == STANDARD_INPUT for source in sources):
        raise UsageError("--jobs shares out files, but - is standard input; name files, or leave --jobs away")
    if METHOD != "fork" and any(str(source).startswith(INHERITED) for source in sources):
        raise UsageError("--jobs starts new processes, which do not have the open files of this one; name files")
    if reading.max_records is not None:
        raise UsageError("--max-records counts through all files, so it excludes --jobs")
    units, started = units_of(sources, reading.layout), time.perf_counter()
    jobs = min(jobs, len(units))
    with ExitStack() as names:
        places = [_Place.of(path, mates, names) for path, mates in _outputs(outputs, reading)]
        found = _run(units, plan, reading, places, jobs, on_progress)
        summary = Summary(plan.name, whole=plan.whole)
        for one in found:
            summary.add(one)
        for place in places:
            place.join(len(units), names)
        summary.seconds = time.perf_counter() - started
        if on_scored is not None:
            on_scored(summary)
    return summary


def _outputs(outputs: Outputs, reading: Reading) -> list[tuple[Path | None, bool]]:
    """Table, passing and failing reads, and whether `{}` in their names is a mate's number."""
    mates = reading.layout != "single"
    return [(outputs.table, False), (outputs.passing, mates), (outputs.failing, mates)]


@dataclass(frozen=True)
class _Place:
    """An output: a file, or one of each mate, and the folder in which the units' parts wait. `path` is None if the
    output is not asked for, `folder` if it is /dev/null."""

    path: Path | None
    mates: bool
    folder: Path | None

    @classmethod
    def of(cls, path: Path | None, mates: bool, names: ExitStack) -> "_Place":
        if path is None or str(path) == os.devnull:
            return cls(path, mates, None)
        beside = None if is_special(path) else files_of(path, mates)[0].resolve().parent
        scratch = names.enter_context(tempfile.TemporaryDirectory(prefix=".anelab-score-", dir=beside))
        return cls(path, mates, Path(scratch))

    def part(self, number: int) -> Path | None:
        """Where a unit's part goes."""
        if self.path is None or self.folder is None:
            return self.path
        suffix = "" if str(self.path) == STANDARD_OUTPUT else self.path.suffix
        return self.folder / f"{number}{'_{}' if MATE in str(self.path) else ''}{suffix}"

    def join(self, count: int, names: ExitStack) -> None:
        """All parts in one file, which takes its name when `names` is left."""
        if self.path is None or self.folder is None:
            return
        parts = [files_of(part, self.mates) for number in range(count) if (part := self.part(number)) is not None]
        for target, *own in zip(files_of(self.path, self.mates), *parts, strict=True):
            _joined(target, own, names)


def _joined(target: Path, parts: Sequence[Path], names: ExitStack) -> None:
    """gzip files one behind the other are one, too."""
    if str(target) == STANDARD_OUTPUT:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, sys.stdout.buffer, COPIED_AT_ONCE)
        sys.stdout.buffer.flush()
        return
    first, others = (None, parts) if is_special(target) else (parts[0], parts[1:])
    draft = target if first is None else names.enter_context(replacing(target.resolve()))
    if first is not None:
        shutil.move(first, draft)  # a second mate's file may lie on another disk
    with draft.open("wb" if first is None else "ab") as joined:
        for part in others:
            with part.open("rb") as source:
                shutil.copyfileobj(source, joined, COPIED_AT_ONCE)
            part.unlink()


def _run(
    units: Sequence[Unit],
    plan: ScorerPlan,
    reading: Reading,
    places: Sequence[_Place],
    jobs: int,
    on_progress: Callable[[int, int], None] | None,
) -> list[Summary]:
    """Every unit's summary, in their order. What fails ends the others."""
    team, found = _Team(plan, reading, places, jobs), dict[int, Summary]()
    waiting = list(enumerate(units))
    try:
        while len(found) < len(units):
            while waiting and team.has_room():
                team.start(*waiting.pop(0))
            for number, summary in team.ended():
                found[number] = summary
                if on_progress is not None:
                    on_progress(len(found), len(units))
    finally:
        team.stop()
    return [found[number] for number in range(len(units))]


class _Member(NamedTuple):
    process: BaseProcess
    number: int
    unit: Unit
    slot: int


class _Team:
    """Processes that score a unit each."""

    def __init__(self, plan: ScorerPlan, reading: Reading, places: Sequence[_Place], jobs: int) -> None:
        self._plan, self._reading, self._places = plan, reading, places
        self._cores, self._free = _cores(jobs), list(range(jobs))
        self._running: dict[Any, _Member] = {}

    def has_room(self) -> bool:
        return bool(self._free)

    def start(self, number: int, unit: Unit) -> None:
        context: Any = multiprocessing.get_context(METHOD)
        ours, theirs = context.Pipe(duplex=False)
        slot = self._free.pop(0)
        table, passing, failing = (place.part(number) for place in self._places)
        parts = Outputs(table or Path(os.devnull), passing, failing)
        core = self._cores[slot] if self._cores else None
        words = (unit, self._plan, self._reading, parts, number == 0, core, theirs)
        process = context.Process(target=_work, args=words, daemon=True)
        process.start()
        theirs.close()
        self._running[ours] = _Member(process, number, unit, slot)

    def ended(self) -> Iterator[tuple[int, Summary]]:
        """Units that are done, after one is. Raises what a process could not do."""
        for connection in wait(list(self._running)):
            member = self._running.pop(connection)
            yield member.number, _received(connection, member)
            self._free.append(member.slot)

    def stop(self) -> None:
        """End what still runs."""
        for member in self._running.values():
            member.process.terminate()
        for member in self._running.values():
            member.process.join()


def _cores(jobs: int) -> list[int]:
    """A core for each process to stay on, if there are exactly so many; else none: with cores to spare, decompression,
    a thread of its own, has one too, and with too few, the system shares them out better."""
    there = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return there if len(there) == jobs else []


def _received(connection: Any, member: _Member) -> Summary:
    """What a process found. Raises what it could not do."""
    try:
        answer = connection.recv()
    except EOFError:
        member.process.join()
        raise AnelabError(
            f"{title(member.unit.sources[0])}: the process that scored it ended early (exit status "
            f"{member.process.exitcode}); if memory is short, use fewer --jobs"
        ) from None
    member.process.join()
    if isinstance(answer, Summary):
        return answer
    raise answer


def _work(
    unit: Unit,
    plan: ScorerPlan,
    reading: Reading,
    parts: Outputs,
    is_first: bool,
    core: int | None,
    connection: Any,
) -> None:
    """Score one unit into parts, in a process of its own, and send the summary, or why there is none."""
    try:
        if core is not None:
            with suppress(OSError):  # it is only faster
                os.sched_setaffinity(0, {core})  # type: ignore[attr-defined,unused-ignore]
        connection.send(_scored(unit, plan, reading, parts, is_first))
    except AnelabError as error:  # its subclasses may want other arguments than a message
        kind = UsageError if isinstance(error, UsageError) else AnelabError
        connection.send(kind(str(error)))
    except OSError as error:
        connection.send(error)
    except (KeyboardInterrupt, SystemExit):
        return


def _scored(unit: Unit, plan: ScorerPlan, reading: Reading, parts: Outputs, is_first: bool) -> Summary:
    keep_memory()
    summary = Summary(plan.name, whole=plan.whole)
    with plan.opened() as scorer, ExitStack() as names, writing(parts, reading.layout, names) as writer:
        if is_first:
            writer.table.write(header(scorer, reading.layout))
        score_units([unit], scorer, writer, reading, summary)
    return summary
