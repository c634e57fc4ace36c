"""What must hold before an arm is timed: it runs where it says, and its answers are right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from anelab.bench.arms.contract import Arm
from anelab.bench.arms.placement import Placement
from anelab.bench.measuring.process import WorkerProcess
from anelab.bench.results.schema import ArmResult, Energy, Gate, Memory, Opening
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
    placements: dict[int, Placement] = field(default_factory=dict)
    """By rows a call."""
    quality: float | None = None
    openings: list[Opening] = field(default_factory=list)
    memory: list[tuple[int, int]] = field(default_factory=list)
    batches: set[int] = field(default_factory=set)
    available: bool = True
    energy: Energy | None = None

    def result(self, files: Mapping[str, str]) -> ArmResult:
        """All but what follows from samples. `files`: sha256 by name of what the arm ran."""
        return ArmResult(
            kind=self.arm.kind,
            variant=self.arm.variant,
            device=self.arm.device,
            wants_ne=self.arm.wants_ne,
            files=dict(files),
            available=self.available,
            reason=self.reason,
            gates=self.gates,
            placements=self.placements,
            quality=self.quality,
            openings=self.openings,
            memory=_median_memory(self.memory),
            energy=self.energy,
        )


def _median_memory(weighed: Sequence[tuple[int, int]]) -> Memory | None:
    if not weighed:
        return None
    before, peak = np.median(np.array(weighed), axis=0).astype(int).tolist()
    return Memory(before_bytes=before, peak_bytes=peak)


def check_arm(entry: Entry, worker: WorkerProcess, judge: Judge, batches: list[int]) -> None:
    """Open with an empty cache, see where the model was put, and compare its answers at every batch size.

    Raises LostError as the worker does."""
    found = worker.ask("open", observe=True, core=None)
    entry.openings.append(opening(found, None))
    entry.gates.append(Gate(name="provider", passed=True, detail=f"{entry.arm.name} opened the model"))
    for batch in batches:
        if worker.ask("unsupported", batch=batch) is not None:
            continue
        outputs = worker.ask("outputs", batch=batch)
        gate = judge.parity(entry.arm, outputs, batch)
        entry.gates.append(gate)
        if gate.passed is False:
            entry.reason = gate.detail
            return
        entry.placements[batch] = worker.ask("placement", batch=batch)
        entry.gates.append(_placement_gate(entry, batch))
        entry.batches.add(batch)
        entry.quality = judge.quality(entry.arm, outputs) if batch == 1 else entry.quality
    if not entry.arm.timeable:
        entry.reason = "its answers are right; it is no runtime, so it is never timed"


def opening(found: dict[str, Any], block: int | None) -> Opening:
    times = {name: found[name] for name in ("compile_ns", "load_ns", "first_predict_ns")}
    return Opening(block=block, first=block is None, **times)


def _placement_gate(entry: Entry, batch: int) -> Gate:
    """It never keeps an arm from being timed: an arm that is not where it should be gets no verdict instead."""
    found = entry.placements[batch]
    seen = "unavailable" if found.ne_share is None else f"{found.ne_share:.0%} on the Neural Engine"
    passed = None if not entry.arm.wants_ne else found.primary == "NE"
    return Gate(name="placement", passed=passed, detail=f"{batch} rows a call: {seen} (source: {found.source})")
