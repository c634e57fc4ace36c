"""How arms are timed: gates first, then blocks of fresh processes, one an arm, that take turns in random order.

Sources of the method: reference tools' documented practice (MLPerf LoadGen's counts and scenarios, pyperf's
processes, google/benchmark's random interleaving, criterion's doubling warm-up).
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from anelab.bench.arms.contract import Arm, Subject
from anelab.bench.machine.energy import Meters, per_inference
from anelab.bench.machine.host import Watch
from anelab.bench.measuring.gates import Entry, Judge, check_arm, opening
from anelab.bench.measuring.process import LostError, WorkerProcess
from anelab.bench.results.samples import AGAIN, Phase, Slice
from anelab.bench.results.schema import Conditions, Energy, Failure, Gate, Settings
from anelab.bench.scenario import SINGLE, Scenario

GIVE_UP_AFTER = 3
"""An arm that is lost in so many blocks is not started again."""
REENTRY = 3
OFFLINE_PASSES = 3
SERVER_SECONDS = 0.5
SERVER_LEAST, SERVER_MOST = 64, 5000
IDLE_CALLS = 3


@dataclass
class Run:
    """One benchmark. `measure` fills the rest."""

    subject: Subject
    arms: Sequence[Arm]
    settings: Settings
    judge: Callable[[], Judge]
    watch: Watch
    logs: Path
    timeout_s: float
    on_progress: Callable[[str], None]
    meters: Meters
    entries: dict[str, Entry] = field(default_factory=dict)
    slices: list[Slice] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    conditions: list[Conditions] = field(default_factory=list)
    rate_hz: float | None = None
    before_bytes: dict[str, int] = field(default_factory=dict)

    def measure(self) -> None:
        """Gates, then blocks. Raises nothing that an arm does: that is recorded."""
        self._gates()
        self._choose_reference()
        for block in range(self.settings.processes if self.timed else 0):
            self.on_progress(f"block {block + 1} of {self.settings.processes}")
            self.watch.begin()
            self._block(block)
            self.conditions.append(self.watch.end(block))
        for name in self.timed:
            self.entries[name].energy = self._energy(self.entries[name].arm)

    @property
    def timed(self) -> list[str]:
        """Names of the arms that are to be timed."""
        return [name for name, entry in self.entries.items() if not entry.reason]

    def _start(self, arm: Arm, name: str) -> WorkerProcess:
        log = self.logs / f"{name.replace('/', '_')}.log"
        return WorkerProcess(arm, self.subject, log, self.timeout_s)

    # Gates -----------------------------------------------------------------------------------------------------

    def _gates(self) -> None:
        """All arms' workers start together, for starting takes longest; then each is looked at alone."""
        self.entries = {arm.name: Entry(arm, arm.unavailable(self.subject) or "") for arm in self.arms}
        for entry in self.entries.values():
            entry.available = not entry.reason
        workers: dict[str, WorkerProcess] = {}
        try:
            for name in self.timed:
                workers[name] = self._start(self.entries[name].arm, name)
            judge = self.judge()
            for name, worker in workers.items():
                self._gate(self.entries[name], worker, WorkerProcess.wait_ready)
            batches = sorted({cell.call_rows for cell in self.settings.cells})
            for name in self.timed:
                self.on_progress(f"{name}: checking")
                entry = self.entries[name]
                self._gate(entry, workers[name], partial(check_arm, entry, judge=judge, batches=batches))
                workers[name].stop()
        finally:
            _stop(workers.values())

    def _gate(self, entry: Entry, worker: WorkerProcess, pass_it: Callable[[WorkerProcess], None]) -> None:
        try:
            pass_it(worker)
        except LostError as lost:
            entry.available = lost.ending.kind != "unavailable"
            entry.reason = lost.ending.text() if entry.available else lost.ending.detail
            if entry.available:
                self.failures.append(Failure(arm=entry.arm.name, block=None, ending=lost.ending))
            if lost.ending.doing == "open":
                entry.gates.append(Gate(name="provider", passed=False, detail=lost.ending.detail))

    def _choose_reference(self) -> None:
        """The first arm, if it can be timed and is not itself about the Neural Engine; else the first that asks for
        the CPU, or the first at all."""
        named = self.settings.reference
        if self.timed and (named not in self.timed or self.entries[named].arm.wants_ne):
            on_cpu = [name for name in self.timed if self.entries[name].arm.device == "CPU"]
            self.settings = self.settings.model_copy(update={"reference": (on_cpu or self.timed)[0]})

    # Blocks ----------------------------------------------------------------------------------------------------

    def _block(self, block: int) -> None:
        rng = np.random.default_rng([self.settings.seed, block])
        workers = self._workers(block)
        try:
            for name in _shuffled(workers, rng):
                self._try(workers, name, block, partial(self._open, name=name, block=block))
            for cell in self.settings.cells:
                self._cell(workers, cell, block, rng)
            for name in list(workers):
                self._try(workers, name, block, partial(self._weigh, name=name))
        finally:
            _stop(workers.values())

    def _workers(self, block: int) -> dict[str, WorkerProcess]:
        """A process for each arm and one more for the reference, all past their imports."""
        lost = Counter(failure.arm for failure in self.failures if failure.block is not None)
        names = [name for name in self.timed if lost[name] < GIVE_UP_AFTER]
        if self.settings.reference in names:
            names.append(self.settings.reference + AGAIN)
        workers: dict[str, WorkerProcess] = {}
        try:
            for name in names:
                workers[name] = self._start(self.entries[name.removesuffix(AGAIN)].arm, name)
        except BaseException:
            _stop(workers.values())
            raise
        for name in names:
            self._try(workers, name, block, WorkerProcess.wait_ready)
        return workers

    def _try(
        self, workers: dict[str, WorkerProcess], name: str, block: int, do: Callable[[WorkerProcess], None]
    ) -> None:
        """Whatever happens to a worker is recorded, and the others go on."""
        if name not in workers:
            return
        try:
            do(workers[name])
        except LostError as lost:
            self.failures.append(Failure(arm=name, block=block, ending=lost.ending))
            self.on_progress(f"{name}: {lost.ending.text()}")
            workers.pop(name).stop()

    def _open(self, worker: WorkerProcess, name: str, block: int) -> None:
        found = worker.ask("open", observe=False, core=self._core(worker.arm, block))
        if not name.endswith(AGAIN):
            self.entries[name].openings.append(opening(found, block))
        self.before_bytes[name] = found["memory_before_bytes"]

    def _core(self, arm: Arm, block: int) -> int | None:
        """Arms of one thread share a core, another in each block. macOS lets nobody choose."""
        if arm.threads != 1 or not hasattr(os, "sched_getaffinity"):
            return None
        allowed = sorted(os.sched_getaffinity(0))
        return allowed[block % len(allowed)]

    def _weigh(self, worker: WorkerProcess, name: str) -> None:
        peak = worker.ask("memory")
        if not name.endswith(AGAIN):
            self.entries[name].memory.append((self.before_bytes[name], peak))

    def _cell(self, workers: dict[str, WorkerProcess], cell: Scenario, block: int, rng: np.random.Generator) -> None:
        able = {name for name in workers if cell.call_rows in self.entries[name.removesuffix(AGAIN)].batches}
        for name in _shuffled(able, rng):
            self._try(workers, name, block, partial(self._warm, name=name, cell=cell, block=block))
        rounds = self.settings.rounds if cell.is_back_to_back else 1
        for turn in range(rounds):
            for order, name in enumerate(_shuffled(able, rng)):
                time.sleep(self.settings.settle_ms / 1e3)
                place = Place(name, cell, block, turn, order)
                self._try(workers, name, block, partial(self._take, place=place))

    def _warm(self, worker: WorkerProcess, name: str, cell: Scenario, block: int) -> None:
        began = time.time_ns()
        ns, steady = worker.ask("warm_up", batch=cell.call_rows, budget_ns=int(self.settings.warm_up_ms * 1e6))
        self._keep(Place(name, cell, block, -1, -1), "warm-up", began, ns, steady=steady)

    def _take(self, worker: WorkerProcess, place: "Place") -> None:
        scenario, began = place.cell, time.time_ns()
        if scenario.is_batch_size:
            arguments = {"min_ns": int(self.settings.slice_ms * 1e6), "min_count": self.settings.min_calls}
            began, first, ns = worker.ask("slice", batch=scenario.call_rows, reentry=REENTRY, **arguments)
            self._keep(place, "re-entry", began, first)
            self._keep(place, "measured", began, ns)
        elif scenario.kind == "offline":
            ns = worker.ask("offline", batch=scenario.call_rows, rows=scenario.rows, passes=OFFLINE_PASSES)
            self._keep(place, "measured", began, ns)
        elif scenario.kind == "server":
            self._take_arrivals(worker, place, began)
        else:
            gap_ns = (scenario.gap_ms or 0) * 1_000_000
            self._keep(place, "measured", began, worker.ask("idle", gap_ns=gap_ns, count=IDLE_CALLS))

    def _take_arrivals(self, worker: WorkerProcess, place: "Place", began: int) -> None:
        """All arms serve the same requests: at a share of what the reference can bear."""
        if self.rate_hz is None:
            known = [one for one in self.slices if one.cell == SINGLE and one.phase == "measured"]
            own = [one for one in known if one.arm == self.settings.reference] or known
            self.rate_hz = self.settings.server_load * 1e9 / float(np.median(np.concatenate([one.ns for one in own])))
        count = int(min(SERVER_MOST, max(SERVER_LEAST, self.rate_hz * SERVER_SECONDS)))
        taken = [one.ns for one in self.slices if (one.arm, one.cell, one.phase) == (place.name, SINGLE, "measured")]
        call_s = float(np.median(np.concatenate(taken))) / 1e9 if taken else 0.0
        patience = self.timeout_s + 2 * count * max(call_s, 1 / self.rate_hz)
        seed = self.settings.seed + place.block
        ns, kept_up = worker.ask("server", timeout_s=patience, rate_hz=self.rate_hz, count=count, seed=seed)
        self._keep(place, "measured", began, ns, rate_hz=self.rate_hz, kept_up=kept_up)

    def _energy(self, arm: Arm) -> Energy:
        """In a process of its own, after all blocks, for its windows are long. It never costs what was timed."""
        meter, reason = self.meters.of(arm.device)
        if meter is None:
            return Energy(source="none", reason=reason)
        self.on_progress(f"{arm.name}: energy")
        worker = self._start(arm, arm.name)
        try:
            worker.wait_ready()
            worker.ask("open", observe=False, core=None)
            warm, _ = worker.ask("warm_up", batch=1, budget_ns=int(self.settings.warm_up_ms * 1e6))
            call_s = float(np.median(warm)) / 1e9

            def repeat(min_ns: int, min_count: int) -> int:
                patience = self.timeout_s + 2 * max(min_ns / 1e9, min_count * call_s)
                done: int = worker.ask("repeat", timeout_s=patience, batch=1, min_ns=min_ns, min_count=min_count)
                return done

            return per_inference(meter, repeat, bool(self.entries[arm.name].placements[1].ne_share))
        except LostError as lost:
            self.failures.append(Failure(arm=arm.name, block=None, ending=lost.ending))
            return Energy(source=meter.name, reason=lost.ending.text())
        except Exception as error:  # counters fail in as many ways as there are drivers
            return Energy(source=meter.name, reason=f"{meter.name} failed: {error}")
        finally:
            worker.stop()

    def _keep(self, place: "Place", phase: Phase, began: int, ns: Any, **more: Any) -> None:
        self.slices.append(
            Slice(place.name, place.cell, place.block, place.turn, place.order, phase, began, ns, **more)
        )


@dataclass(frozen=True)
class Place:
    """Whose turn it is, in what."""

    name: str
    cell: Scenario
    block: int
    turn: int
    order: int


def _stop(workers: Collection[WorkerProcess]) -> None:
    for worker in workers:
        worker.hang_up()
    for worker in workers:
        worker.stop()


def _shuffled(names: Any, rng: np.random.Generator) -> list[str]:
    ordered = sorted(names)
    return [ordered[index] for index in rng.permutation(len(ordered))]
