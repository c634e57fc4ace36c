"""A guess at whether the Neural Engine could win, for hosts that have none. Never a measurement.

Both sides are a fixed cost a call, plus the larger of computing and moving bytes. Each constant is a range, as wide as
what others published of different chips and runtimes; a side's estimate is the range that follows, and the sides are
compared by the geometric middles of theirs.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from anelab.bench.published.collection import packed, pairs
from anelab.bench.results.schema import Bound, Estimate
from anelab.export.placement.predicted import OUTSIDE, SOURCE, package_placements, rows_of
from anelab.export.placement.predicted import PredictedPlacement as PredictedPlacement
from anelab.export.placement.rates import M4, Chip

CLOSE = 2.0
"""Middles nearer than this ratio are too close to tell."""
PLACEMENT_RULE = f"{SOURCE}; {OUTSIDE}"
"""Where predicted placement comes from, and what it leaves out."""


@dataclass(frozen=True)
class Side:
    """Ranges, the favourable end first: fixed cost in s, multiply-adds a second, bytes a second."""

    fixed_s: tuple[float, float]
    macs_per_s: tuple[float, float]
    bytes_per_s: tuple[float, float]

    def bound_ms(self, macs: int, moved: int) -> Bound:
        low, high = (
            fixed + max(macs / rate, moved / bandwidth)
            for fixed, rate, bandwidth in zip(self.fixed_s, self.macs_per_s, self.bytes_per_s, strict=True)
        )
        return Bound(low=low * 1e3, high=high * 1e3)


CPU = Side(fixed_s=(5e-6, 150e-6), macs_per_s=(318e9, 24e9), bytes_per_s=(150e9, 30e9))
NEURAL_ENGINE = Side(fixed_s=(95e-6, 800e-6), macs_per_s=(1.1e12, 0.19e12), bytes_per_s=(120e9, 30e9))
SOURCES = [
    "CPU, fixed: 5 us is ONNX Runtime's call of a small network on Linux (reference figures of this project), 150 us "
    "MNIST by ONNX Runtime on an M2 (xybrid.ai)",
    "CPU, rate: 318 G multiply-adds a second is yolo26n on an M5 Pro (ultralytics PR #24885), 24 G MobileNetV2 by ONNX "
    "Runtime on an M2 (xybrid.ai)",
    "Neural Engine, fixed: 95 us is a direct dispatch on an M4 (maderix, part 2), 800 us MNIST by ONNX Runtime on an "
    "M2 (xybrid.ai); M1 by the direct interface 190 to 230 us (ane-guide, chapters 2 and 11)",
    "Neural Engine, rate: 1.1 T multiply-adds a second is yolo26n on an M5 Pro, 0.19 T MobileNetV2 on an M2, both less "
    "their fixed cost",
    "bandwidth: unified memory of 68 GB/s (M1) to 150 GB/s (M5) by Apple's specifications, and half of the least",
]


def estimate(
    file: str,
    rows: int,
    cost: Mapping[str, Any],
    precision: str = "fp16",
    placement: PredictedPlacement | None = None,
) -> Estimate:
    """Of one function of a package, by its cost as the manifest has it. If Core ML is predicted to keep all of it on
    the CPU, a Neural Engine that would be faster is of no use."""
    moved = int(cost["weight_bytes"] + cost["activation_bytes"])
    bars = _bars(cost["static"], precision)
    if not bars and placement is not None and not placement.on_engine:
        whose = f"{placement.chip}, {placement.system}"
        bars = f"a test on a Mac is not worth it: Core ML is predicted to keep all of it on the CPU ({whose})"
    found = _estimate(file, rows, int(cost["macs"]), moved, int(cost["operators"]), bars)
    return found.model_copy(update={"placement": placement})


def _bars(static: bool, precision: str) -> str:
    """What keeps a package off the Neural Engine whatever it computes."""
    if precision == "fp32":
        return "float32 packages never run on the Neural Engine (coremltools' guide to typed execution)"
    return "" if static else "dynamic shapes mostly keep a package off the Neural Engine (coremltools #1764, #2370)"


def _estimate(file: str, rows: int, macs: int, moved: int, operators: int, barred: str) -> Estimate:
    cpu, engine = CPU.bound_ms(macs, moved), NEURAL_ENGINE.bound_ms(macs, moved)
    ratio = _middle(cpu) / _middle(engine)
    winner = "too close to tell" if 1 / CLOSE < ratio < CLOSE else "NE" if ratio >= CLOSE else "CPU"
    if barred:
        winner = "CPU"
    return Estimate(
        file=file,
        rows=rows,
        macs=macs,
        bytes_moved=moved,
        operators=operators,
        cpu_ms=cpu,
        neural_engine_ms=engine,
        winner=winner,
        worth_a_test=winner != "CPU",
        advice=barred or _advice(winner, cpu, engine),
        sources=SOURCES,
    )


def _middle(bound: Bound) -> float:
    return math.sqrt(bound.low * bound.high)


def _advice(winner: str, cpu: Bound, engine: Bound) -> str:
    if winner == "NE":
        return "a test on a Mac is worth it: there is enough to compute for the Neural Engine to win"
    if winner == "CPU" and cpu.high < engine.low:
        return "a test on a Mac is not worth it: a dispatch to the Neural Engine alone takes longer than the CPU"
    if winner == "CPU":
        return "a test on a Mac is hardly worth it: the dispatch outweighs what the Neural Engine would save"
    return "only a test on a Mac can tell: the two are too close"


def estimates(manifest: Mapping[str, Any]) -> list[Estimate]:
    """Of a model's fp16 packages, every batch size that they have a function for, in order of rows."""
    found: dict[int, Estimate] = {}
    placements = TypeAdapter(PredictedPlacement | None)
    for file, entry in manifest["files"].items():
        if (entry["format"], entry["variant"]) == ("coreml", "fp16") and "cost" in entry:
            for name, cost in entry["cost"].items():
                rows = rows_of(entry["functions"][name])
                if rows not in found or entry["primary"]:
                    placement = placements.validate_python(entry.get("placement", {}).get(name))
                    found[rows] = estimate(file, rows, cost, entry["precision"], placement)
    return [found[rows] for rows in sorted(found)]


def package_estimates(path: Path, chip: Chip = M4) -> list[Estimate]:
    """Of any package, by its own program; placement is predicted for the chip. Raises AnelabError if it is none."""
    from anelab.export.cost import package_costs
    from anelab.export.mlpackage import describe_package

    described, placements = describe_package(path), package_placements(path, chip)
    found = [
        estimate(path.name, rows_of(described["functions"][name]), cost, described["precision"], placements[name])
        for name, cost in package_costs(path).items()
    ]
    return sorted(found, key=lambda one: one.rows)


@dataclass(frozen=True)
class PublishedPair:
    """A case in which others measured both sides."""

    model: str
    chip: str
    cpu_ms: float
    neural_engine_ms: float
    macs: int | None
    weight_bytes: int | None
    static: bool
    source: str
    size_source: str | None

    @property
    def winner(self) -> str:
        return "NE" if self.neural_engine_ms < self.cpu_ms else "CPU"

    @property
    def estimate(self) -> Estimate | None:
        """None where the model's size is not known."""
        if self.macs is None and self.static:
            return None
        return _estimate(self.model, 1, self.macs or 0, self.weight_bytes or 0, 0, _bars(self.static, "fp16"))


def published_pairs() -> list[PublishedPair]:
    """Of the published figures that come with anelab, those of one source that have both sides."""
    return [
        PublishedPair(
            model=cpu.model,
            chip=cpu.chip,
            cpu_ms=cpu.call_ms or 0.0,
            neural_engine_ms=engine.call_ms or 0.0,
            macs=cpu.macs,
            weight_bytes=cpu.weight_bytes,
            static=cpu.static,
            source=cpu.source,
            size_source=cpu.size_source,
        )
        for cpu, engine in pairs(packed())
    ]
