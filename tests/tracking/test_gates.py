from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from anelab import workloads
from anelab.errors import AnelabError, UsageError
from anelab.export.parity import Parity
from anelab.learning.base import Split
from anelab.learning.config import Tolerance
from anelab.tracking.gates import (
    champion_gate,
    debug_gate,
    limit_gates,
    not_compared,
    parity_gate,
    passed,
    quality_gate,
    recorded_gate,
    rules_gate,
    size_gate,
)
from anelab.tracking.never_below import never_below_gate
from anelab.tracking.promotion_record import KEPT, Promotion, PromotionRecord, read_promotions, write_promotions
from anelab.tracking.records import GateJson, problem_of
from tests.conftest import tiny

MNIST, READS = workloads.get("mnist"), workloads.get("read_quality")


def rows(decision: Any) -> dict[str, Any]:
    probability = np.full((len(decision), 10), 0.01)
    probability[np.arange(len(decision)), decision] = 0.91
    return {"probability": probability, "decision": decision}


def split_of(label: Any, groups: Any = None) -> Split:
    return Split({}, {"label": label}, np.arange(len(label)) if groups is None else groups)


def configured(**registry: Any) -> Any:
    config = tiny().section("mnist")
    return config.model_copy(update={"registry": config.registry.model_copy(update=registry)})


LABEL = np.arange(1000) % 10


def with_errors(count: int, seed: int = 0) -> dict[str, Any]:
    decision = LABEL.copy()
    wrong = np.random.default_rng(seed).choice(1000, count, replace=False)
    decision[wrong] = (decision[wrong] + 1) % 10
    return rows(decision)


@pytest.mark.parametrize(("errors", "verdict"), [(20, "pass"), (60, "no better"), (120, "no better")])
def test_whether_learning_pays_is_told_with_an_interval_and_holds_nothing_back(errors: int, verdict: str) -> None:
    rules = {"worse": with_errors(300, 3), "best": with_errors(60, 2)}
    (gate,) = rules_gate(MNIST, configured(), split_of(LABEL), with_errors(errors, 1), rules)
    assert (gate.verdict, passed([gate])) == (verdict, True)
    assert gate.figures["gain"] == pytest.approx((60 - errors) / 1000)
    assert "gain over best, the best plain rule, which has 0.94" in gate.reason
    assert ("it is not shown that learning pays" in gate.reason) == (verdict == "no better")
    (none,) = rules_gate(MNIST, configured(), split_of(LABEL), with_errors(errors, 1), {})
    assert (none.verdict, none.reason) == ("not compared", "there is no plain rule that has accuracy")


@pytest.mark.parametrize(("errors", "verdict"), [(20, "pass"), (60, "no better"), (65, "no better"), (120, "fail")])
def test_without_a_threshold_the_best_plain_rule_is_what_binds(errors: int, verdict: str) -> None:
    rules, config = {"worse": with_errors(300, 3), "best": with_errors(60, 2)}, configured(threshold=None, margin=0.05)
    (gate,) = rules_gate(MNIST, config, split_of(LABEL), with_errors(errors, 1), rules)
    assert (gate.verdict, passed([gate])) == (verdict, verdict != "fail")
    assert ("the lower bound must reach -0.05" in gate.reason) == (verdict == "fail")
    assert quality_gate(config, {"accuracy": 0.1}) == []
    with pytest.raises(AnelabError, match="leaves accuracy undefined"):
        quality_gate(config, {})


def test_a_rule_whose_figure_is_undefined_is_no_rival() -> None:
    config = tiny("read_quality.metric=max:precision").section("read_quality")
    label = np.arange(1000) % 2
    never = {"probability": np.zeros(1000), "decision": np.zeros(1000, np.int64)}
    always = {"probability": np.ones(1000), "decision": np.ones(1000, np.int64)}
    split = split_of(label.astype(bool))
    assert [one.verdict for one in rules_gate(READS, config, split, always, {"never": never})] == ["not compared"]
    (gate,) = rules_gate(READS, config, split, always, {"never": never, "always": always})
    assert (gate.verdict, gate.figures["gain"]) == ("no better", 0)


@pytest.mark.parametrize(("candidate", "verdict"), [(50, "pass"), (45, "pass"), (120, "fail")])
def test_not_worse_than_the_champion_is_judged_with_an_interval(candidate: int, verdict: str) -> None:
    gate = champion_gate(MNIST, configured(margin=0.03), split_of(LABEL), with_errors(candidate, 1), with_errors(50, 2))
    assert gate.verdict == verdict
    assert gate.figures["gain"] == pytest.approx((50 - candidate) / 1000)
    assert gate.figures["low"] < gate.figures["gain"] < gate.figures["high"]
    assert "gain over the champion" in gate.reason


def test_pairing_sees_a_small_loss_that_two_separate_intervals_would_not() -> None:
    """Twenty errors more on top of the champion's own fifty: 2 points, every one on the same rows."""
    champion = with_errors(50, 3)
    decision = champion["decision"].copy()
    right = np.flatnonzero(decision == LABEL)[:20]
    decision[right] = (decision[right] + 1) % 10
    gate = champion_gate(MNIST, configured(margin=0.005), split_of(LABEL), rows(decision), champion)
    assert gate.verdict == "fail"
    assert gate.figures["high"] < 0
    assert gate.figures["high"] - gate.figures["low"] < 0.02


def test_too_few_independent_groups_cannot_prove_that_nothing_is_lost() -> None:
    candidate, champion = LABEL.copy(), LABEL.copy()
    candidate[:50] += 1
    champion[-50:] += 1
    sides, config = (rows(candidate % 10), rows(champion % 10)), configured(margin=0.03)
    assert champion_gate(MNIST, config, split_of(LABEL), *sides).verdict == "pass"
    assert champion_gate(MNIST, config, split_of(LABEL, np.arange(1000) // 250), *sides).verdict == "fail"


def test_a_metric_to_minimise_turns_the_comparison_round() -> None:
    config = configured(margin=0.01).model_copy(update={"metric": "min:nll"})
    better = champion_gate(MNIST, config, split_of(LABEL), with_errors(20), with_errors(100, 1))
    worse = champion_gate(MNIST, config, split_of(LABEL), with_errors(100, 1), with_errors(20))
    assert (better.verdict, worse.verdict) == ("pass", "fail")
    assert better.figures["gain"] > 0


def test_simple_gates_give_figures_and_a_sentence() -> None:
    config = configured(threshold=0.9, max_size_bytes=1000)
    assert [gate.verdict for gate in quality_gate(config, {"accuracy": 0.9})] == ["pass"]
    (low,) = quality_gate(config, {"accuracy": 0.85})
    assert (low.verdict, low.reason) == ("fail", "accuracy is 0.85, at least 0.9 is asked")
    assert size_gate(config, 1000).verdict == "pass"
    assert size_gate(config, 1001).reason == "the model has 1,001 bytes, at most 1,000 are allowed"
    assert debug_gate({"workload": "mnist"}).verdict == "pass"
    assert debug_gate({"debug": "limit"}).verdict == "fail"
    assert passed([not_compared("first"), debug_gate({})])
    assert not passed([low])


def test_limits_of_other_figures_are_gates_of_their_own() -> None:
    config = configured(limits={"nll": 0.4, "macro_f1": 0.8})
    held = limit_gates(config, {"nll": 0.4, "macro_f1": 0.8})
    assert [(gate.name, gate.verdict) for gate in held] == [("macro_f1", "pass"), ("nll", "pass")]
    broken = limit_gates(config, {"nll": 0.41})
    assert [gate.verdict for gate in broken] == ["fail", "fail"]
    assert [gate.reason for gate in broken] == [
        "macro_f1 is undefined on the test set, at least 0.8 is asked",
        "nll is 0.41, at most 0.4 is asked",
    ]
    assert limit_gates(configured(), {}) == []


def test_parity_is_asked_of_every_executor() -> None:
    good = Parity(10, 1e-5, 1e-6, 1e-5, 1.0, 0.9, 0.9, [0])
    bad = replace(good, max_absolute=0.2, agreement=0.5)
    tolerance = Tolerance(max_absolute=1e-3, max_relative=None, min_agreement=0.999, max_metric_loss=0.0)
    names = {"evaluator_fp32": tolerance, "coreml_all": tolerance}
    assert parity_gate(dict.fromkeys(names, good), names, 1).verdict == "pass"
    failed = parity_gate({"evaluator_fp32": good, "coreml_all": bad}, names, 1)
    assert failed.verdict == "fail"
    assert "max_absolute is 0.2, allowed at most 0.001 (coreml_all)" in failed.reason
    assert failed.figures == {"max_absolute": 0.2, "agreement": 0.5}


def test_a_champion_of_which_only_the_value_is_known_still_binds() -> None:
    config = configured(margin=0.01)
    assert recorded_gate(config, 0.965, 0.97).verdict == "pass"
    worse = recorded_gate(config, 0.245, 0.967)
    assert worse.verdict == "fail"
    assert "the champion itself is not in this store" in worse.reason


def promotion(name: str) -> Promotion:
    return Promotion(f"sha-{name}", name, "key", "fp32", "max:accuracy", 0.9, "t", "register")


def test_promotions_are_recorded_and_rolled_back(tmp_path: Any) -> None:
    path = tmp_path / "champion.json"
    first, second, other = (recorded(name) for name in "abc")
    promotions = PromotionRecord().promote(first).promote(second)
    assert promotions.champion == second
    assert promotions.challenger == first
    write_promotions(path, "mnist-onnx", promotions)
    write_promotions(path, "mnist-coreml", PromotionRecord().promote(other))
    assert read_promotions(path, "mnist-onnx") == promotions
    back = promotions.rollback("mnist-onnx")
    assert back.champion is not None
    assert (back.champion.content, back.champion.by) == (first.content, "rollback")
    assert (back.demoted, back.challenger) == ((second.content,), None)
    assert back.promote(second).demoted == ()
    with pytest.raises(AnelabError, match="has had no champion before"):
        back.rollback("mnist-onnx")


def recorded(name: str) -> Promotion:
    """With digests that a file may hold."""
    digest = name * 64
    return replace(promotion(name), sha256=digest, content=digest, input_key=digest, test_digest=digest)


def test_a_model_rolled_back_to_is_no_longer_demoted() -> None:
    promotions = PromotionRecord().promote(promotion("a")).promote(promotion("b")).rollback("m").promote(promotion("c"))
    assert promotions.promote(promotion("b")).rollback("m").rollback("m").demoted == ("b", "c")


def test_promoting_the_same_model_again_changes_nothing_not_even_in_another_file() -> None:
    promotions = PromotionRecord().promote(promotion("a")).promote(promotion("b")).rollback("m")
    twin = replace(promotion("a"), sha256="other", by="register")
    assert promotions.promote(twin) == promotions
    many = PromotionRecord()
    for index in range(KEPT + 5):
        many = many.promote(promotion(str(index)))
    assert len(many.former) == KEPT


def test_a_persons_choice_is_not_undone_by_registering_the_other_again() -> None:
    promotions = PromotionRecord().promote(promotion("a")).promote(promotion("b")).choose(promotion("a"))
    assert promotions.champion == promotion("a")
    assert promotions.demoted == ("b",)
    assert promotions.challenge(promotion("a")) == promotions
    assert promotions.choose(promotion("a")) == promotions


def test_comparisons_are_counted_by_test_set_and_once_a_candidate() -> None:
    promotions = PromotionRecord().compared("t1", "a").compared("t1", "a").compared("t1", "b").compared("t2", "a")
    assert promotions.comparisons == {"t1": ["a", "b"], "t2": ["a"]}


@pytest.mark.parametrize("text", ["{", '{"models": {"m": {"champion": {"odd": 1}}}}'])
def test_a_damaged_record_is_named(text: str, tmp_path: Any) -> None:
    path = tmp_path / "champion.json"
    path.write_text(text)
    with pytest.raises(AnelabError, match=r"champion\.json: .*restore it with git"):
        read_promotions(path, "m")


@pytest.mark.parametrize("name", ["recall at 5", "f1.macro/long", "top:3", "x" * 200, "größe"])
def test_a_gate_has_the_name_of_any_figure(name: str) -> None:
    """registry.limits makes a gate of each figure that it names."""
    gate = {"name": name, "verdict": "pass", "reason": "", "figures": {name: 1.0}}
    assert problem_of(GateJson, gate) == ""
    assert "should match pattern" in problem_of(GateJson, {**gate, "name": "a'b"})


SPLICE = workloads.get("splice")


def splice_rows(errors: int, of: int, seed: int = 0) -> dict[str, Any]:
    """Chances that are right but for so many rows of a class."""
    label = np.arange(900) % 3
    probability = np.full((900, 3), 0.02) + 0.94 * np.eye(3)[label]
    wrong = np.random.default_rng(seed).choice(np.flatnonzero(label == of), errors, replace=False)
    probability[wrong] = probability[wrong][:, [2, 1, 0]]
    return {"probability": probability, "decision": probability.argmax(axis=1)}


def splice_split() -> Split:
    flags = np.full((900, 5), -1, np.int8)
    flags[:90, 0] = 1
    targets = {"label": np.arange(900) % 3, "candidate": np.arange(900) >= 300, "flags": flags}
    return Split({}, targets, np.arange(900))


def test_a_model_must_be_worse_than_the_base_in_no_figure_and_no_subgroup() -> None:
    config = tiny("splice.registry.never_below=base").section("splice")
    base = {"base": splice_rows(30, 0, 1)}
    (same,) = never_below_gate(SPLICE, config, splice_split(), splice_rows(25, 0), base)
    assert same.verdict == "pass"
    assert "fewer than 50 sites: " in same.reason and "ap_donor (alternative)" in same.reason
    assert same.figures["compared"] > 20
    (worse,) = never_below_gate(SPLICE, config, splice_split(), splice_rows(200, 0), base)
    assert worse.verdict == "fail" and worse.figures["below"] > 3
    assert "ap_donor (all rows) [-" in worse.reason and "ap_donor (hard)" in worse.reason
    unasked = tiny("splice.registry.never_below=null").section("splice")
    assert never_below_gate(SPLICE, unasked, splice_split(), {}, {}) == []
    with pytest.raises(UsageError, match=r"registry.never_below is base, but the plain rules of splice are trees"):
        never_below_gate(SPLICE, config, splice_split(), base["base"], {"trees": base["base"]})
