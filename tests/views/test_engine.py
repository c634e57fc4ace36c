import json
import re
from typing import Any

import pandas as pd
import pytest

from anelab.bench.arms.placement import Placement
from anelab.bench.estimate import published_pairs
from anelab.bench.results.compare import crossover, level, pair
from anelab.bench.results.samples import Slice
from anelab.bench.results.schema import Report
from anelab.bench.scenario import SINGLE, Scenario
from anelab.export.placement.predicted import PredictedPlacement, Segment
from anelab.views import charts, details, engine
from anelab.views.formatting import DEVICE_COLOURS, device_of, named
from tests.views.made import full, linux, mac, version

Result = tuple[Report, list[Slice]]


@pytest.fixture(scope="module")
def apple() -> Result:
    return mac()


@pytest.fixture(scope="module")
def other() -> Result:
    return linux()


def test_the_answer_names_the_batch_size_from_which_on_it_is_faster(apple: Result) -> None:
    answers = engine.answer(named([apple[0]]))
    assert any(
        "coreml/cpu_and_ne:fp16 beats ort-cpu:fp32 at batch of 64, the largest measured" in text for text in answers
    )
    assert any("coreml/cpu_and_ne:fp16 beats coreml/cpu_only:fp16 at batch of 64" in text for text in answers)
    assert all(text.startswith("Mac16,10, Darwin") for text in answers)


def test_the_answer_names_the_version_that_was_measured(apple: Result) -> None:
    measured = version(4, model="mnist-coreml", variant="fp16")
    (first, *_) = engine.answer(named([apple[0]]), [measured, version(5, sha256="other")])
    assert first.startswith("Mac16,10, Darwin, mnist-coreml/4: ")


def test_the_answer_says_what_holds_at_one_row_and_follows_the_choice_of_arms(apple: Result) -> None:
    results = named([apple[0]])
    (text, *_) = engine.answer(results)
    assert re.search(r"At one row it is slower, 0\.\d+ \[0\.\d+, 0\.\d+\] times as fast\.", text)
    assert engine.answer(results, arms=["coreml/cpu_only:fp16"]) == []
    assert engine.answer(results, variants=["fp32"]) == []
    (never, *_) = engine.answer(named([changed(apple[0], batch_64="slower")]))
    assert "does not beat" in never and "at batch of 64 it is slower" in never


def test_results_of_one_machine_are_told_apart(apple: Result) -> None:
    report = apple[0]
    later = report.model_copy(update={"id": "f" * 64, "measured_at": "2026-12-24T10:00:00+00:00"})
    assert list(named([report])) == ["Mac16,10, Darwin"]
    names = list(named([report, later]))
    assert len(names) == 2
    assert names[1] == "Mac16,10, Darwin, 2026-12-24 10:00"
    versions = [version(4, model="mnist-coreml", variant="fp16")]
    first, second = named([report, later], versions)
    assert first == "Mac16,10, Darwin, mnist-coreml/4"
    assert second == f"{first}, result ffffffff"


def changed(report: Report, **by_cell: str) -> Report:
    """The same with other verdicts of the arm on the Neural Engine."""
    comparisons = [
        one.model_copy(update={"verdict": by_cell[str(one.cell)], "reason": "because"})
        if one.arm == "coreml/cpu_and_ne:fp16" and str(one.cell) in by_cell
        else one
        for one in report.comparisons
    ]
    return report.model_copy(update={"comparisons": comparisons})


def test_what_cannot_be_compared_is_not_said_to_be_beaten(apple: Result) -> None:
    (text, *_) = engine.answer(named([changed(apple[0], batch_64="not comparable")]))
    assert "cannot be told from" in text
    assert "beats" not in text


def test_a_batch_size_off_the_engine_silences_no_other(apple: Result) -> None:
    (text, *_) = engine.answer(named([changed(apple[0], single="not on NE")]))
    assert "at batch of 64, the largest measured" in text
    assert "Off it at 1 of 3 batch sizes" in text
    everywhere = dict.fromkeys(("single", "batch_8", "batch_64"), "not on NE")
    (none, *_) = engine.answer(named([changed(apple[0], **everywhere)]))
    assert "says nothing about the Neural Engine: because" in none


def test_a_provider_is_no_neural_engine() -> None:
    arm = full(
        "ort-coreml", Placement("ort_assignment", {}, {"CoreMLExecutionProvider": 0.9, "CPUExecutionProvider": 0.1})
    )
    assert device_of(arm.model_copy(update={"device": "Core ML"})) == "unavailable"
    assert device_of(full("ort-cuda", Placement("ort_assignment", {}, {"CUDAExecutionProvider": 1.0}))) == "GPU"


def test_nothing_is_answered_of_a_machine_without_a_neural_engine(other: Result) -> None:
    assert engine.answer(named([other[0]])) == []
    assert not engine.has_neural_engine([other[0]])


def test_a_crossover_holds_for_all_larger_sizes(apple: Result) -> None:
    comparisons = apple[0].comparisons
    assert crossover(comparisons, "coreml/cpu_and_ne:fp16", "coreml/cpu_only:fp16") == 64
    assert crossover(comparisons, "coreml/cpu_only:fp16", "ort-cpu:fp32") == 64
    starts = engine.crossovers(named([apple[0]]))
    assert set(starts["rows"]) == {64}
    assert engine.crossovers(named([apple[0]]), variants=["fp32"]).empty
    assert crossover(comparisons, "nobody", "ort-cpu:fp32") is None
    slower = [
        one.model_copy(update={"verdict": "slower"}) if one.cell == Scenario("batch", 64) else one
        for one in comparisons
    ]
    assert crossover(slower, "coreml/cpu_and_ne:fp16", "ort-cpu:fp32") is None


def test_speedups_are_those_of_the_result(apple: Result) -> None:
    frame = engine.speedups(named([apple[0]]), ["coreml/cpu_and_ne:fp16"])
    row = frame[(frame["cell"] == "batch_64") & (frame["against"] == "ort-cpu:fp32")].iloc[0]
    assert row["speedup"] == pytest.approx(700 / 150, rel=0.01)
    assert row["low"] <= row["speedup"] <= row["high"]
    assert (row["verdict"], row["device"], row["scenario"]) == ("faster", "NE", "batch of 64")
    assert row["noise_low"] < 1 < row["noise_high"]
    assert engine.speedups(named([apple[0]]), variants=["int8"]).empty


def test_placement_is_a_share_or_unavailable_and_never_zero(apple: Result, other: Result) -> None:
    unseen = {"placements": {1: Placement("none")}, "device": "Core ML"}
    arms = {**other[0].arms, "ort-cpu:fp32": other[0].arms["ort-cpu:fp32"].model_copy(update=unseen)}
    frame = engine.placements(named([apple[0], other[0].model_copy(update={"arms": arms})]))
    assert set(frame["device"]) == {"NE", "CPU", "unavailable"}
    assert (frame["share"] > 0).all()
    classical = frame[frame["arm"] == "classical:fp32"]
    assert set(classical["device"]) == {"CPU"}
    assert set(classical["source"]) == {"it has no other device"}
    assert list(classical["rows"]) == [1, 8, 64]


def test_a_percentile_with_too_few_samples_is_empty(apple: Result) -> None:
    frame = engine.percentiles(named([apple[0]]), SINGLE)
    assert list(frame["p50 (µs)"].round(-1)) == [20, 60, 120]
    assert frame["p99.9 (µs)"].isna().all()
    assert set(frame["samples"]) == {400}


def test_the_distribution_is_of_raw_samples(apple: Result) -> None:
    report, slices = apple
    frame = engine.distribution(report, slices, SINGLE, ["ort-cpu:fp32"])
    assert set(frame["arm"]) == {"ort-cpu:fp32"}
    assert frame["us"].is_monotonic_increasing
    assert frame["us"].iloc[100] == pytest.approx(20, rel=0.01)
    assert (frame["share"].iloc[0], frame["share"].iloc[-1]) == (0, 1)


def test_what_is_not_known_is_empty_or_unavailable(apple: Result, other: Result) -> None:
    states = details.states(named([apple[0], other[0]])).set_index("arm")
    assert states.loc["coreml/cpu_and_ne:fp16", "energy of an inference above idle (mJ)"] == 0.42
    assert states.loc["classical:fp32", "energy source"] == "unavailable"
    assert states.loc["classical:fp32", "parity"] == "– not asked"
    assert pd.isna(states.loc["classical:fp32", "energy of an inference above idle (mJ)"])
    assert states.loc["coreml/cpu_only:fp16", "cold compile (ms)"] == 80
    assert states.loc["coreml/cpu_only:fp16", "cached load (ms)"] == 3
    assert states.loc["coreml/cpu_only:fp16", "parity"] == "✓ passed"
    assert "largest error 1e-4" in set(details.gates(named([apple[0]]))["detail"])


def test_what_was_not_timed_says_why(other: Result) -> None:
    frame = details.not_timed(named([other[0]]))
    assert (
        list(frame["why"]) == ["it is not here", "hang while slice: no answer in 10 s"]
        or "hung" in frame["why"].iloc[1]
    )


def test_predicted_placement_is_named_so_in_every_column_that_tells_a_device(other: Result) -> None:
    report = other[0]
    placed = PredictedPlacement("M4", 1, 4, 0, 0.1, 0.1, (Segment("CPU", 4),), 0, 31)
    (estimate,) = report.estimates
    made = report.model_copy(update={"estimates": [estimate.model_copy(update={"placement": placed})]})
    frame = details.predicted_placements(named([made]))
    assert list(frame["predicted"]) == ["CPU"] and list(frame["for"]) == ["M4, macOS 27.0.1"]
    assert list(frame["Neural Engine from rows, predicted"]) == [31]
    assert details.predicted_placements(named([report])).empty


def test_estimates_and_published_cases_have_no_column_of_measurements(other: Result) -> None:
    columns = set(details.estimates(named([other[0]])).columns)
    assert {"CPU, estimate", "Neural Engine, estimate"} <= columns
    assert not columns & set(engine.percentiles(named([other[0]]), SINGLE).columns)
    assert len(details.published_pairs(published_pairs())) == len(published_pairs())


def test_two_arms_of_one_result_are_paired_from_the_samples(apple: Result) -> None:
    report, slices = apple
    found = pair(report, slices, "coreml/cpu_and_ne:fp16", "coreml/cpu_only:fp16")
    kept = [
        one
        for one in report.comparisons
        if one.against == "coreml/cpu_only:fp16" and one.arm.startswith("coreml/cpu_and")
    ]
    assert found == kept


def test_a_level_has_an_interval_over_processes(apple: Result) -> None:
    found = level(apple[0], "ort-cpu:fp32", SINGLE)
    assert found is not None
    median, low, high = found
    assert low <= median <= high
    assert median == pytest.approx(20_000, rel=0.01)


def spec(chart: Any) -> dict[str, Any]:
    drawn: dict[str, Any] = json.loads(chart.to_json())
    return drawn


@pytest.mark.parametrize("name", ["speedup", "placement", "distribution", "sweep"])
def test_charts_have_a_colour_a_device_and_a_unit_on_every_axis(name: str, apple: Result) -> None:
    report, slices = apple
    speedups = engine.speedups(named([report]))
    drawn = spec(
        {
            "speedup": lambda: charts.speedup_chart(speedups[speedups["cell"] == "single"], "ort-cpu:fp32"),
            "placement": lambda: charts.placement_chart(engine.placements(named([report]))),
            "distribution": lambda: charts.distribution_chart(engine.distribution(report, slices, SINGLE)),
            "sweep": lambda: charts.sweep_chart(
                engine.sweep(named([report])), "us", engine.crossovers(named([report]))
            ),
        }[name]()
    )
    text = json.dumps(drawn)
    assert DEVICE_COLOURS["NE"] in text
    assert DEVICE_COLOURS["CPU"] in text
    for side in ("x", "y"):
        titles = [
            axis["title"] for axis in found(drawn, side) if axis.get("type") == "quantitative" and axis.get("title")
        ]
        assert all(any(unit in title for unit in ("µs", "times", "%", "rows")) for title in titles), titles
    assert found(drawn, "x")


def test_arms_of_one_device_have_colours_of_their_own(apple: Result) -> None:
    frame = engine.sweep(named([apple[0]]))
    scale = charts.arm_encodings(frame)["color"].to_dict()["scale"]
    assert len(scale["domain"]) == len(set(scale["range"])) == frame["arm"].nunique() == 3
    colours = dict(zip(scale["domain"], scale["range"], strict=True))
    assert colours["ort-cpu:fp32"] == DEVICE_COLOURS["CPU"]
    assert colours["coreml/cpu_and_ne:fp16"] == DEVICE_COLOURS["NE"]


def found(node: Any, key: str) -> list[dict[str, Any]]:
    if isinstance(node, dict):
        own = [node[key]] if isinstance(node.get(key), dict) else []
        return own + [one for value in node.values() for one in found(value, key)]
    return [one for value in node for one in found(value, key)] if isinstance(node, list) else []
