"""The whole method on Core ML's fake and on every scenario: what is recorded, and what is claimed."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from anelab.bench.arms.catalog import parse_arm
from anelab.bench.arms.contract import Subject
from anelab.bench.measuring.run import THOROUGH, run_benchmark, write_result
from anelab.bench.results.samples import read_samples
from anelab.bench.results.schema import Report
from anelab.bench.results.stats import LEAST_COUNTS
from anelab.bench.scenario import Scenario
from anelab.learning.config import BenchConfig
from anelab.views.tables import report_text
from tests.bench.models import QUICK, judge

UNITS = ["coreml/cpu_and_ne", "coreml/cpu_only"]
ONE = QUICK.model_copy(update={"processes": 1})
"""The fake is slow to start: one block shows what is recorded."""


def measured(subject: Subject, arms: list[str], folder: Path, config: BenchConfig) -> Report:
    chosen = [parse_arm(text).resolved(subject) for text in arms]
    found, slices = run_benchmark(
        subject, chosen, config, 1, partial(judge, replace(subject, apple="")), lambda text: None
    )
    return write_result(found, slices, folder / "samples.parquet")


def on(exported: Subject, fake: str) -> Subject:
    return replace(exported, apple=f"tests.export.fake_apple:{fake}")


def test_a_model_that_is_planned_on_the_cpu_is_not_on_ne_however_fast(exported: Subject, tmp_path: Path) -> None:
    report = measured(on(exported, "on_cpu"), UNITS, tmp_path, ONE)
    assert report.settings.reference == "coreml/cpu_only:fp16"
    (found,) = [one for one in report.comparisons if one.arm == "coreml/cpu_and_ne:fp16"]
    assert found.verdict == "not on NE"
    ne = report.arms["coreml/cpu_and_ne:fp16"]
    assert (ne.placement.source, ne.placement.ne_share) == ("compute_plan", 0.0)
    assert ne.placement.supported_not_preferred == 1
    assert [gate.passed for gate in ne.gates if gate.name == "placement"] == [False]
    assert "everything is compared with coreml/cpu_only:fp16" in report.warnings[0]


def test_a_model_that_is_planned_on_the_neural_engine_is_not_said_to_be_elsewhere(
    exported: Subject, tmp_path: Path
) -> None:
    config = ONE.model_copy(update={"scenarios": ["single", "batch"], "batches": [4, 32]})
    report = measured(on(exported, "on_ne"), ["ort-cpu", "coreml/cpu_and_ne"], tmp_path, config)
    ne = report.arms["coreml/cpu_and_ne:fp16"]
    assert set(map(str, ne.cells)) == {"single", "batch_4"}  # no function takes 32 rows
    assert set(ne.placements) == {1, 4}
    assert ne.placement.primary == "NE"
    assert ne.placement.switches == 1
    reasons = {one.reason for one in report.comparisons if one.arm == "coreml/cpu_and_ne:fp16"}
    assert reasons == {
        "fewer than 2 blocks of both, 6 needed"
    }  # of one block no ratio is made, but it is not off the engine
    first, *later = ne.openings
    assert first.first and first.compile_ns is not None
    assert all(not one.first and one.compile_ns is None for one in later)
    assert len(later) == 1
    assert "ESTIMATE" not in report_text(report, [])


def test_core_ml_that_kills_its_process_is_recorded(exported: Subject, tmp_path: Path) -> None:
    report = measured(on(exported, "dying"), ["ort-cpu", "coreml/all"], tmp_path, ONE)
    (failure,) = report.failures
    assert (failure.arm, failure.ending.signal) == ("coreml/all:fp16", "SIGKILL")
    gates = report.arms["coreml/all:fp16"].gates
    assert [(gate.name, gate.passed) for gate in gates] == [("provider", False)]


def test_the_evaluator_shows_that_a_package_is_right_and_is_never_timed(exported: Subject, tmp_path: Path) -> None:
    report = measured(exported, ["ort-cpu", "coreml-evaluator"], tmp_path, ONE)
    evaluated = report.arms["coreml-evaluator:fp16"]
    assert not evaluated.timed
    assert "never timed" in evaluated.reason
    assert [gate.passed for gate in evaluated.gates if gate.name == "parity"] == [True]
    assert report.failures == []


def test_every_scenario_is_measured_and_every_sample_kept(exported: Subject, tmp_path: Path) -> None:
    config = QUICK.model_copy(
        update={
            "scenarios": THOROUGH["scenarios"],
            "processes": 2,
            "batches": [8],
            "idle_gaps_ms": [1],
            "slice_ms": 1.0,
            "warm_up_ms": 20.0,
            "offline_rows": 256,
        }
    )
    report = measured(exported, ["ort-cpu", "classical"], tmp_path, config)
    cells = report.arms["ort-cpu:fp32"].cells
    assert list(map(str, cells)) == ["single", "batch_8", "offline_256", "server", "idle_1ms"]
    assert cells[Scenario("server")].rate_hz is not None and cells[Scenario("server")].rate_hz > 0
    assert cells[Scenario("server")].kept_up is not None
    assert (cells[Scenario("server")].rows_per_s, cells[Scenario("idle", gap_ms=1)].rows_per_s) == (None, None)
    assert cells[Scenario("offline", 256)].rows == 256
    slices = read_samples(tmp_path / "samples.parquet")
    assert {one.phase for one in slices} == {"warm-up", "re-entry", "measured"}
    for name, cell in cells.items():
        taken = [one for one in slices if (one.arm, one.cell, one.phase) == ("ort-cpu:fp32", name, "measured")]
        assert sum(len(one.ns) for one in taken) == cell.samples
        assert ("p99" in cell.percentiles_ns) == (cell.samples >= LEAST_COUNTS[99.0])
    memory = report.arms["ort-cpu:fp32"].memory
    assert memory is not None and memory.peak_bytes > memory.before_bytes > 0


@pytest.mark.parametrize("seed", [1, 2])
def test_turns_are_in_random_order_that_the_seed_decides(exported: Subject, seed: int) -> None:
    config = QUICK.model_copy(update={"processes": 2, "rounds": 6})
    arms = [parse_arm("ort-cpu"), parse_arm("classical").resolved(exported)]
    orders = []
    for _ in range(2):
        _, slices = run_benchmark(exported, arms, config, seed, partial(judge, exported), lambda text: None)
        orders.append([(one.arm, one.block, one.round, one.order) for one in slices if one.phase == "measured"])
    assert orders[0] == orders[1]
    assert len({order[3] for order in orders[0]}) == 3
