import math
from pathlib import Path

import pytest

from anelab.bench.arms.placement import Placement
from anelab.bench.results.compare import compare_reports
from anelab.bench.results.report import parse_report
from anelab.bench.results.schema import Conditions, Report
from anelab.bench.results.subject import Network
from anelab.views.tables import differences_text, duration, report_text
from tests.bench.made import arm, host, report


def test_what_got_slower_and_faster_is_told_from_what_did_not() -> None:
    old = report({"a": 1000, "b": 2000, "c": 3000})
    new = report({"a": 1020, "b": 2500, "c": 2000}, seed=1)
    found = compare_reports(old, new)
    assert [one.arm for one in found.regressions] == ["b"]
    assert [one.arm for one in found.improvements] == ["c"]
    assert [one.arm for one in found.unchanged] == ["a"]
    assert found.regressions[0].ratio == pytest.approx(0.8, rel=0.01)
    assert found.regressed
    text = differences_text(found)
    assert "regressions" in text and "improvements" in text and "unchanged" in text


def test_arms_that_are_gone_new_or_failing_are_listed() -> None:
    old = report({"a": 1000, "b": 2000, "gone": 5})
    new = report({"a": 1000, "new": 5}, {"a": arm(), "b": arm(available=False), "new": arm()}, seed=1)
    found = compare_reports(old, new)
    assert found.newly_failing == {"b": "it is not here"}
    assert found.missing == ["gone"]
    assert found.added == ["new"]
    assert found.regressed


def with_network(made: Report, parameters: int, quality: float) -> Report:
    """The same of a network of so many parameters, whose answers are so good."""
    networks = {"model": Network(operators={"Gemm": 2}, parameters=parameters)}
    arms = {name: one.model_copy(update={"quality": quality}) for name, one in made.arms.items()}
    return made.model_copy(update={"arms": arms, "subject": made.subject.model_copy(update={"networks": networks})})


def test_another_network_is_no_regression_of_the_one_before() -> None:
    old = with_network(report({"a": 1000, "b": 2000}), 9234, 0.974)
    new = with_network(report({"a": 3000, "b": 1000}, seed=1), 109_386, 0.948)
    found = compare_reports(old, new)
    assert not found.regressed
    assert (found.regressions, found.improvements, found.unchanged) == ([], [], [])
    assert {one.arm for one in found.other_network} == {"a", "b"}
    text = differences_text(found)
    for words in ("another network", "2 operators, 9,234 parameters", "accuracy, examples", "0.974", "-0.026"):
        assert words in text
    again = with_network(report({"a": 3000, "b": 2000}, seed=1), 9234, 0.974)
    assert [one.arm for one in compare_reports(old, again).regressions] == ["a"]
    assert [one.arm for one in compare_reports(report({"a": 1000}), report({"a": 3000})).regressions] == ["a"]


def test_the_id_of_a_result_that_knows_no_networks_stays_what_it_was() -> None:
    made = report({"a": 1000})
    assert "networks" not in made.as_json()["subject"]
    assert parse_report(made.as_json(), "it") == made
    known = with_network(made, 1, 0.5)
    assert known.as_json()["subject"]["networks"]["model"]["parameters"] == 1


def test_nothing_new_is_no_regression() -> None:
    found = compare_reports(report({"a": 1000}), report({"a": 1000}, seed=1))
    assert not found.regressed
    assert differences_text(found).startswith("unchanged")


def test_what_is_no_evidence_makes_no_regression() -> None:
    """Five blocks of the new one were on battery, and six are needed; nor is one made of other settings."""
    battery = [
        Conditions(
            block=block,
            load_average=0,
            other_cpu_cores=0,
            thermal="nominal",
            power="battery",
            low_power=False,
            left_out=["on battery"],
        )
        for block in range(5)
    ]
    found = compare_reports(report({"a": 1000}), report({"a": 2000}, conditions=battery))
    assert (found.regressions, found.too_few) == ([], ["a single"])
    other = report({"a": 2000})
    other = other.model_copy(update={"settings": other.settings.model_copy(update={"slice_ms": 100.0})})
    assert "another slice_ms" in compare_reports(report({"a": 1000}), other).reason


def test_times_of_different_hosts_are_not_compared() -> None:
    found = compare_reports(report({"a": 1000}), report({"a": 5000}, host=host("0" * 16)))
    assert "different hosts" in found.reason
    assert not found.regressions


def test_an_arm_for_the_neural_engine_that_is_elsewhere_is_listed() -> None:
    on_cpu = Placement(source="compute_plan", share={"NE": 0.2, "CPU": 0.8}, ne_share=0.2)
    on_ne = Placement(source="compute_plan", share={"NE": 0.9, "CPU": 0.1}, ne_share=0.9)
    arms = {"cpu": arm(), "x": arm(True, placement=on_cpu), "y": arm(True, placement=on_ne), "z": arm(True)}
    new = report({"cpu": 1000, "x": 900, "y": 800, "z": 700}, arms)
    assert compare_reports(new, new).not_primary == {"x": "CPU", "z": "unavailable"}


def test_only_an_observed_placement_gets_a_verdict_and_core_ml_is_compared_with_its_own_cpu() -> None:
    on_ne = Placement(source="compute_plan", share={"NE": 0.9, "CPU": 0.1}, ne_share=0.9)
    off_ne = Placement(source="compute_plan", share={"CPU": 1.0}, ne_share=0.0)
    names = ("ort-cpu:fp32", "coreml/cpu_only:fp16", "coreml/cpu_and_ne:fp16")
    for placement, expected in ((on_ne, "faster"), (off_ne, "not on NE"), (Placement(source="none"), "not on NE")):
        arms = {
            names[0]: arm(),
            names[1]: arm(kind="coreml", placement=off_ne),
            names[2]: arm(True, placement=placement, kind="coreml"),
        }
        found = report(dict(zip(names, (1000, 900, 500), strict=True)), arms)
        verdicts = {(one.arm, one.against): one.verdict for one in found.comparisons}
        assert verdicts[names[2], names[1]] == expected
        assert verdicts[names[2], names[0]] == expected
        assert verdicts[names[1], names[0]] == "faster"


def test_nothing_is_claimed_against_an_arm_that_was_not_where_it_should_be() -> None:
    off_ne = Placement(source="compute_plan", share={"CPU": 1.0}, ne_share=0.0)
    found = report({"ne": 1000, "cpu": 2000}, {"ne": arm(True, placement=off_ne), "cpu": arm()})
    assert [one.verdict for one in found.comparisons] == ["not on NE"]


def test_most_of_it_must_be_on_the_neural_engine() -> None:
    little = Placement(source="compute_plan", share={"NE": 0.001, "CPU": 0.999}, ne_share=0.001)
    found = report({"cpu": 1000, "ne": 500}, {"cpu": arm(), "ne": arm(True, placement=little)})
    assert [one.verdict for one in found.comparisons] == ["not on NE"]
    assert "0% of it" in found.comparisons[0].reason


def test_a_report_says_what_it_does_not_know() -> None:
    made = report({"a": 1000, "b": 2000}, {"a": arm(), "b": arm(), "c": arm(available=False)})
    text = report_text(made, [])
    assert "unavailable" in text
    assert "not timed: c: it is not here" in text
    assert "within 1.0% of 1 is no difference" in text
    assert "n<662" in text and "95 % interval" in text


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0.4, "0 ns"),
        (999, "999 ns"),
        (1000, "1.00 us"),
        (999_600, "1.00 ms"),
        (12_345, "12.3 us"),
        (123_456_789, "123 ms"),
        (5e9, "5.00 s"),
        (2e12, "2000 s"),
    ],
)
def test_durations_have_three_digits_and_a_unit(ns: float, text: str) -> None:
    assert duration(ns) == text


def test_json_schema_and_report_go_together(tmp_path: Path) -> None:
    found = report({"a": 1000})
    again = Report.model_validate(found.as_json())
    assert again == found
    schema = Report.model_json_schema()
    assert schema["properties"].keys() == found.as_json().keys()
    assert math.isfinite(found.seconds)
