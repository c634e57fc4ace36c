from dataclasses import asdict
from pathlib import Path

import pytest

from anelab import workloads
from anelab.training.search import apply_values, search
from anelab.workloads.config import WorkloadConfig
from tests.conftest import tiny

WORKLOAD = workloads.get("read_quality")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw, out = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("prepared")
    config = configured()
    WORKLOAD.simulate(config, raw)
    WORKLOAD.prepare(config, sorted(raw.iterdir()), out)
    return out


def configured(*overrides: str) -> WorkloadConfig:
    section: WorkloadConfig = tiny(*overrides).section("read_quality")
    return section


def test_equal_inputs_give_equal_trials_and_the_first_is_params_yaml(prepared: Path, tmp_path: Path) -> None:
    config = configured("read_quality.search.n_trials=7")
    first, again = (search(WORKLOAD, config, prepared, tmp_path / name) for name in ("a", "b"))
    assert asdict(first) == asdict(again)
    assert first.trials[0].values == {"training.learning_rate": 0.001, "model.dropout": 0.2}
    assert len({str(trial.values) for trial in first.trials}) == 7
    assert first.best is not None
    assert first.best.value == max(trial.value for trial in first.trials)
    assert (tmp_path / "a" / "search.journal").is_file()
    other = search(WORKLOAD, config.model_copy(update={"seed": 43}), prepared, tmp_path / "c")
    assert [trial.values for trial in other.trials[1:]] != [trial.values for trial in first.trials[1:]]


def test_values_outside_the_space_are_still_tried_first(prepared: Path, tmp_path: Path) -> None:
    config = configured("read_quality.training.learning_rate=0.5")
    assert search(WORKLOAD, config, prepared, tmp_path).trials[0].values["training.learning_rate"] == 0.5


def test_a_metric_to_minimise_is_minimised(prepared: Path, tmp_path: Path) -> None:
    found = search(WORKLOAD, configured("read_quality.metric=min:ece"), prepared, tmp_path)
    assert found.best is not None
    assert found.best.value == min(trial.value for trial in found.trials)


def test_no_trials_is_no_search(prepared: Path, tmp_path: Path) -> None:
    found = search(WORKLOAD, configured("read_quality.search.n_trials=0"), prepared, tmp_path)
    assert found.best is None
    assert found.trials == []


def test_values_are_checked_like_params_yaml() -> None:
    changed = apply_values(configured(), {"training.learning_rate": 0.02, "model.dropout": 0.0})
    assert changed.training.learning_rate == 0.02
    assert changed.seed == 42
    with pytest.raises(ValueError, match="dropout"):
        apply_values(configured(), {"model.dropout": 2.0})
