"""What watches a training or a search: a progress bar or lines, and TensorBoard."""

import sys
from pathlib import Path

from anelab.learning.config import WorkloadConfig
from anelab.texts import notify
from anelab.training.fit import Observer

MOST_LINES = 6


def make_observers(config: WorkloadConfig, title: str, work: Path) -> tuple[Observer, ...]:
    """Progress, and TensorBoard if it is configured."""
    names = ("train_loss", f"validation_{config.metric_name}")
    shown = progress(title, config.training.max_epochs, "epoch", names)
    return (shown, *([_tensorboard(work)] if config.training.tensorboard else []))


def progress(title: str, total: int, unit: str, names: tuple[str, ...]) -> Observer:
    """A bar on a terminal; elsewhere, as in a log, about MOST_LINES lines. Both go to standard error."""
    return (_bar if sys.stderr.isatty() else _lines)(title, total, unit, names)


def _lines(title: str, total: int, unit: str, names: tuple[str, ...]) -> Observer:
    every = -(-total // MOST_LINES)

    def observe(step: int, figures: dict[str, float]) -> None:
        if (step + 1) % every == 0 or step + 1 == total:
            values = ", ".join(f"{name} {figures[name]:.4f}" for name in names)
            notify(f"anelab: {title}: {unit} {step + 1} of {total}, {values}")

    return observe


def _bar(title: str, total: int, unit: str, names: tuple[str, ...]) -> Observer:
    from tqdm import tqdm

    bar = tqdm(total=total, desc=title, unit=unit, leave=False)

    def observe(step: int, figures: dict[str, float]) -> None:
        bar.set_postfix({name: f"{figures[name]:.4f}" for name in names}, refresh=False)
        bar.update()

    return observe


def _tensorboard(work: Path) -> Observer:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(work / "tensorboard"))

    def observe(epoch: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, epoch)
        writer.flush()

    return observe
