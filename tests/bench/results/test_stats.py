import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anelab.bench.arms.placement import Placement
from anelab.bench.results import stats
from anelab.bench.results.samples import AGAIN, Slice, read_samples, write_samples
from anelab.bench.results.schema import Comparison
from anelab.bench.results.summary import Timed, not_on_ne
from anelab.bench.scenario import SINGLE, Scenario


@pytest.mark.parametrize(("percentile", "count"), [(50, 11), (90, 64), (95, 130), (99, 662), (99.9, 6636)])
def test_a_percentile_needs_as_many_samples_as_loadgen_asks(percentile: float, count: int) -> None:
    assert stats.least_count(percentile) == count
    name = f"p{percentile:g}"
    assert name in stats.percentiles(np.arange(count, dtype=float))
    assert name not in stats.percentiles(np.arange(count - 1, dtype=float))


def test_outliers_are_labelled_by_tukeys_fences() -> None:
    samples = np.array([10.0, 11, 12, 13, 14, 18.5, 25, 1])
    labels = stats.outlier_labels(samples)
    low, high = np.percentile(samples, [25, 75])
    far = (samples > high + 3 * (high - low)) | (samples < low - 3 * (high - low))
    mild = (samples > high + 1.5 * (high - low)) | (samples < low - 1.5 * (high - low))
    assert labels.tolist() == (far.astype(int) + mild.astype(int)).tolist()
    assert labels.max() > 0


rounds = st.lists(
    st.lists(st.tuples(st.floats(1, 1e6), st.floats(1, 1e6)), min_size=1, max_size=5), min_size=2, max_size=12
)


@given(rounds)
@settings(max_examples=50, deadline=None)
def test_swapping_the_arms_turns_the_ratio_over(blocks: list[list[tuple[float, float]]]) -> None:
    one = stats.paired(blocks, 200, 1)
    other = stats.paired([[(arm, against) for against, arm in block] for block in blocks], 200, 1)
    assert one is not None and other is not None
    assert one.log == pytest.approx(-other.log, abs=1e-9)
    assert one.low <= one.log + 1e-9 and one.log <= one.high + 1e-9
    assert one.p_value == pytest.approx(other.p_value)


@given(rounds, st.floats(0.01, 100))
@settings(max_examples=50, deadline=None)
def test_a_faster_clock_changes_no_ratio(blocks: list[list[tuple[float, float]]], factor: float) -> None:
    one = stats.paired(blocks, 200, 1)
    other = stats.paired([[(a * factor, b * factor) for a, b in block] for block in blocks], 200, 1)
    assert one is not None and other is not None
    assert other.log == pytest.approx(one.log, abs=1e-6)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        blocks = [[(math.exp(0.2 + noise), 1.0)] for noise in rng.normal(0, 0.05, 10)]
        found = stats.paired(blocks, 1000, 0)
        assert found is not None
        hits += found.low <= 0.2 <= found.high
    assert hits / 300 > 0.88


def test_one_disturbed_process_does_not_decide() -> None:
    blocks = [[(1.0 + 0.001 * index, 1.0)] for index in range(9)] + [[(3.0, 1.0)]]
    found = stats.paired(blocks, 2000, 0)
    assert found is not None
    assert found.high < math.log(1.01)


def test_the_sign_flip_is_exact_for_few_blocks() -> None:
    assert stats.sign_flip(np.full(6, 0.1), 0) == pytest.approx(2 / 64)
    assert stats.sign_flip(np.array([0.1, -0.1]), 0) == 1.0
    assert stats.paired([[(2.0, 1.0)]], 100, 0) is None


def slices_of(ratio: float, blocks: int = 10, twin: float = 1.0, noise: float = 0.003) -> list[Slice]:
    rng = np.random.default_rng(7)
    found = []
    for block in range(blocks):
        for turn in range(3):
            for order, (arm, scale) in enumerate((("a", 1.0), (f"a{AGAIN}", twin), ("b", ratio))):
                ns = rng.normal(10_000 * scale * (1 + rng.normal(0, noise)), 20, 30).astype(np.int64)
                found.append(Slice(arm, SINGLE, block, turn, order, "measured", block * 100 + turn, ns))
    return found


def verdict(slices: list[Slice], left_out: dict[int, list[str]] | None = None, why: str = "") -> Comparison:
    timed = Timed.of(slices, left_out or {}, 2000, 0)
    return timed.comparison(SINGLE, "b", "a", timed.floor(SINGLE, "a"), why)


def test_verdicts() -> None:
    assert verdict(slices_of(0.5)).verdict == "faster"
    assert verdict(slices_of(1.1)).verdict == "slower"
    assert verdict(slices_of(1.0)).verdict == "within noise"
    assert verdict(slices_of(0.5, blocks=5)).verdict == "not comparable"
    assert verdict(slices_of(0.5), why="none of it was placed there").verdict == "not on NE"


def test_without_a_twin_the_noise_is_unknown_and_nothing_is_claimed() -> None:
    found = verdict([one for one in slices_of(0.5) if not one.arm.endswith(AGAIN)])
    assert (found.verdict, found.floor) == ("not comparable", None)
    assert "noise is not known" in found.reason


def test_a_difference_smaller_than_the_noise_of_equals_is_none() -> None:
    """The twin shows that the machine tells equals apart by 20 %: ten are then nothing."""
    assert verdict(slices_of(1.1, twin=1.0)).verdict == "slower"
    found = verdict(slices_of(1.1, twin=1.2))
    assert found.verdict == "within noise"
    assert found.floor > 0.15


def test_blocks_that_are_no_evidence_are_left_out_of_verdicts_and_kept_in_cells() -> None:
    heated = {block: ["thermal pressure: heavy"] for block in range(6)}
    found = verdict(slices_of(0.5), heated)
    assert (found.verdict, found.blocks) == ("not comparable", 4)
    assert "thermal pressure: heavy" in found.reason
    assert Timed.of(slices_of(0.5), heated, 100, 0).cells("b")[SINGLE].processes == 10


def test_cells_say_what_was_measured() -> None:
    slices = slices_of(1.0)
    slices.append(Slice("b", SINGLE, 0, -1, -1, "warm-up", 1, np.full(8, 9, np.int64), steady=False))
    cell = Timed.of(slices, {}, 100, 0).cells("b")[SINGLE]
    assert (cell.samples, cell.processes, cell.rows) == (900, 10, 1)
    assert (cell.steady_processes, cell.steady) == (9, False)
    assert set(cell.percentiles_ns) == {"p50", "p90", "p95", "p99"}
    assert cell.rows_per_s == pytest.approx(1e9 / cell.median_ns)
    assert len(cell.process_medians_ns) == 10


def test_a_process_that_drifts_is_not_steady() -> None:
    slices = [
        Slice("b", SINGLE, 0, turn, 0, "measured", turn, np.full(20, 1000 + 300 * turn, np.int64)) for turn in range(4)
    ]
    assert not Timed.of(slices, {}, 100, 0).cells("b")[SINGLE].steady


@pytest.mark.parametrize(
    ("placement", "says"),
    [
        (Placement(source="none"), "unavailable"),
        (Placement(source="compute_plan", share={"CPU": 1.0}, ne_share=0.0), "most on the CPU"),
        (Placement(source="compute_plan", share={"NE": 0.9, "CPU": 0.1}, ne_share=0.9), ""),
    ],
)
def test_without_evidence_nothing_is_said_of_the_neural_engine(placement: Placement, says: str) -> None:
    assert says in not_on_ne(placement)
    assert bool(not_on_ne(placement)) == bool(says)


def test_samples_come_back_from_parquet_as_they_were(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "samples.parquet"
    slices = slices_of(1.0, blocks=2)
    slices.append(Slice("b", Scenario("server"), 0, 0, 0, "measured", 5, np.arange(1, 71), None, 123.5, False))
    slices.append(Slice("b", SINGLE, 0, -1, -1, "warm-up", 6, np.arange(1, 9), True))
    assert write_samples(path, slices) == sum(len(one.ns) for one in slices)
    again = read_samples(path)
    assert len(again) == len(slices)
    for one, other in zip(slices, again, strict=True):
        assert {**vars(one), "ns": one.ns.tolist()} == {**vars(other), "ns": other.ns.tolist()}
