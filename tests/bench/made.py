"""Results made up for tests of what is made of results. Nothing here was measured."""

from typing import Any

import numpy as np

from anelab.bench.arms.placement import Placement
from anelab.bench.results.report import summarised
from anelab.bench.results.samples import AGAIN, Slice
from anelab.bench.results.schema import ArmResult, Host, Report, Settings
from anelab.bench.results.subject import Subject
from anelab.bench.scenario import Scenario

SHA = "5a" * 32


def host(fingerprint: str = "f" * 16) -> Host:
    return Host(
        fingerprint=fingerprint,
        system="Linux",
        release="6",
        build=None,
        machine="x86_64",
        processor="AMD EPYC",
        model=None,
        cores=2,
        performance_cores=None,
        efficiency_cores=None,
        neural_engine_cores=None,
        memory_bytes=1 << 30,
        python="3.11",
        translated=False,
        governor=None,
        power="mains",
        low_power=None,
        thermal="nominal",
        load_average=0.1,
        versions={},
        anelab="a",
    )


def arm(
    wants_ne: bool = False, available: bool = True, placement: Placement | None = None, kind: str = "k"
) -> ArmResult:
    return ArmResult(
        kind=kind,
        variant="fp16",
        device="CPU",
        wants_ne=wants_ne,
        files={"model": SHA},
        available=available,
        reason="" if available else "it is not here",
        placements={1: placement or Placement(source="none")},
    )


def report(times: dict[str, float], arms: dict[str, ArmResult] | None = None, seed: int = 0, **more: Any) -> Report:
    """Of arms whose calls of one row take so many ns, in ten blocks."""
    return timed({name: {"single": ns} for name, ns in times.items()}, arms, seed, **more)[0]


def timed(
    times: dict[str, dict[str, float]], arms: dict[str, ArmResult] | None = None, seed: int = 0, **more: Any
) -> tuple[Report, list[Slice]]:
    """A report and its samples, of arms whose calls take so many ns in each cell."""
    rng, slices = np.random.default_rng(seed), []
    reference = next(iter(times))
    for block in range(10):
        for turn in range(2):
            for name, cells in {**times, reference + AGAIN: times[reference]}.items():
                for cell, ns in cells.items():
                    samples = rng.normal(ns, ns * 0.002, 20).astype(np.int64)
                    slices.append(
                        Slice(name, Scenario.parse(cell), block, turn, 0, "measured", block * 10 + turn, samples)
                    )
    settings = Settings(
        arms=list(arms or times),
        reference=reference,
        processes=10,
        rounds=2,
        slice_ms=1,
        min_calls=1,
        warm_up_ms=1,
        settle_ms=0,
        cells=[Scenario.parse(cell) for cell in times[reference]],
        server_load=0.5,
        energy=False,
        url=None,
        timeout_s=10,
        seed=0,
        resamples=1000,
    )
    fields = {
        "measured_at": "2026-11-20T10:00:00+00:00",
        "seconds": 1.0,
        "subject": Subject(workload="mnist", input_key=SHA, data_digest="", files={"model": SHA}),
        "metric": "max:accuracy",
        "host": host(),
        "settings": settings,
        "arms": arms or {name: arm() for name in times},
        "comparisons": [],
        "noise": {},
        "conditions": [],
        "failures": [],
        "warnings": [],
        **more,
    }
    return summarised(Report(**fields), slices), slices
