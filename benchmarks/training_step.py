"""Our training step at batch 64 against a bare loop with fused Adam: same network, same rows; with augmentation, which
the bare loop has not, and without.

The epochs of both alternate, so that a machine that slows down slows both. One thread.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from anelab import workloads
from anelab.config import load_params
from anelab.host import host_facts
from anelab.learning.base import Split
from anelab.learning.config import WorkloadConfig
from anelab.training.device import launch
from anelab.training.fit import Run
from anelab.training.optimizer import make_optimizer

ROOT = Path(__file__).parents[1]
SIZE = 64
"""Of a batch."""


def bare_epoch(net: torch.nn.Module, optimizer: torch.optim.Optimizer, rows: Split, size: int) -> None:
    floats, label = torch.from_numpy(rows.inputs["model"]["input"]), torch.from_numpy(rows.targets["label"]).float()
    order = torch.randperm(len(rows))
    for start in range(0, len(rows), size):
        index = order[start : start + size]
        optimizer.zero_grad(set_to_none=True)
        loss = binary_cross_entropy_with_logits(sum(net(floats[index])), label[index])
        loss.backward()
        optimizer.step()


def prepare(config: WorkloadConfig) -> Split:
    workload = workloads.get("read_quality")
    with tempfile.TemporaryDirectory() as scratch:
        raw, out = Path(scratch, "raw"), Path(scratch, "out")
        raw.mkdir()
        out.mkdir()
        workload.simulate(config, raw)
        workload.prepare(config, sorted(raw.iterdir()), out)
        return workload.load(config, out, "train")


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def ratios(config: WorkloadConfig, rows: Split, pairs: int) -> list[float]:
    """Seconds of our epoch over those of a bare one, [pairs]."""
    workload, fabric = workloads.get("read_quality"), launch(config.training, config.seed)
    ours, theirs = (workload.build(config, Path()) for _ in range(2))
    model, optimizer = fabric.setup(ours, make_optimizer(ours, config.training))
    run = Run(workload, config, fabric, model, ours, optimizer, None)
    bare = torch.optim.Adam(theirs.parameters(), 1e-3, fused=True)
    theirs.train()
    found = []
    for pair in range(pairs + 2):
        times = [0.0, 0.0]
        actions = (partial(run.train_epoch, rows, pair), partial(bare_epoch, theirs, bare, rows, SIZE))
        for side in (0, 1) if pair % 2 else (1, 0):
            times[side] = seconds(actions[side])
        if pair >= 2:
            found.append(times[0] / times[1])
    return found


def configured(augment: float) -> WorkloadConfig:
    overrides = ["training.schedule=constant", f"training.batch_size={SIZE}", f"model.augment={augment}"]
    return load_params(ROOT / "params.yaml", [f"read_quality.{one}" for one in overrides]).section("read_quality")


def main(pairs: int) -> None:
    for augment in (0.0, 0.5):
        config = configured(augment)
        found = ratios(config, prepare(config), pairs)
        low, middle, high = min(found), statistics.median(found), max(found)
        print(f"augment {augment}: step of ours / bare {middle:.3f} [{low:.3f}, {high:.3f}] over {pairs} pairs")
    print(host_facts())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    main(parser.parse_args().pairs)
