"""What a message says where there is no champion."""

from anelab.tracking.gate_tags import held_back


def test_the_newest_version_that_may_be_champion_says_why_it_is_none() -> None:
    failed = {"gate.rules": "fail", "gate.rules.reason": "below the rule", "gate.champion": "not compared"}
    barred = {"gate.champion": "not eligible", "gate.champion.reason": "only fp32"}
    text = held_back("reads-onnx", "champion", {1: failed, 2: failed, 3: barred})
    assert text.startswith(
        ": its newest version, reads-onnx/2, was held back (rules: below the rule), so name a version"
    )
    assert held_back("reads-onnx", "challenger", {1: failed}) == ""
    assert held_back("reads-onnx", "champion", {1: barred}) == ""
    assert held_back("reads-onnx", "champion", {}) == ""
