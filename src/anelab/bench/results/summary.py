"""From samples to figures: cells, comparisons, verdicts. A function of the samples and the settings alone, so that
whoever has the samples can check what is said of them."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anelab.bench.arms.placement import Placement
from anelab.bench.results import stats
from anelab.bench.results.samples import AGAIN, Slice
from anelab.bench.results.schema import Cell, Comparison, Verdict
from anelab.bench.scenario import Scenario

DRIFT = 0.10
"""A process whose second half of rounds differs from its first by more than this share is not steady."""


@dataclass(frozen=True)
class Timed:
    """The measured slices of a run, by arm and cell; `left_out` are blocks that are no evidence, and why."""

    slices: Mapping[tuple[str, Scenario], Sequence[Slice]]
    warm_ups: Mapping[tuple[str, Scenario], Sequence[Slice]]
    left_out: Mapping[int, Sequence[str]]
    resamples: int
    seed: int

    @classmethod
    def of(cls, slices: Iterable[Slice], left_out: Mapping[int, Sequence[str]], resamples: int, seed: int) -> "Timed":
        measured: dict[tuple[str, Scenario], list[Slice]] = defaultdict(list)
        warm_ups: dict[tuple[str, Scenario], list[Slice]] = defaultdict(list)
        for one in slices:
            if one.phase != "re-entry":
                (measured if one.phase == "measured" else warm_ups)[one.arm, one.cell].append(one)
        return cls(measured, warm_ups, left_out, resamples, seed)

    def cells(self, arm: str) -> dict[Scenario, Cell]:
        return {cell: self._cell(arm, cell) for name, cell in self.slices if name == arm}

    def _cell(self, arm: str, cell: Scenario) -> Cell:
        slices = self.slices[arm, cell]
        by_process = _by_block(slices)
        joined = {block: np.concatenate([one.ns for one in many]) for block, many in by_process.items()}
        samples = np.concatenate(list(joined.values())).astype(np.float64)
        labels = np.concatenate([stats.outlier_labels(ns) for ns in joined.values()])
        median = float(np.median(samples))
        settled = {one.block: bool(one.steady) for one in self.warm_ups.get((arm, cell), ())}
        steady = sum(settled.get(block, True) and _without_drift(many) for block, many in by_process.items())
        return Cell(
            scenario=cell.kind,
            rows=cell.rows,
            samples=len(samples),
            processes=len(joined),
            median_ns=median,
            mad_ns=float(np.median(np.abs(samples - median))),
            mean_ns=float(samples.mean()),
            min_ns=int(samples.min()),
            max_ns=int(samples.max()),
            percentiles_ns=stats.percentiles(samples),
            outliers={"mild": int((labels == 1).sum()), "far": int((labels == 2).sum())},
            steady_processes=steady,
            process_medians_ns={block: float(np.median(ns)) for block, ns in joined.items()},
            rows_per_s=cell.rows / median * 1e9 if cell.is_back_to_back else None,
            rate_hz=slices[0].rate_hz,
            kept_up=all(one.kept_up for one in slices) if slices[0].kept_up is not None else None,
        )

    def paired(self, cell: Scenario, arm: str, against: str) -> stats.Paired | None:
        """The arm against another in the blocks that both have and that are evidence."""
        ours, theirs = (_by_block(self.slices.get((name, cell), ())) for name in (arm, against))
        blocks = [
            [
                (float(np.median(theirs_ns)), float(np.median(ours_ns)))
                for theirs_ns, ours_ns in _rounds(ours, theirs, b)
            ]
            for b in sorted(ours.keys() & theirs.keys() - self.left_out.keys())
        ]
        return stats.paired(blocks, self.resamples, self.seed)

    def floor(self, cell: Scenario, reference: str) -> float | None:
        """How far from equality the reference and its twin were, as a logarithm, and LEAST_FLOOR at least; None if
        too few blocks have both."""
        found = self.paired(cell, reference + AGAIN, reference)
        if found is None or found.blocks < stats.LEAST_BLOCKS:
            return None
        return max(math.log1p(stats.LEAST_FLOOR), found.floor)

    def comparison(
        self, cell: Scenario, arm: str, against: str, floor: float | None, not_on_ne: str = ""
    ) -> Comparison:
        """`not_on_ne` says why one of them that is about the Neural Engine was not seen on it."""
        found = self.paired(cell, arm, against)
        verdict, reason = _verdict(found, floor, self.left_out)
        if not_on_ne:
            verdict, reason = "not on NE", not_on_ne
        return Comparison(
            cell=cell,
            arm=arm,
            against=against,
            blocks=found.blocks if found else 0,
            speedup=math.exp(found.log) if found else None,
            low=math.exp(found.low) if found else None,
            high=math.exp(found.high) if found else None,
            floor=None if floor is None else math.expm1(floor),
            p_value=found.p_value if found else None,
            verdict=verdict,
            reason=reason,
        )


def not_on_ne(placement: Placement) -> str:
    """Why a claim about the Neural Engine cannot be made; "" if it can: it was seen to do the largest share."""
    if placement.ne_share is None:
        return "no evidence that it ran on the Neural Engine (placement unavailable)"
    if placement.primary != "NE":
        return f"{placement.ne_share:.0%} of it was placed on the Neural Engine, and most on the {placement.primary}"
    return ""


def _verdict(
    found: stats.Paired | None, floor: float | None, left_out: Mapping[int, Sequence[str]]
) -> tuple[Verdict, str]:
    if found is None or found.blocks < stats.LEAST_BLOCKS:
        reasons = sorted({reason for many in left_out.values() for reason in many})
        because = f"; blocks were left out: {', '.join(reasons)}" if reasons else ""
        count = found.blocks if found else "fewer than 2"
        return "not comparable", f"{count} blocks of both, {stats.LEAST_BLOCKS} needed{because}"
    if floor is None:
        return "not comparable", "the noise is not known: the reference was not timed against itself"
    if found.low > floor:
        return "faster", "the interval lies above the noise"
    if found.high < -floor:
        return "slower", "the interval lies below the noise"
    return "within noise", "the interval reaches into the noise"


def _by_block(slices: Iterable[Slice]) -> dict[int, list[Slice]]:
    found: dict[int, list[Slice]] = defaultdict(list)
    for one in slices:
        found[one.block].append(one)
    return found


def _rounds(
    ours: Mapping[int, Sequence[Slice]], theirs: Mapping[int, Sequence[Slice]], block: int
) -> list[tuple["np.ndarray[tuple[int], np.dtype[np.int64]]", "np.ndarray[tuple[int], np.dtype[np.int64]]"]]:
    """Their samples and ours of each round that both have."""
    of = {one.round: one.ns for one in theirs[block]}
    return [(of[one.round], one.ns) for one in ours[block] if one.round in of]


def _without_drift(slices: Sequence[Slice]) -> bool:
    if len(slices) < 2:
        return True
    half = len(slices) // 2
    first, last = (np.median(np.concatenate([one.ns for one in part])) for part in (slices[:half], slices[-half:]))
    return bool(abs(math.log(last / first)) <= math.log1p(DRIFT))
