"""NaN and infinity in what is compared: never a small error, always told of, and never in a JSON file as a number."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from anelab import workloads
from anelab.bench.measuring.judge import WorkloadJudge
from anelab.errors import AnelabError
from anelab.export.comparison import (
    absolute_errors,
    differing_values,
    relative_errors,
    shared_values,
    values_not_finite,
)
from anelab.export.examples import Examples
from anelab.export.manifest import Artifact, golden_vectors
from anelab.export.parity import Parity, compare
from anelab.files import canonical_json
from anelab.learning.base import GoldenCase, Split
from anelab.learning.config import Tolerance
from anelab.tracking.gates import parity_gate
from tests.conftest import tiny

NAN, INF = np.nan, np.inf
WORKLOAD, CONFIG = workloads.get("read_quality"), tiny().section("read_quality")
LOOSE = Tolerance(max_absolute=1.0, max_relative=1e9, min_agreement=0.0, max_metric_loss=1.0)
ROWS = 40


@pytest.fixture(scope="module")
def split() -> Split:
    rng = np.random.default_rng(0)
    return Split(
        {"model": {"input": rng.random((ROWS, 300), np.float32)}}, {"label": rng.random(ROWS) < 0.5}, np.arange(ROWS)
    )


@pytest.fixture(scope="module")
def module_outputs() -> dict[str, Any]:
    return {"output": np.random.default_rng(1).random((ROWS, 1), np.float32)}


def changed(outputs: dict[str, Any], **places: float) -> dict[str, Any]:
    """With the value at row n where an argument is called row_n."""
    output = outputs["output"].copy()
    for name, value in places.items():
        output[int(name.removeprefix("row_"))] = value
    return {"output": output}


def test_equal_infinities_and_shared_nan_are_no_error_and_all_else_not_finite_is_an_infinite_one() -> None:
    found = np.float32([1, NAN, NAN, 1, INF, INF, -INF, 2, 3e38])
    wanted = np.float32([1, NAN, 1, NAN, INF, -INF, 5, INF, -3e38])
    assert absolute_errors(found, wanted).tolist() == [0, 0, INF, INF, 0, INF, INF, INF, INF]
    assert relative_errors(found, wanted, 1e-3).tolist() == [0, 0, INF, INF, 0, INF, INF, INF, INF]
    assert relative_errors(np.float32([3, 1e-4]), np.float32([2, 0]), 1.0).tolist() == pytest.approx([0.5, 1e-4])
    found_named, wanted_named = {"a": found, "b": found[:1]}, {"a": wanted, "b": wanted[:1]}
    assert differing_values(found_named, wanted_named) == {"a": 5}
    assert shared_values(found_named, wanted_named) == {"a": 2}
    assert values_not_finite({**found_named, "label": np.array(["cat"])}) == {"a": 5}


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_value_that_is_not_finite_breaks_every_tolerance(
    value: float, split: Split, module_outputs: dict[str, Any]
) -> None:
    parity = compare(WORKLOAD, CONFIG, module_outputs, changed(module_outputs, row_7=value, row_9=value), split)
    assert parity.not_finite == {"output": 2}
    assert set(parity.worst_rows[:2]) == {7, 9}
    broken = parity.breaches(LOOSE, 1)
    assert broken[0] == "2 values of output are NaN or infinite, unlike the module's"
    assert "max_absolute is inf, allowed at most 1" in broken
    gate = parity_gate({"evaluator_fp16": parity}, {"evaluator_fp16": LOOSE}, 1)
    assert gate.verdict == "fail"
    assert "2 values of output are NaN or infinite, unlike the module's (evaluator_fp16)" in gate.reason
    canonical_json(gate.as_json())


def test_what_the_module_gives_itself_is_no_breach_and_is_reported(
    split: Split, module_outputs: dict[str, Any]
) -> None:
    module = changed(module_outputs, row_3=NAN, row_4=INF)
    same = compare(WORKLOAD, CONFIG, module, changed(module_outputs, row_3=NAN, row_4=INF), split)
    assert (same.max_absolute, same.max_relative, same.not_finite) == (0, 0, {})
    assert same.breaches(LOOSE, 1) == []
    assert same.remarks() == ["2 values of output are NaN or infinite, as the module's are"]
    mended = compare(WORKLOAD, CONFIG, module, module_outputs, split)
    assert mended.not_finite == {"output": 2}, "a number where the module has none differs, too"
    assert mended.breaches(LOOSE, 1)


def test_parity_goes_through_json_and_back(split: Split, module_outputs: dict[str, Any]) -> None:
    broken = replace(
        compare(WORKLOAD, CONFIG, module_outputs, changed(module_outputs, row_7=NAN), split), metric=float("nan")
    )
    text = canonical_json(broken.as_json())
    assert json.loads(text)["max_absolute"] is None
    again = Parity.from_json(json.loads(text))
    assert (again.max_absolute, again.not_finite) == (INF, {"output": 1})
    texts = broken.breaches(LOOSE, 1)
    assert again.breaches(LOOSE, 1) == texts
    assert "metric loss is nan, allowed at most 1" in texts, "what is no number is within no limit"
    fine = compare(WORKLOAD, CONFIG, module_outputs, module_outputs, split)
    assert Parity.from_json(json.loads(canonical_json(fine.as_json()))) == fine
    older = {name: value for name, value in fine.as_json().items() if "finite" not in name}
    assert Parity.from_json(older) == fine, "parity.json of an earlier version"


def test_a_metric_that_nan_leaves_undefined_is_a_breach_and_no_crash(
    split: Split, module_outputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def metrics(self: object, rows: Any, split: Split) -> dict[str, float]:
        return {} if np.isnan(rows["probability"]).any() else {CONFIG.metric_name: 0.9}

    monkeypatch.setattr(type(WORKLOAD), "metrics", metrics)
    parity = compare(WORKLOAD, CONFIG, module_outputs, changed(module_outputs, row_7=NAN), split)
    assert np.isnan(parity.metric)
    assert any(text.startswith("metric loss is nan") for text in parity.breaches(LOOSE, 1))


def test_another_shape_or_a_missing_output_is_named(split: Split, module_outputs: dict[str, Any]) -> None:
    with pytest.raises(AnelabError, match=r"output output has shape \(40,\), the module's has \(40, 1\)"):
        compare(WORKLOAD, CONFIG, module_outputs, {"output": module_outputs["output"][:, 0]}, split)
    with pytest.raises(AnelabError, match="gave no output output; it gave other"):
        compare(WORKLOAD, CONFIG, module_outputs, {"other": module_outputs["output"]}, split)


@pytest.mark.parametrize(
    ("outputs", "passed", "detail"),
    [
        ({}, True, "largest error 0"),
        ({"row_2": NAN}, False, "1 values of output are NaN or infinite, unlike the module's"),
        ({"row_2": INF, "row_3": -INF}, False, "2 values of output are NaN or infinite, unlike the module's"),
    ],
)
def test_the_bench_times_no_arm_whose_answers_are_no_numbers(
    outputs: dict[str, float], passed: bool, detail: str, split: Split, module_outputs: dict[str, Any]
) -> None:
    judge = WorkloadJudge(WORKLOAD, CONFIG, Examples(split, {"model": module_outputs}))
    arm = cast("Any", SimpleNamespace(tolerance_of=("onnx", "onnxruntime_cpu"), graph="model", variant="fp32"))
    gate = judge.parity(arm, changed(module_outputs, **outputs), 1)
    assert gate.passed is passed
    assert detail in gate.detail
    infinite = WorkloadJudge(WORKLOAD, CONFIG, Examples(split, {"model": changed(module_outputs, row_1=INF)}))
    assert infinite.parity(arm, changed(module_outputs, row_1=INF), 1).passed
    assert "in the shape (40,), the module in (40, 1)" in judge.parity(arm, {"output": np.zeros(40)}, 1).detail


def test_golden_vectors_have_words_for_what_json_has_no_number_for() -> None:
    graph = WORKLOAD.graphs(CONFIG)[0]
    artifact = Artifact("model.mlpackage", graph, "fp16")
    inputs = {"model": {"input": np.zeros((1, 2), np.float32)}}
    given = np.float32([[NAN, 0.1, INF, -INF]])
    (case,) = golden_vectors([GoldenCase({}, inputs)], {artifact: lambda arrays: {"output": given}})
    values = json.loads(canonical_json(case))["outputs"]["model.mlpackage"]["output"]["values"]
    assert values == ["nan", 0.1, "inf", "-inf"]
    np.testing.assert_array_equal(np.array(values, np.float32), given[0])
