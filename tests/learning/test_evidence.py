"""Rules of evidence: a report that breaks one is not written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anelab import workloads
from anelab.errors import AnelabError
from anelab.files import read_json
from anelab.learning.base import Split
from anelab.learning.evidence import MODEL, Evidence, evidence_report
from tests.conftest import tiny
from tests.shared import copy_workspace


def stated(**change: Any) -> Evidence:
    given = {"trivial_baseline": "simple", "contamination": "none", "negatives": "all", "left_out": {"odd": 2}}
    return Evidence(**{**given, "rows_read": 302, "rows_used": 300, **change})


def report(found: Evidence, groups: int = 100) -> dict[str, Any]:
    """Of a model that is right more often than a simple rule."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 300)
    flags = np.zeros((300, 5), np.int8)
    flags[:200, 0] = 1
    targets = {"label": label, "candidate": rng.random(300) < 0.8, "weight": np.ones(300), "flags": flags}
    split = Split({}, targets, np.arange(300) % groups)
    sides = {}
    for name, share in ((MODEL, 0.9), ("simple", 0.4)):
        chosen = np.where(rng.random(300) < share, label, rng.integers(0, 3, 300))
        probability = 0.1 + 0.7 * np.eye(3)[chosen] + rng.random((300, 3)) * 1e-3
        sides[name] = {"probability": probability / probability.sum(axis=1, keepdims=True), "decision": chosen}
    config = tiny().section("splice")
    return evidence_report(workloads.get("splice"), config, split, found, sides)


def test_figures_come_with_intervals_gains_coverage_and_parts() -> None:
    found = report(stated(subgroups_unknown=["non_coding"]))
    assert (found["rows"], found["groups"]) == (300, 100)
    assert found["coverage"] == {"left_out": {"odd": 2}, "rows_read": 302, "rows_used": 300}
    low, high = found["intervals"]["pr_auc_splice"]
    assert 0 < low < high <= 1 and found["gains"]["simple"]["pr_auc_splice"][0] > 0
    assert found["gains"]["simple"]["nll"][0] > 0  # a loss that is lower is a gain
    alternative = found["subgroups"]["alternative"]
    assert alternative["support"] > 50 and alternative["gains"]["simple"][0] > 0
    assert alternative["pr_auc_splice"][MODEL] > alternative["pr_auc_splice"]["simple"]
    assert "hard" in found["subgroups"] and found["subgroups_unknown"] == ["non_coding"]


@pytest.mark.parametrize(
    ("change", "groups", "message"),
    [
        ({"trivial_baseline": "absent"}, 100, "the trivial baseline absent was not computed"),
        ({"rows_read": 310}, 100, "the sources have 310 rows, but 302 are in a split or left out"),
        ({"contamination": ""}, 100, "nothing is said of what the model's inputs may have been trained on"),
        ({}, 1, "all test rows are one group"),
    ],
)
def test_a_broken_rule_of_evidence_ends_the_report(change: dict[str, Any], groups: int, message: str) -> None:
    with pytest.raises(AnelabError, match=message):
        report(stated(**change), groups)


def test_the_report_of_training_keeps_the_rules(tmp_path: Path) -> None:
    found = read_json(copy_workspace(tmp_path, "splice") / "reports/splice/train.json")["evidence"]
    assert found["trivial_baseline"] in found["gains"] and {"base", "boosted_trees"} <= set(found["gains"])
    assert found["coverage"]["rows_read"] == found["coverage"]["rows_used"]
    assert set(found["subgroups"]) == {"hard"} and "alternative" in found["subgroups_unknown"]
