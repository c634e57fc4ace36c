"""What watches a training: a progress bar and TensorBoard."""

import sys
from pathlib import Path

from anelab.learning.config import WorkloadConfig
from anelab.training.fit import Observer


def make_observers(config: WorkloadConfig, title: str, work: Path) -> tuple[Observer, ...]:
    """A progress bar on a terminal, and TensorBoard if it is configured."""
    names = ("train_loss", f"validation_{config.metric_name}")
    bar = [progress_bar(title, config.training.max_epochs, "epoch", names)] if sys.stderr.isatty() else []
    return (*bar, *([_tensorboard(work)] if config.training.tensorboard else []))


def progress_bar(title: str, total: int, unit: str, names: tuple[str, ...]) -> Observer:
    """A bar on standard error with the figures named in `shown`."""
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
