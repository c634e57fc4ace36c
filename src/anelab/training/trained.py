"""The trained module of a best checkpoint."""

from pathlib import Path

from torch import nn

from anelab.errors import AnelabError
from anelab.learning.base import AnyWorkload
from anelab.learning.config import WorkloadConfig
from anelab.training.checkpoint import load_checkpoint
from anelab.training.search import apply_values


def trained_module(
    workload: AnyWorkload, config: WorkloadConfig, prepared: Path, checkpoint: Path
) -> tuple[nn.Module, str]:
    """The module of a best checkpoint, in evaluation mode, and the debug preset it was trained with, if any.

    Raises AnelabError if the checkpoint is missing, damaged or another workload's."""
    best = load_checkpoint(checkpoint)
    if best["workload"] != workload.name:
        raise AnelabError(f"{checkpoint}: is a checkpoint of {best['workload']}, not of {workload.name}")
    module = workload.build(apply_values(config, best["values"]), prepared)
    module.load_state_dict(best["module"])
    return module.eval(), best["debug"]
