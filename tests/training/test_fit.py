import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anelab import workloads
from anelab.errors import AnelabError, UsageError
from anelab.learning.config import WorkloadConfig
from anelab.training.checkpoint import load_checkpoint, save_checkpoint
from anelab.training.device import choose_device
from anelab.training.fit import Fitted, Progress, _note, _out_of_patience, fit
from anelab.training.optimizer import make_optimizer, make_schedule
from tests.conftest import ROOT, tiny

WORKLOAD = workloads.get("read_quality")
PREFIX = "read_quality.training."

KILLED = """
import os, signal, sys
from pathlib import Path
from anelab import workloads
from anelab.training.fit import fit
from tests.conftest import tiny
config = tiny("read_quality.training.max_epochs=4", "read_quality.training.schedule=cosine").section("read_quality")
def stop(epoch, figures):
    if epoch == 1:
        os.kill(os.getpid(), signal.SIGKILL)
fit(workloads.get("read_quality"), config, Path(sys.argv[1]), Path(sys.argv[2]), (stop,))
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw, out = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("prepared")
    config = tiny().section("read_quality")
    WORKLOAD.simulate(config, raw)
    WORKLOAD.prepare(config, sorted(raw.iterdir()), out)
    return out


def configured(*overrides: str) -> WorkloadConfig:
    section: WorkloadConfig = tiny(*(PREFIX + text for text in overrides)).section("read_quality")
    return section


def same(left: Fitted, right: Fitted) -> bool:
    pairs = zip(left.module.state_dict().values(), right.module.state_dict().values(), strict=True)
    return left.progress == right.progress and all(torch.equal(a, b) for a, b in pairs)


def test_a_killed_training_goes_on_and_ends_with_the_same_bits(prepared: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(prepared), str(tmp_path / "work")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    config = configured("max_epochs=4", "schedule=cosine")
    epochs: list[int] = []
    resumed = fit(WORKLOAD, config, prepared, tmp_path / "work", (lambda epoch, _: epochs.append(epoch),))
    assert epochs == [2, 3]
    assert same(resumed, fit(WORKLOAD, config, prepared))


def test_a_damaged_checkpoint_of_an_interrupted_run_does_not_block(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"cut")
    assert same(fit(WORKLOAD, configured(), prepared, tmp_path), fit(WORKLOAD, configured(), prepared))
    assert "training starts again" in capsys.readouterr().err


def test_the_best_epoch_is_kept_and_patience_ends_training(prepared: Path) -> None:
    fitted = fit(WORKLOAD, configured("max_epochs=60", "patience=2", "learning_rate=0.2"), prepared)
    progress = fitted.progress
    values = [figures["validation_balanced_accuracy"] for figures in progress.history]
    assert progress.epoch < 60
    assert progress.best_value == max(values) == values[progress.best_epoch]
    assert progress.epoch - 1 - progress.best_epoch == 2
    last = fitted.last_state["module"]
    assert any(not torch.equal(value, last[name]) for name, value in fitted.module.state_dict().items())


def test_of_equal_epochs_the_last_is_kept() -> None:
    progress = Progress()
    config = configured()
    assert [_note(progress, {"validation_balanced_accuracy": value}, config) for value in (0.5, 0.9, 0.9, 0.8)] == [
        *(True, True, True),
        False,
    ]
    assert (progress.best_epoch, progress.best_value) == (2, 0.9)


def test_patience_counts_epochs_below_the_best() -> None:
    config = configured("patience=3")
    assert not _out_of_patience(Progress(epoch=5, best_epoch=2), config)
    assert _out_of_patience(Progress(epoch=6, best_epoch=2), config)
    assert not _out_of_patience(Progress(epoch=99, best_epoch=2), configured("patience=null"))


def test_an_observer_can_end_training(prepared: Path) -> None:
    assert fit(WORKLOAD, configured("max_epochs=5"), prepared, None, (lambda epoch, _: epoch == 1,)).progress.epoch == 2


@pytest.mark.parametrize(
    ("preset", "steps", "epochs"), [("fast-dev-run", 1, 1), ("overfit", 10, 2), ("limit", 1, 2), ("null", 14, 2)]
)
def test_debug_presets_do_less(preset: str, steps: int, epochs: int, prepared: Path) -> None:
    counting = Counting()
    fitted = fit(counting, configured(f"debug={preset}", "batch_size=32"), prepared)
    assert fitted.progress.epoch == epochs
    assert counting.steps == steps * epochs


class Counting(type(WORKLOAD)):  # type: ignore[misc]
    steps = 0

    def step(self, *arguments: Any) -> Any:
        self.steps += 1
        return super().step(*arguments)


def test_accumulating_two_halves_is_one_whole_batch(prepared: Path) -> None:
    common = ("max_epochs=1", "schedule=constant")
    without = ("read_quality.model.dropout=0", "read_quality.model.augment=0")
    whole = tiny(*(PREFIX + text for text in (*common, "batch_size=420")), *without).section("read_quality")
    halves = tiny(*(PREFIX + text for text in (*common, "batch_size=210", "accumulate=2")), *without)
    left, right = (fit(WORKLOAD, config, prepared) for config in (whole, halves.section("read_quality")))
    for a, b in zip(left.module.state_dict().values(), right.module.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    gradients = []

    class Looking(type(WORKLOAD)):  # type: ignore[misc]
        def step(self, module: Any, batch: Any, backward: Any) -> Any:
            result = super().step(module, batch, backward)
            gradients.append(float(module.layers[0].weight.grad.norm()))
            return result

    fit(Looking(), whole, prepared)
    fit(Looking(), halves.section("read_quality"), prepared)
    assert gradients[2] == pytest.approx(gradients[0], rel=1e-3)  # the second half completes the whole


def test_clipping_bounds_the_step(prepared: Path) -> None:
    """Gradients far below Adam's epsilon hardly move the weights; without clipping they do."""

    def moved(*overrides: str) -> float:
        config = configured("max_epochs=1", *overrides)
        torch.manual_seed(config.seed)
        before = WORKLOAD.build(config, prepared).state_dict()
        after = fit(WORKLOAD, config, prepared).module.state_dict()
        return sum(float((after[name] - value).norm()) for name, value in before.items())

    assert moved("clip_norm=1e-9") < 0.2 * moved()


@pytest.mark.parametrize("schedule", ["cosine", "linear", "onecycle"])
def test_schedules_end_low_after_exactly_the_steps_there_are(schedule: str) -> None:
    module = torch.nn.Linear(2, 1)
    config = configured(f"schedule={schedule}").training
    optimizer = make_optimizer(module, config)
    made = make_schedule(optimizer, config, 50)
    assert made is not None
    for _ in range(50):
        optimizer.step()
        made.step()
    assert optimizer.param_groups[0]["lr"] < config.learning_rate / 100


def test_bf16_mixed_trains_and_differs_from_full_precision(prepared: Path) -> None:
    full, mixed = (fit(WORKLOAD, configured(f"precision={text}"), prepared) for text in ("'32'", "bf16-mixed"))
    assert not same(full, mixed)
    assert all(value.dtype == torch.float32 for value in mixed.module.state_dict().values())
    assert mixed.progress.best_value > 0.7


def test_what_this_machine_lacks_is_said() -> None:
    missing = next(name for name in ("mps", "cuda") if not getattr(torch.backends, name, torch.cuda).is_available())
    with pytest.raises(UsageError, match=f"training.device={missing} is not available here; this machine has cpu"):
        choose_device(configured(f"device={missing}").training)
    with pytest.raises(UsageError, match="16-mixed needs cuda or mps"):
        choose_device(configured("device=cpu", "precision=16-mixed").training)


def test_a_loss_that_is_not_finite_ends_with_advice(prepared: Path) -> None:
    class Broken(type(WORKLOAD)):  # type: ignore[misc]
        def step(self, module: Any, batch: Any, backward: Any) -> Any:
            return {"loss": torch.tensor(float("nan"))}

    with pytest.raises(AnelabError, match=r"loss is nan in epoch 1; lower training\.learning_rate"):
        fit(Broken(), configured(), prepared)


def test_a_headline_metric_that_the_rows_leave_undefined_is_said(prepared: Path) -> None:
    class OneClass(type(WORKLOAD)):  # type: ignore[misc]
        def load(self, config: Any, folder: Path, split: str) -> Any:
            whole = super().load(config, folder, split)
            return whole.take(np.flatnonzero(whole.targets["label"])) if split == "validation" else whole

    with pytest.raises(AnelabError, match="the validation set leaves balanced_accuracy undefined"):
        fit(OneClass(), configured(), prepared)


def test_tensorboard_writes_curves(prepared: Path, tmp_path: Path) -> None:
    from anelab.stages.observers import make_observers

    config = configured("tensorboard=true")
    fit(WORKLOAD, config, prepared, tmp_path, make_observers(config, "x", tmp_path))
    written = list((tmp_path / "tensorboard").iterdir())
    assert written
    assert b"validation_balanced_accuracy" in written[0].read_bytes()


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("unpickled",))


def test_nothing_is_ever_unpickled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "evil.ckpt"
    torch.save({"module": Evil()}, path)
    with pytest.raises(AnelabError, match="holds more than weights and plain values"):
        load_checkpoint(path)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(AnelabError, match="holds more than weights and plain values"):
        load_checkpoint(path)
    assert "unpickled" not in capsys.readouterr().out


def test_a_checkpoint_is_equal_bytes_wherever_it_is_written_and_damage_is_seen(tmp_path: Path) -> None:
    state = {"module": {"w": torch.arange(1000.0)}, "epoch": 3}
    left, right = tmp_path / "a.ckpt", tmp_path / "other" / "b.ckpt"
    save_checkpoint(left, state)
    save_checkpoint(right, state)
    assert left.read_bytes() == right.read_bytes()
    left.write_bytes(left.read_bytes()[:-100])
    with pytest.raises(AnelabError, match=r"a\.ckpt: is not a checkpoint"):
        load_checkpoint(left)
    with pytest.raises(AnelabError, match="does not exist; train first"):
        load_checkpoint(tmp_path / "none.ckpt")
