"""What is told of results besides their speed: states, gates, losses; and what was not measured at all."""

from collections.abc import Sequence

import pandas as pd

from anelab.bench.estimate import PublishedPair
from anelab.bench.results.schema import ArmResult, Bound, Report
from anelab.bench.scenario import SINGLE
from anelab.views.engine import Results, chosen
from anelab.views.formatting import device_of, time_text

EXAMPLES = 256
"""Rows that go with a model (export/examples.py); the whole test set is on the page Compare."""
GATE_TEXTS = {False: "✕ failed", True: "✓ passed", None: "– not asked"}
"""The worst first."""


def states(results: Results, arms: Sequence[str] = (), variants: Sequence[str] = ()) -> pd.DataFrame:
    """Cold, cached, warm, sustained: ms to be ready, µs a call; memory in MB; energy above idle in mJ; quality."""
    rows = []
    for host, report in results.items():
        for name, arm in chosen(report, arms, variants).items():
            rows.append({"host": host, "arm": name, "device": device_of(arm), **_state(report, arm)})
    return pd.DataFrame(rows)


def _energy_source(arm: ArmResult) -> str:
    return "unavailable" if arm.energy is None or arm.energy.mj_per_inference is None else arm.energy.source


def without_energy(results: Results) -> list[str]:
    """Why there is none, machine by machine."""
    found = {
        f"{host}: {arm.energy.reason}"
        for host, report in results.items()
        for arm in report.arms.values()
        if arm.energy is not None and arm.energy.mj_per_inference is None and arm.energy.reason
    }
    return sorted(found)


def _state(report: Report, arm: ArmResult) -> dict[str, object]:
    cold = next((one for one in arm.openings if one.first), None)
    cached = sorted(one.load_ns + (one.compile_ns or 0) for one in arm.openings if not one.first)
    first = sorted(one.first_predict_ns for one in arm.openings)
    idle = next((arm.cells[cell] for cell in arm.cells if cell.kind == "idle"), None)
    sustained = next((arm.cells[cell] for cell in arm.cells if cell.kind == "offline"), None)
    parity = {gate.passed for gate in arm.gates if gate.name == "parity"}
    energy = arm.energy
    return {
        "cold compile (ms)": None if cold is None or cold.compile_ns is None else cold.compile_ns / 1e6,
        "cold load (ms)": None if cold is None else cold.load_ns / 1e6,
        "cached load (ms)": cached[len(cached) // 2] / 1e6 if cached else None,
        "first call (µs)": first[len(first) // 2] / 1e3 if first else None,
        "after idle (µs)": None if idle is None else idle.median_ns / 1e3,
        "warm (µs)": arm.cells[SINGLE].median_ns / 1e3 if SINGLE in arm.cells else None,
        "sustained (rows/s)": None if sustained is None else sustained.rows_per_s,
        "peak memory (MB)": None if arm.memory is None else arm.memory.peak_bytes / 1e6,
        "energy of an inference above idle (mJ)": None if energy is None else energy.mj_per_inference,
        "energy source": _energy_source(arm),
        f"{report.metric.partition(':')[2]} of at most {EXAMPLES} example rows": arm.quality,
        "parity": next((text for passed, text in GATE_TEXTS.items() if passed in parity), "not checked"),
    }


def gates(results: Results) -> pd.DataFrame:
    """What every arm had to pass before it was timed, and the figures."""
    rows = [
        {
            "host": host,
            "arm": name,
            "gate": gate.name,
            "verdict": GATE_TEXTS[gate.passed],
            "detail": gate.detail,
        }
        for host, report in results.items()
        for name, arm in report.arms.items()
        for gate in arm.gates
    ]
    return pd.DataFrame(rows, columns=["host", "arm", "gate", "verdict", "detail"])


def not_timed(results: Results) -> pd.DataFrame:
    """Arms that could not be timed, and why; workers that were lost, and how."""
    rows = []
    for host, report in results.items():
        for name, arm in report.arms.items():
            if not arm.timed:
                rows.append({"host": host, "arm": name, "what": "not timed", "why": arm.reason})
        for one in report.failures:
            where = "gates" if one.block is None else f"block {one.block}"
            rows.append({"host": host, "arm": one.arm, "what": f"lost ({where})", "why": one.ending.text()})
    return pd.DataFrame(rows, columns=["host", "arm", "what", "why"])


def estimates(results: Results) -> pd.DataFrame:
    """What the Neural Engine might take, by constants that others published: of the last result that has estimates.
    Nothing of it was measured."""
    having = [report for report in results.values() if report.estimates]
    of_last = max(having, key=lambda report: report.measured_at).estimates if having else []
    return pd.DataFrame(
        [
            {
                "rows": one.rows,
                "file": one.file,
                "multiply-adds": one.macs,
                "CPU, estimate": bound_text(one.cpu_ms),
                "Neural Engine, estimate": bound_text(one.neural_engine_ms),
                "likely": one.winner,
                "advice": one.advice,
            }
            for one in of_last
        ]
    )


def predicted_placements(results: Results) -> pd.DataFrame:
    """Where Core ML would put the operators by its own rule, of the last result that has it. Nothing of it was
    observed."""
    having = [report for report in results.values() if any(one.placement for one in report.estimates)]
    of_last = max(having, key=lambda report: report.measured_at).estimates if having else []
    return pd.DataFrame(
        [
            {
                "rows": one.rows,
                "file": one.file,
                "predicted": placed.devices,
                "operators on the Neural Engine, predicted": f"{placed.on_engine} of {placed.operators}",
                "Neural Engine from rows, predicted": placed.engine_from_rows,
                "for": f"{placed.chip}, {placed.system}",
                "why": "; ".join(placed.sentences()[1:]),
            }
            for one in of_last
            if (placed := one.placement) is not None
        ]
    )


def bound_text(bound: Bound) -> str:
    return f"{time_text(bound.low * 1e6)} to {time_text(bound.high * 1e6)}"


def published_pairs(cases: Sequence[PublishedPair]) -> pd.DataFrame:
    """Cases in which others measured both sides."""
    return pd.DataFrame(
        [
            {
                "model": case.model,
                "chip": case.chip,
                "CPU (ms)": case.cpu_ms,
                "Neural Engine path (ms)": case.neural_engine_ms,
                "faster": case.winner,
                "source": case.source,
            }
            for case in cases
        ]
    )
