"""The rule against the plans of an M4 that others published."""

import os
from pathlib import Path

import pytest
from benchmarks.placement_rule import by_published, by_shapes, figures, read_models

DATA = Path(os.environ.get("ANELAB_TEST_DATA", "")) / "neural_engine" / "placement_ops.json"


@pytest.mark.skipif(not DATA.is_file(), reason="needs ANELAB_TEST_DATA with neural_engine/placement_ops.json")
def test_the_rule_finds_the_plans() -> None:
    models, left_out = read_models(DATA)
    assert (len(models), left_out) == (451, 19)
    published, shapes = figures(models, by_published), figures(models, by_shapes)
    assert round(published["models"] * 451) == 409 and round(published["operators"] * 2180) == 2135
    assert shapes["models or ties"] >= 0.85 and shapes["operators"] >= 0.95
