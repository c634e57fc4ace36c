"""Where and how precisely to train, and what that machine can do."""

from typing import TYPE_CHECKING

import torch

from anelab.errors import UsageError
from anelab.learning.config import TrainingConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def choose_device(config: TrainingConfig) -> str:
    """cpu, mps or cuda. Raises UsageError for one that this machine lacks or that lacks the precision."""
    have = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    device = config.device
    if device == "auto":
        device = "cuda" if have["cuda"] else "mps" if have["mps"] else "cpu"
    if not have[device]:
        there = ", ".join(name for name, present in have.items() if present)
        raise UsageError(f"training.device={device} is not available here; this machine has {there}")
    if config.precision == "16-mixed" and device == "cpu":
        raise UsageError("training.precision=16-mixed needs cuda or mps; on the cpu use 32 or bf16-mixed")
    return device


def launch(config: TrainingConfig, seed: int) -> "Fabric":
    """A Fabric on one device, with torch seeded and cuDNN held to its deterministic algorithms."""
    from lightning_fabric import Fabric

    torch.set_num_threads(config.threads)
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    fabric = Fabric(accelerator=choose_device(config), devices=1, precision=config.precision)
    fabric.launch()
    return fabric
