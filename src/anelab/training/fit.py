"""The training loop: one function a reader can follow, on Lightning Fabric."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from anelab.errors import AnelabError, warn
from anelab.learning.base import AnyWorkload, Batch, Split
from anelab.learning.config import WorkloadConfig
from anelab.training.checkpoint import load_checkpoint, save_checkpoint
from anelab.training.device import launch
from anelab.training.evaluate import evaluate_module
from anelab.training.optimizer import Schedule, make_optimizer, make_schedule

if TYPE_CHECKING:
    from lightning_fabric import Fabric

OVERFIT_BATCHES = 10
LIMIT_SHARE = 0.01


class DivergedError(AnelabError):
    """The training loss stopped being finite."""


Observer = Callable[[int, dict[str, float]], bool | None]
"""Called after each epoch with its number and figures; True stops the training."""


@dataclass
class Progress:
    """Where training is: enough, with module, optimiser and schedule, to go on."""

    epoch: int = 0
    best_epoch: int = -1
    best_value: float = float("nan")
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Fitted:
    """The module with its best weights, calibrated, on the CPU; figures of every epoch."""

    module: nn.Module
    progress: Progress
    last_state: dict[str, Any]


def fit(
    workload: AnyWorkload,
    config: WorkloadConfig,
    prepared: Path,
    work: Path | None = None,
    observers: tuple[Observer, ...] = (),
) -> Fitted:
    """Train until `max_epochs`, patience or an observer ends it; keep the best epoch's weights.

    With `work`, the state after each epoch is saved there as last.ckpt and training goes on from one
    that an interrupted run left behind. Raises AnelabError if the loss stops being finite.
    """
    fabric = launch(config.training, config.seed)
    train, validation = (workload.load(config, prepared, name) for name in ("train", "validation"))
    train, validation = _limited(train, config), _limited(validation, config)
    module = workload.build(config, prepared)
    optimizer = make_optimizer(module, config.training)
    model, optimizer = fabric.setup(module, optimizer)
    run = Run(workload, config, fabric, model, module, optimizer, _schedule(workload, config, train, optimizer))
    progress, best = run.resume(work)
    while progress.epoch < config.training.max_epochs and not _out_of_patience(progress, config):
        figures = run.train_epoch(train, progress.epoch) | run.validate(validation)
        if _note(progress, figures, config):
            best = {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
        run.save(work, progress, best)
        if _should_stop(observers, progress.epoch - 1, figures):
            break
    last = deepcopy(run.state(progress, best))
    module.load_state_dict(best)
    module.cpu().eval()
    workload.calibrate(module, config, validation)
    return Fitted(module, progress, last)


@dataclass(frozen=True)
class Run:
    """One training in progress: an epoch, a validation, its state to save and to resume from."""

    workload: AnyWorkload
    config: WorkloadConfig
    fabric: "Fabric"
    model: nn.Module
    """`module` as Fabric runs it: on its device, in its precision."""
    module: nn.Module
    optimizer: Optimizer
    schedule: Schedule | None

    def train_epoch(self, train: Split, epoch: int) -> dict[str, float]:
        """Means over the epoch's batches of what `step` logs."""
        self.workload.on_epoch(self.module, epoch)
        self.model.train()
        sums: dict[str, torch.Tensor] = {}
        count, every = 0, self.config.training.accumulate
        backward = self.fabric.backward if every == 1 else self._backward_of_part
        on_cpu = self.fabric.device.type == "cpu"
        for count, batch in enumerate(_batches(self.workload, self.config, train, epoch), start=1):
            moved = batch if on_cpu else self.fabric.to_device(batch)
            for name, value in self.workload.step(self.model, moved, backward).items():
                sums[name] = sums[name] + value if name in sums else value
            if count % every == 0:
                self._update()
        if count % every:
            self._update()
        return _means(sums, count, epoch)

    def _backward_of_part(self, loss: torch.Tensor) -> None:
        """A batch's share of an accumulated step: together they are one batch, not so many times its loss."""
        self.fabric.backward(loss / self.config.training.accumulate)

    def _update(self) -> None:
        clip = self.config.training.clip_norm
        if clip:
            self.fabric.clip_gradients(self.model, self.optimizer, max_norm=clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.schedule:
            self.schedule.step()

    def validate(self, validation: Split) -> dict[str, float]:
        _, figures = evaluate_module(self.workload, self.config, self.module, validation)
        return {f"validation_{name}": value for name, value in figures.items()}

    def state(self, progress: Progress, best: dict[str, torch.Tensor]) -> dict[str, Any]:
        return {
            "module": self.module.state_dict(),
            "best": best,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else {},
            "progress": asdict(progress),
            "torch_rng": torch.get_rng_state(),
        }

    def save(self, work: Path | None, progress: Progress, best: dict[str, torch.Tensor]) -> None:
        if work:
            save_checkpoint(work / "last.ckpt", self.state(progress, best))

    def resume(self, work: Path | None) -> tuple[Progress, dict[str, torch.Tensor]]:
        if not work or not (work / "last.ckpt").is_file():
            return Progress(), {}
        try:
            state = load_checkpoint(work / "last.ckpt")
        except AnelabError as error:
            warn(f"{error}; training starts again from the beginning")
            return Progress(), {}
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule:
            self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["torch_rng"])
        return Progress(**state["progress"]), state["best"]


def _schedule(workload: AnyWorkload, config: WorkloadConfig, train: Split, optimizer: Optimizer) -> Schedule | None:
    if config.training.schedule == "constant":
        return None
    batches = sum(1 for _ in _batches(workload, config, train, 0))
    return make_schedule(
        optimizer, config.training, -(-batches // config.training.accumulate) * config.training.max_epochs
    )


def _batches(workload: AnyWorkload, config: WorkloadConfig, train: Split, epoch: int) -> Iterator[Batch]:
    """The epoch's batches, fewer in the debug presets."""
    match config.training.debug:
        case "fast-dev-run":
            return islice(workload.batches(config, train, epoch), 1)
        case "overfit":
            return islice(workload.batches(config, train, 0), OVERFIT_BATCHES)
    return workload.batches(config, train, epoch)


def _limited(split: Split, config: WorkloadConfig) -> Split:
    if config.training.debug != "limit":
        return split
    return split.take(np.arange(min(len(split), max(config.training.batch_size, round(len(split) * LIMIT_SHARE)))))


def _means(sums: dict[str, torch.Tensor], count: int, epoch: int) -> dict[str, float]:
    if not count:
        raise AnelabError("there are no training batches; training needs at least one row")
    means = {f"train_{name}": float(value) / count for name, value in sums.items()}
    if not np.isfinite(means["train_loss"]):
        raise DivergedError(
            f"the training loss is {means['train_loss']} in epoch {epoch + 1}; "
            "lower training.learning_rate, or set training.clip_norm"
        )
    return means


def _note(progress: Progress, figures: dict[str, float], config: WorkloadConfig) -> bool:
    """Add an epoch's figures to the history; whether it is the best so far. Of equal ones the last is: its learning
    rate has come down further, which a small validation set may be too coarse to show."""
    measured = {name.removeprefix("validation_"): figures[name] for name in figures if name.startswith("validation_")}
    value = config.headline(measured, "the validation set")
    progress.history.append(figures)
    better = progress.best_epoch < 0 or config.sign * value >= config.sign * progress.best_value
    if better:
        progress.best_epoch, progress.best_value = progress.epoch, value
    progress.epoch += 1
    return better


def _should_stop(observers: tuple[Observer, ...], epoch: int, figures: dict[str, float]) -> bool:
    """Every observer sees the epoch, whatever the others answer."""
    answers = [observer(epoch, figures) for observer in observers]
    return any(answers)


def _out_of_patience(progress: Progress, config: WorkloadConfig) -> bool:
    if config.training.debug == "fast-dev-run":
        return progress.epoch > 0
    patience = config.training.patience
    return patience is not None and progress.epoch - progress.best_epoch > patience
