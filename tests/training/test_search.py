import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from anelab import workloads
from anelab.errors import AnelabError
from anelab.learning.config import WorkloadConfig
from anelab.training.journal import JournalLock
from anelab.training.search import apply_values, search
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
    assert first.trials[0].values == {"training.learning_rate": 0.01, "model.dropout": 0.2}
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


class Diverging(type(WORKLOAD)):  # type: ignore[misc]
    """Every other training, or every one."""

    fits, every = 0, 2

    def build(self, config: Any, folder: Path) -> Any:
        self.fits += 1
        return super().build(config, folder)

    def step(self, *arguments: Any) -> Any:
        if self.fits % self.every == 0:
            return {"loss": torch.tensor(float("inf"))}
        return super().step(*arguments)


def test_a_trial_that_diverges_is_recorded_and_the_search_goes_on(prepared: Path, tmp_path: Path) -> None:
    found = search(Diverging(), configured("read_quality.search.n_trials=4"), prepared, tmp_path)
    assert [trial.value is None for trial in found.trials] == [False, True, False, True]
    assert found.best is not None
    assert found.best.number in (0, 2)
    hopeless = Diverging()
    hopeless.every = 1
    with pytest.raises(AnelabError, match=r"all 2 trials diverged; lower training\.learning_rate"):
        search(hopeless, configured(), prepared, tmp_path)


def test_a_lock_that_a_killed_search_left_in_a_moved_folder_is_no_obstacle(prepared: Path, tmp_path: Path) -> None:
    """Optuna's own lock would be asked for without a pause, for ever."""
    (tmp_path / "search.journal.lock").symlink_to(tmp_path / "moved away" / "search.journal")
    found = search(WORKLOAD, configured("read_quality.search.n_trials=1"), prepared, tmp_path)
    assert len(found.trials) == 1


def test_waiting_for_a_lock_ends_and_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "search.flock"
    code = (
        "import fcntl, sys, time\n"
        f"handle = open({str(path)!r}, 'w')\n"
        "fcntl.flock(handle, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(AnelabError, match=r"search\.flock: another process has held this lock .* for 0\.1 s"):
            JournalLock(path, 0.1).acquire()
        holder.kill()
    lock = JournalLock(path, 5.0)
    assert lock.acquire()
    lock.release()
