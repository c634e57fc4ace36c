"""Scenarios and medians: values whose text is made and read in one place."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from anelab.bench.results.metrics import Median
from anelab.bench.scenario import KINDS, Scenario
from tests.conftest import SOURCE

scenarios = st.one_of(
    st.sampled_from([Scenario("single"), Scenario("server")]),
    st.builds(Scenario, st.sampled_from(["batch", "offline"]), st.integers(1, 10**6)),
    st.builds(lambda gap: Scenario("idle", gap_ms=gap), st.integers(0, 10**6)),
)


@given(scenarios)
def test_its_text_leads_back_to_it(scenario: Scenario) -> None:
    assert Scenario.parse(str(scenario)) == scenario


@pytest.mark.parametrize(
    ("text", "kind", "rows", "call_rows", "gap_ms"),
    [
        ("single", "single", 1, 1, None),
        ("batch_64", "batch", 64, 64, None),
        ("offline_4096", "offline", 4096, 64, None),
        ("server", "server", 1, 1, None),
        ("idle_10ms", "idle", 1, 1, 10),
    ],
)
def test_what_a_text_means(text: str, kind: str, rows: int, call_rows: int, gap_ms: int | None) -> None:
    found = Scenario.parse(text)
    assert (found.kind, found.rows, found.call_rows, found.gap_ms) == (kind, rows, call_rows, gap_ms)


@pytest.mark.parametrize("text", ["", "batch", "batch_0", "batch_-1", "idle_5", "single_1", "batch_4 ", "batch_٣"])
def test_what_is_no_scenario_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be single, batch_N, offline_N, server or idle_Nms, but got"):
        Scenario.parse(text)


@pytest.mark.parametrize("value", [5, None, [], {"kind": "single"}])
def test_what_is_no_text_is_refused_with_the_rest(value: object) -> None:
    with pytest.raises(ValidationError, match="must be single, batch_N"):
        Holder.model_validate({"one": value, "many": {}})


class Holder(BaseModel):
    one: Scenario
    many: dict[Scenario, int]


def test_in_json_it_is_its_text_also_as_a_key() -> None:
    text = '{"one":"batch_4","many":{"single":1,"idle_3ms":2}}'
    held = Holder.model_validate_json(text)
    assert held.many[Scenario("idle", gap_ms=3)] == 2
    assert held.model_dump_json() == text
    assert held.model_dump(mode="json") == {"one": "batch_4", "many": {"single": 1, "idle_3ms": 2}}
    assert Holder.model_json_schema()["properties"]["one"]["type"] == "string"
    with pytest.raises(ValidationError, match="must be single"):
        Holder.model_validate({"one": "batch", "many": {}})


@pytest.mark.parametrize(
    ("arm", "metric"),
    [
        ("ort-cpu:fp32", "batch_64.ort-cpu.fp32.median_us"),
        ("ort-cpu/2:int8", "batch_64.ort-cpu.2.int8.median_us"),
        ("coreml/cpu_and_ne:fp16", "batch_64.coreml.cpu_and_ne.fp16.median_us"),
    ],
)
def test_a_median_has_one_name_and_leads_back_to_its_arm(arm: str, metric: str) -> None:
    median = Median(Scenario("batch", 64), arm)
    assert median.metric == metric
    assert Median.of_metric(metric) == Median.of_label(median.label) == median


@pytest.mark.parametrize(
    "name", ["test_accuracy", "nothing.median_us", "batch.ort-cpu.fp32.median_us", "single.median_us"]
)
def test_another_metric_is_no_median(name: str) -> None:
    assert Median.of_metric(name) is None


def test_nobody_else_takes_the_text_apart() -> None:
    """Prefixes of scenarios' texts are in scenario.py alone; a setting may be called as one of them."""
    prefixes = {f"{kind}_" for kind in KINDS}
    for path in SOURCE.rglob("*.py"):
        if path.name != "scenario.py":
            texts = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
            assert not prefixes & {text for text in texts if isinstance(text, str)}, path
