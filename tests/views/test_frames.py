"""What the other pages show, of records made up."""

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anelab.bench.results.compare import Differences, compare_reports
from anelab.bench.scenario import SINGLE, Scenario
from anelab.tracking.reading import GateRow
from anelab.tracking.replicates import Replicates
from anelab.tracking.runs import STAGES
from anelab.tracking.timed_versions import TimedVersion
from anelab.views import compare, data, formatting, history, lineage, overview, pareto, search
from anelab.views.compare import Judged
from tests.bench.made import report
from tests.views.made import linux, mac, run, version


def test_overview_names_holders_and_what_is_missing() -> None:
    rows = [version(3, aliases=("challenger",)), version(2)]
    frame = overview.holders_table(rows)
    assert list(frame["alias"]) == ["champion", "challenger"]
    assert list(frame["version"]) == [2, 3]
    assert frame["gates"].iloc[0] == "✓ quality, ✓ size"
    stages = dict.fromkeys(("prepare", "search", "train", "export", "bench", "register"), 1)
    ne = [mac()[0]]
    assert overview.missing("mnist", stages, rows, ne) == []
    lacks = overview.missing("mnist", {**stages, "bench": 0}, [version(results={})], ne)
    assert [one.command for one in lacks] == ["dvc repro bench@mnist", "anelab bench run mnist"]
    coreml = version(model="mnist-coreml", variant="fp16")
    (lack,) = overview.missing("mnist", stages, [*rows, coreml], [])
    assert lack.command == "anelab bench request mnist-coreml/2 --host system=Darwin"
    assert overview.missing("mnist", stages, [*rows, coreml], ne) == []
    assert overview.missing("mnist", {}, [], [])[-1].command == "anelab run mnist"


def test_arms_are_compared_most_significant_first_and_noise_is_hidden() -> None:
    comparisons = mac()[0].comparisons
    frame = compare.arms(comparisons, with_noise=False)
    assert frame["scenario"].iloc[0] in ("batch of 64", "one row")
    assert not frame["verdict"].str.contains("noise").any()
    assert len(compare.arms(comparisons, with_noise=True)) == len(comparisons)
    far = compare.arms(comparisons, True)["speed-up [95 % interval]"]
    assert far.str.match(r"\d+\.\d+ \[\d+\.\d+, \d+\.\d+\]").all()


def test_two_results_show_what_changed() -> None:
    old = report({"a": 1000, "b": 2000, "gone": 5})
    new = report({"a": 1000, "b": 2500, "new": 5}, seed=1)
    frame = compare.results(compare_reports(old, new), with_noise=False)
    assert list(frame["change"]) == ["▼ regression", "✕ lost", "+ added"]
    assert "≈ unchanged" in list(compare.results(compare_reports(old, new), with_noise=True)["change"])


def judged(number: int, metrics: dict[str, float], drawn: dict[str, object] | None = None, **more: Any) -> Judged:
    """A version with its replicates, which are all of one plan."""
    figures = {name: np.asarray(values, dtype=np.float32) for name, values in (drawn or {}).items()}
    kept = Replicates("plan", figures) if drawn else None
    return Judged(version(number, metrics=metrics, **more), run(), kept)


def test_versions_show_differences_with_intervals_most_significant_first() -> None:
    rng = np.random.default_rng(0)
    shared, own = rng.normal(0, 0.01, 500), rng.normal(0, 0.01, 500)
    one = judged(1, {"accuracy": 0.9, "nll": 0.1, "ece": 0.02}, {
        "accuracy": 0.9 + shared, "nll": 0.1 + shared, "ece": 0.02 + own,
    })  # fmt: skip
    two = judged(2, {"accuracy": 0.91, "nll": 0.2, "ece": 0.021}, {
        "accuracy": 0.91 + shared + own / 10, "nll": 0.2 + shared + own / 10, "ece": 0.021 - own,
    })  # fmt: skip
    frame = compare.versions([one, two], with_noise=False)
    assert list(frame["what"]) == ["metric nll", "metric accuracy"]  # not ece, which is noise
    told = frame.set_index("what")["mnist-onnx/2 minus mnist-onnx/1 [95 % interval]"]
    assert told["metric nll"].startswith("+0.1000 [+0.09") and told["metric nll"].endswith("▼ worse")
    assert told["metric accuracy"].endswith("▲ better")
    assert re.fullmatch(r"0\.900 \[0\.88\d, 0\.91\d\]|0\.90 \[0\.88, 0\.92\]", frame["mnist-onnx/1"].iloc[1])
    everything = compare.versions([one, two], with_noise=True)
    assert list(everything["what"])[:3] == ["metric nll", "metric accuracy", "metric ece"]
    assert "package torch" in list(everything["what"])


def test_versions_without_replicates_are_not_judged() -> None:
    one, two = judged(1, {"accuracy": 0.9}), judged(2, {"accuracy": 0.92})
    (text,) = compare.versions([one, two], False)["mnist-onnx/2 minus mnist-onnx/1 [95 % interval]"]
    assert text == "+0.02, how sure is not known"
    other = judged(3, {"accuracy": 0.92}, test_digest="another")
    (text,) = compare.versions([one, other], False)["mnist-onnx/3 minus mnist-onnx/1 [95 % interval]"]
    assert text == "not comparable: another test set"
    kept = {"accuracy": np.linspace(0.8, 1, 50)}
    apart = Judged(version(4, metrics={"accuracy": 0.9}), run(), Replicates("other rows", kept))
    assert apart.minus(judged(1, {"accuracy": 0.9}, kept), "accuracy") is None


def test_machines_stand_side_by_side_with_intervals() -> None:
    frame = compare.pivot([mac()[0], linux()[0]], SINGLE)
    assert len(frame.columns) == 3
    row = frame.set_index("model").loc["mnist, ort-cpu:fp32"]
    assert all("µs [" in text for text in row)
    assert pd.isna(frame.set_index("model").loc["mnist, classical:fp32"].iloc[0])
    lopsided = linux()[0]
    arms = {
        name: arm.model_copy(update={"cells": {SINGLE: arm.cells[SINGLE]}}) if name.startswith("classical") else arm
        for name, arm in lopsided.arms.items()
    }
    wide = compare.pivot([lopsided.model_copy(update={"arms": arms})], Scenario("batch", 8))
    assert list(wide["model"]) == ["mnist, ort-cpu:fp32"]


def test_datasets_have_an_interval_where_it_is_known() -> None:
    sure = judged(1, {"accuracy": 0.97}, {"accuracy": np.linspace(0.95, 0.99, 100)})
    frame = compare.datasets([sure, judged(2, {"accuracy": 0.9})])
    assert list(frame.iloc[:, 1]) == ["accuracy 0.970 [0.951, 0.989]", "accuracy 0.9"]


def test_what_could_not_be_compared_is_no_agreement() -> None:
    left_out = linux()[0].comparisons[0].model_copy(update={"verdict": "not comparable"})
    assert list(compare.arms([left_out], with_noise=False)["verdict"]) == ["– not comparable"]
    found = Differences(too_few=["a single"])
    assert list(compare.results(found, with_noise=False)["change"]) == ["– not comparable"]


def test_texts_from_elsewhere_bring_no_link_and_no_tag() -> None:
    text = formatting.harmless("![x](https://evil.example/p.png) <img src=x>\nnext | row")
    assert "](" not in text and "<" not in text and "\n" not in text and " | " not in text


def test_a_table_goes_into_markdown_and_latex() -> None:
    frame = pd.DataFrame({"a|b": ["x_1 & 50 %"], "n": [1.23456]})
    assert formatting.markdown(frame).splitlines() == ["| a\\|b | n |", "| --- | --- |", "| x_1 & 50 % | 1.235 |"]
    text = formatting.latex(frame)
    assert r"x\_1 \& 50 \% & 1.235 \\" in text
    assert text.startswith(r"\begin{tabular}{lr}") and text.endswith(r"\end{tabular}")


def test_the_front_is_what_nothing_feasible_beats() -> None:
    frame = pd.DataFrame(
        {
            "quality": [0.99, 0.97, 0.97, 0.90, 0.995],
            "us": [50.0, 10.0, 20.0, 5.0, 1.0],
            "size_kb": [10.0] * 5,
            "eligible": [True, True, True, True, False],
        }
    )
    judged = pareto.judged(frame, higher_is_better=True)
    assert list(judged["front"]) == [True, True, False, True, False]
    limited = pareto.judged(frame, True, least_quality=0.95, most_us=15)
    assert list(limited["feasible"]) == [False, True, False, False, False]
    assert list(limited["front"]) == [False, True, False, False, False]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(1, 100), st.floats(1, 100)), min_size=1, max_size=30))
def test_nothing_off_the_front_is_beaten_by_nothing(rows: list[tuple[float, float, float]]) -> None:
    frame = pd.DataFrame(rows, columns=["quality", "us", "size_kb"]).assign(eligible=True)
    judged = pareto.judged(frame, higher_is_better=True)
    assert judged["front"].any()
    costs = np.column_stack([-frame["quality"], frame["us"], frame["size_kb"]])
    for index, on_front in enumerate(judged["front"]):
        beaten = ((costs <= costs[index]).all(1) & (costs < costs[index]).any(1)).any()
        assert on_front == (not beaten)


def test_points_are_of_the_file_that_the_arm_ran() -> None:
    made = mac()[0]
    frame = pareto.points([version(results={"x": "b1"})], {"b1": made})
    assert set(frame["arm"]) == set(made.arms)
    assert pareto.points([version(sha256="other")], {"b1": made}).empty
    assert pareto.promote_command("mnist-onnx/2") == "anelab model promote mnist-onnx/2"


def test_history_is_of_one_host_and_marks_changes() -> None:
    values = [100.0, 101, 99, 100, 150, 151]
    runs = [
        run("bench", number, metrics={"single.ort-cpu.fp32.median_us": value}) for number, value in enumerate(values)
    ]
    other = run("bench", 9, metrics={"single.ort-cpu.fp32.median_us": 5.0}, tags={"anelab.host": "other"})
    assert history.latencies([*runs, other]) == ["single.ort-cpu.fp32"]
    assert history.hosts([*runs, other], "single.ort-cpu.fp32") == ["other", "f" * 16]
    assert history.hosts(runs, "single.b") == []
    made = linux()[0]
    names = history.machines([made.host.fingerprint, "other!"], [made])
    assert names == {made.host.fingerprint: formatting.host_name(made), "other!": "unknown machine (other!)"}
    frame = history.latency([*runs, other], "single.ort-cpu.fp32", "f" * 16, {})
    assert list(frame["value"]) == values
    assert list(frame["change"]) == ["too few before"] * 3 + ["as before", "regression", "as before"]


def test_without_a_champion_the_newest_versions_gates_say_why() -> None:
    failed = (GateRow("rules", "fail", "gain over mean_quality -0.1", {}), GateRow("size", "pass", "", {}))
    barred = (GateRow("champion", "not eligible", "only fp32 may be champion", {}),)
    rows = [version(3, aliases=(), gates=barred), version(2, aliases=(), gates=failed)]
    ((title, judged),) = overview.judged(rows).items()
    assert title == "There is no champion. Gates of mnist-onnx/2, the newest version"
    assert judged.version == 2
    (lack,) = [one for one in overview.missing("mnist", dict.fromkeys(STAGES, 1), rows, []) if "champion" in one.what]
    assert "(the newest failed rules: gain over mean_quality -0.1)" in lack.what
    held = overview.judged([version(4)])
    assert list(held) == ["Gates of mnist-onnx/4, the champion"]
    as_good = version(gates=(GateRow("rules", "no better", "", {}),))
    assert overview.holders_table([as_good])["gates"].iloc[0] == "≈ rules (no better than the best plain rule)"


def test_history_begins_anew_with_another_network_and_takes_every_way_of_measuring() -> None:
    cnn, mlp = ({"networks": json.dumps({"ort-cpu:fp32": {"operators": {"Gemm": n}}})} for n in (1, 2))
    known = [{}, cnn, {"networks": "damaged"}, mlp, mlp]
    methods = [{"bench.slice_ms": "5"}, {"slice_ms": "5.0"}, {"bench.slice_ms": "5.0"}, {"slice_ms": "5"}, {}]
    runs = [
        run("bench", number, metrics={"single.ort-cpu.fp32.median_us": value}, params={**network, **method})
        for number, (value, network, method) in enumerate(zip([37.0, 37, 38, 12, 12], known, methods, strict=True))
    ]
    timed = TimedVersion("mnist-onnx", 3, "fp32", True, "abc", "accuracy", 0.948, "sha")
    frame = history.latency(runs[:4], "single.ort-cpu.fp32", "f" * 16, {runs[3].id: [timed]})
    assert list(frame["change"]) == ["too few before"] * 3 + ["another network"]
    assert frame.iloc[3][["version", "commit", "accuracy, test set"]].tolist() == [
        "mnist-onnx/3 (champion)",
        "abc",
        0.948,
    ]
    assert len(history.latency(runs, "single.ort-cpu.fp32", "f" * 16, {})) == 1  # measured in another way


def test_metrics_of_other_data_are_left_out() -> None:
    runs = [run(number=number, metrics={"test_accuracy": 0.9 + number / 100}) for number in range(3)]
    runs[0] = run(number=0, metrics={"test_accuracy": 0.5}, datasets={"mnist": "x"})
    assert history.metrics(runs) == ["test_accuracy"]
    assert list(history.metric(runs, "test_accuracy", 1, {})["value"]) == [0.91, 0.92]


def test_the_direction_of_a_metric_is_known_or_not_guessed() -> None:
    assert history.better_when("test_accuracy", [version()]) == 1
    assert history.better_when("test_accuracy", [version(metric="min:accuracy")]) == -1
    assert history.better_when("test_nll", [version()]) == -1
    assert history.better_when("test_prevalence", [version()]) == 0


def trials() -> pd.DataFrame:
    rows = [(0, 0.9, "0.001", "relu"), (1, None, "0.5", "relu"), (2, 0.95, "0.01", "gelu"), (3, 0.93, "0.02", "gelu")]
    return search.trials(
        [
            run(
                "trial",
                number,
                metrics={} if value is None else {"value": value},
                params={"rate": rate, "kind": kind},
                tags={"anelab.trial": str(number)},
            )
            for number, value, rate, kind in rows
        ]
    )


def test_a_study_has_numbers_where_there_are_numbers() -> None:
    frame = trials()
    assert frame["rate"].dtype.kind == "f"
    assert search.settings(frame) == ["rate", "kind"]
    best = search.best_so_far(frame, higher_is_better=True)
    assert list(best["best"]) == [0.9, 0.9, 0.95, 0.95]
    long = search.parallel(frame, ["rate", "kind"])
    assert set(long["trial"]) == {0, 2, 3}  # what diverged has no result
    assert long["place"].between(0, 1).all()
    for chart in (
        search.history_chart(best, "accuracy"),
        search.parallel_chart(frame, ["rate", "kind"], "accuracy"),
        search.slice_chart(frame, "rate", "accuracy"),
        search.slice_chart(frame, "kind", "accuracy"),
        search.importance_chart({"rate": 0.8, "kind": 0.2}),
    ):
        assert json.loads(chart.to_json())["$schema"]


def test_lineage_goes_from_data_to_benchmarks() -> None:
    train, export = run("train"), run("export")
    text = lineage.graph(version(), {"train": train, "export": export}, {"0123": 'a "host"'})
    assert text.count("->") == 4
    for piece in ("data0 -> train", "train -> export", "export -> version", "version -> bench0"):
        assert piece in text
    assert "a 'host'" in text
    facts = lineage.origin(version(), train).set_index("what")["value"]
    assert facts["commit"].startswith("0" * 39)
    assert facts["data mnist"] == f"md5 {'d' * 32}"
    before = lineage.parent(version(3), [version(3), version(2), version(1), version(2, variant="int8")])
    assert before is not None and before.version == 2
    assert lineage.parent(version(1), [version(1)]) is None


def test_a_data_card_gives_counts_profiles_and_facts() -> None:
    card = {
        "origin": "somewhere",
        "rows": {"train": 3, "test": 1},
        "classes": {"train": {"PASS": 2, "FAIL": 1}, "test": {"PASS": 1}},
        "facts": {
            "lengths": {"50": 3, "75": 1},
            "quality": [30.0, 31.0, 29.0],
            "duplicates": 4,
            "overlaps": [{"files": "a and b", "pairs": 7}],
        },
        "warnings": ["mind"],
    }
    counts = data.counts(card)
    assert list(counts["share"].round(2)) == [0.67, 0.33, 1.0]
    series = data.series(card)
    assert list(series) == ["lengths", "quality"]
    assert list(series["lengths"]["at"]) == [50, 75]
    assert dict(data.facts(card).to_numpy()) == {
        "origin": "somewhere",
        "duplicates": "4",
        "overlaps.1.files": "a and b",
        "overlaps.1.pairs": "7",
    }
    for name, frame in series.items():
        assert json.loads(data.series_chart(name, frame).to_json())["$schema"]


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (1.5234, 1.4711, 1.5822, "1.52 [1.47, 1.58]"),
        (1.00012, 0.99991, 1.00031, "1.0001 [0.9999, 1.0003]"),
        (None, None, None, "unavailable"),
        (120.0, 100.0, 140.0, "120 [100, 140]"),
    ],
)
def test_a_ratio_has_as_many_digits_as_its_interval_bears(
    value: float | None, low: float | None, high: float | None, text: str
) -> None:
    assert formatting.ratio_text(value, low, high) == text
