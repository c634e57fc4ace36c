"""The Core ML evaluator on read_quality's test set: in the largest bucket against one read at a time, and
against torch eager on the same slabs. This times our evaluator on a CPU; it says nothing of Core ML's speed.

Both sides of a ratio alternate, so that a machine that slows down slows both. One thread.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from anelab import workloads
from anelab.config import load_params
from anelab.export.artifacts import Source, write_coreml
from anelab.export.mil.evaluator import Evaluator
from anelab.export.mil.modes import Mode
from anelab.export.mil.program import load_package
from anelab.export.slabs import Bucket, in_slabs
from anelab.host import host_facts
from anelab.learning.base import Array, Predictor

ROOT = Path(__file__).parents[1]
LEAST_GAIN, MOST_OVERHEAD = 20, 5


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def alternating(first: Callable[[], object], second: Callable[[], object], pairs: int) -> list[tuple[float, float]]:
    """Seconds of both, [pairs], after one pair that does not count."""
    times = []
    for pair in range(pairs + 1):
        times.append((seconds(first), seconds(second)) if pair % 2 else (seconds(second), seconds(first))[::-1])
    return times[1:]


def compare(name: str, first: Callable[[], object], second: Callable[[], object], pairs: int) -> float:
    """Print and return the median ratio of the times of `first` to `second`, with its range."""
    times = alternating(first, second, pairs)
    ratios = [one / two for one, two in times]
    one, two = (statistics.median(side) * 1e3 for side in zip(*times, strict=True))
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    print(f"{name}: {one:.1f} ms / {two:.1f} ms = {middle:.2f} [{low:.2f}, {high:.2f}] over {pairs} pairs")
    return middle


def exported(folder: Path, bucket: int, reads: int) -> tuple[Source, Array]:
    """An untrained network, which takes as long as a trained one, in all its packages; and the test set."""
    overrides = [
        f"read_quality.export.coreml.buckets=[1, {bucket}]",
        "read_quality.export.coreml.variants=[]",
        f"read_quality.data.simulation.reads={reads}",
    ]
    config, workload = (
        load_params(ROOT / "params.yaml", overrides).section("read_quality"),
        workloads.get("read_quality"),
    )
    raw, prepared = folder / "raw", folder / "prepared"
    raw.mkdir()
    prepared.mkdir()
    workload.simulate(config, raw)
    workload.prepare(config, sorted(raw.iterdir()), prepared)
    source = Source(workload, config, prepared, workload.build(config, prepared).eval(), {})
    list(write_coreml(source, workload.graphs(config)[0], folder))
    return source, workload.load(config, prepared, "test").inputs["model"]["input"]


def alone(package: Path, function: str, mode: Mode) -> Predictor:
    evaluator = Evaluator(load_package(package), function, mode)
    return in_slabs([Bucket(evaluator, {port.name: port.shape for port in evaluator.inputs})], function)


def eager_of(module: torch.nn.Module, rows: Array, bucket: int) -> Callable[[], Array]:
    @torch.inference_mode()
    def eager() -> Array:
        return np.concatenate([module(part).numpy() for part in torch.from_numpy(rows).split(bucket)])

    return eager


def main(pairs: int, bucket: int, reads: int) -> bool:
    """Whether the medians are within what is asked: at least 20, and below 5."""
    torch.set_num_threads(1)
    good = True
    with tempfile.TemporaryDirectory() as scratch:
        source, rows = exported(Path(scratch), bucket, reads)
        package = Path(scratch, "model.buckets.mlpackage")
        arrays = {"input": rows}
        whole = len(rows) // bucket * bucket
        slabs = {"input": rows[:whole]}
        graph = source.workload.graphs(source.config)[0]
        for mode in ("fp32", "fp16"):
            one, many = (alone(package, f"rows_{size}", mode) for size in (1, bucket))
            name = f"{mode}: one read at a time / {bucket} at a time, {len(rows)} reads"
            good &= compare(name, lambda one=one: one(arrays), lambda many=many: many(arrays), pairs) >= LEAST_GAIN
            eager = eager_of(source.deployed(graph, half=True), slabs["input"], bucket)
            name = f"{mode}: evaluator / torch eager, slabs of {bucket}"
            good &= compare(name, lambda many=many: many(slabs), eager, pairs) < MOST_OVERHEAD
    print(host_facts())
    return good


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--bucket", type=int, default=512, help="rows of the largest function")
    parser.add_argument("--reads", type=int, default=20_000, help="simulated reads; the test set is 15 %% of them")
    options = parser.parse_args()
    sys.exit(0 if main(options.pairs, options.bucket, options.reads) else 1)
