"""Core ML's rule: of all ways to share a chain of operators between Neural Engine and CPU, the cheapest.

Source: 751K/Apple-Neural-Engine-Microarchitecture-Study-M6 (MIT), chapter 5.2: operators are taken in the order of the
program as one chain, and a program's inputs cost nothing. On an M4 under macOS 27.0.1 the rule gives the plan that
Core ML made, or one of the same cost, for 450 of 451 models.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

SWITCH_MS = 0.125
"""To enter a segment of the Neural Engine, for each change between it and the CPU, and if the last operator is on
it."""
CLOSE_MS = 1e-6
"""Costs nearer than this are equal."""


@dataclass(frozen=True)
class Estimate:
    """Of one operator in ms; `engine` is None where the Neural Engine does not take it."""

    engine: float | None
    cpu: float

    def on(self, engine: bool) -> float:
        if not engine:
            return self.cpu
        return math.inf if self.engine is None else self.engine


@dataclass(frozen=True)
class Way:
    """`on_engine` by operator. `cost_ms` includes entering and changing. `ties`: operators that could be on the other
    side at the same cost of the whole: the rule leaves them open."""

    on_engine: tuple[bool, ...]
    cost_ms: float
    ties: tuple[int, ...] = ()


def cheapest_way(estimates: Sequence[Estimate]) -> Way:
    """Of equally cheap ways, the one that stays on the Neural Engine for longer."""
    if not estimates:
        return Way((), 0.0)
    before, after = _costs_before(estimates), _costs_after(estimates)
    through = [
        {side: before[index][side] + one.on(side) + after[index][side] for side in SIDES}
        for index, one in enumerate(estimates)
    ]
    best = min(through[0].values())
    sides: list[bool] = []
    for index, one in enumerate(estimates):
        entering = {side: _change(sides[-1] if sides else None, side) for side in SIDES}
        left = {side: entering[side] + one.on(side) + after[index][side] for side in SIDES}
        sides.append(left[True] <= left[False] + CLOSE_MS)
    ties = [index for index, one in enumerate(through) if one[not sides[index]] <= best + CLOSE_MS]
    return Way(tuple(sides), best, tuple(ties))


def cost_of(estimates: Sequence[Estimate], on_engine: Sequence[bool]) -> float:
    """In ms, of any way; infinite if it puts an operator on an engine that does not take it."""
    previous: list[bool | None] = [None, *on_engine]
    changes = sum(_change(one, side) for one, side in zip(previous, on_engine, strict=False))
    own = sum(one.on(side) for one, side in zip(estimates, on_engine, strict=True))
    return changes + own + _leaving(previous[-1] or False)


SIDES = (True, False)
"""On the Neural Engine, on the CPU."""


def _change(before: bool | None, engine: bool) -> float:
    """From one operator to the next; None is before the first."""
    entered = engine and not before
    crossed = before is not None and before != engine
    return SWITCH_MS * (entered + crossed)


def _leaving(engine: bool) -> float:
    return SWITCH_MS if engine else 0.0


def _costs_before(estimates: Sequence[Estimate]) -> list[dict[bool, float]]:
    """The least that everything before an operator costs, the change to its side included."""
    found = [{side: _change(None, side) for side in SIDES}]
    for one in estimates[:-1]:
        ended = {side: found[-1][side] + one.on(side) for side in SIDES}
        found.append({side: min(ended[was] + _change(was, side) for was in SIDES) for side in SIDES})
    return found


def _costs_after(estimates: Sequence[Estimate]) -> list[dict[bool, float]]:
    """The least that everything after an operator costs, from its side on."""
    found = [{side: _leaving(side) for side in SIDES}]
    for one in reversed(estimates[1:]):
        from_it = {side: one.on(side) + found[-1][side] for side in SIDES}
        found.append({side: min(_change(side, then) + from_it[then] for then in SIDES) for side in SIDES})
    return found[::-1]
