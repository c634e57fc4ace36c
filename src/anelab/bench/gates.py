"""What must hold before an arm is timed: it runs where it says, and its answers are right."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from anelab.bench.arms import Arm
from anelab.bench.placement import UNAVAILABLE, Placement
from anelab.bench.process import WorkerProcess
from anelab.bench.schema import Energy, Gate, Opening
from anelab.learning.base import Arrays


class Judge(Protocol):
    """Says whether an arm's answers are right, and how good they are."""

    def parity(self, arm: Arm, outputs: Arrays, batch: int) -> Gate: ...

    def quality(self, arm: Arm, outputs: Arrays) -> float | None: ...


@dataclass
class Entry:
    """What is known of an arm so far."""

    arm: Arm
    reason: str = ""
    """Why it is not timed; "" if it is."""
    gates: list[Gate] = field(default_factory=list)
    placement: Placement = UNAVAILABLE
    quality: float | None = None
    openings: list[Opening] = field(default_factory=list)
    memory: list[tuple[int, int]] = field(default_factory=list)
    batches: set[int] = field(default_factory=set)
    available: bool = True
    energy: Energy | None = None


def look(entry: Entry, worker: WorkerProcess, judge: Judge, batches: list[int]) -> None:
    """Open with an empty cache, see where the model was put, and compare its answers at every batch size.

    Raises LostError as the worker does."""
    found = worker.ask("open", observe=True, core=None)
    entry.openings.append(opening(found, None))
    entry.gates.append(Gate(name="provider", passed=True, detail=f"{entry.arm.kind} opened the model"))
    entry.placement = worker.ask("placement")
    entry.gates.append(_placement_gate(entry))
    for batch in batches:
        if worker.ask("unsupported", batch=batch) is not None:
            continue
        outputs = worker.ask("outputs", batch=batch)
        gate = judge.parity(entry.arm, outputs, batch)
        entry.gates.append(gate)
        if gate.passed is False:
            entry.reason = gate.detail
            return
        entry.batches.add(batch)
        entry.quality = judge.quality(entry.arm, outputs) if batch == 1 else entry.quality


def opening(found: dict[str, Any], block: int | None) -> Opening:
    times = {name: found[name] for name in ("compile_ns", "load_ns", "first_predict_ns")}
    return Opening(block=block, first=block is None, **times)


def _placement_gate(entry: Entry) -> Gate:
    """It never keeps an arm from being timed: an arm that is not where it should be gets no verdict instead."""
    share = entry.placement.ne_share
    seen = "unavailable" if share is None else f"{share:.0%} on the Neural Engine"
    passed = bool(share) if entry.arm.wants_ne else None
    return Gate(name="placement", passed=passed, detail=f"{seen} (source: {entry.placement.source})")
