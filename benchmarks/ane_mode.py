"""Mode ane of the Core ML evaluator beside mode fp16, on the test sets of a workspace after `make repro`: time, and
what the Neural Engine's arithmetic would change in the answers. With a file of vectors that others published: how many
of them come out bit for bit, in mode ane and in float32 rounded to 16 bits.

    python benchmarks/ane_mode.py WORKSPACE [NUMERICS_CASES_JSON]

Both modes alternate, so that a machine that slows down slows both. This times our evaluator on a CPU; it says nothing
of Core ML's speed.
"""

import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from anelab import workloads
from anelab.config import load_params
from anelab.export.mil.engine import products, sums
from anelab.export.mil.predictor import PackagePredictor, mil_predictor
from anelab.host import host_facts
from anelab.learning.base import Arrays
from anelab.stages.export import predicted_arithmetic
from anelab.stages.job import Job
from anelab.workspace import Workspace

PAIRS = 5
MOST_TIMES = 5
SINGLE = {"add": torch.add, "mul": torch.mul, "sub": torch.sub}


def seconds(predict: PackagePredictor, arrays: Arrays) -> float:
    started = time.perf_counter()
    predict(arrays)
    return time.perf_counter() - started


def time_ratios(package: Path, arrays: Arrays) -> list[float]:
    """Of mode ane to mode fp16, after one pair that does not count."""
    halves, engine = mil_predictor(package, "fp16"), mil_predictor(package, "ane")
    pairs = [(seconds(halves, arrays), seconds(engine, arrays)) for _ in range(PAIRS + 1)][1:]
    return [second / first for first, second in pairs]


def halves_of(patterns: Sequence[str]) -> torch.Tensor:
    return torch.tensor([int(one, 16) for one in patterns], dtype=torch.int32).to(torch.int16).view(torch.half)


def computed(case: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """By mode ane, and in float32 rounded to 16 bits."""
    x, w = halves_of(case["x"]), halves_of(case["w"])
    if case["path"] in SINGLE:
        return products.elementwise(case["path"], x, w)[0], SINGLE[case["path"]](x.float(), w.float())[0]
    bias = halves_of([case["bias"]]) if case.get("bias") else None
    plain = (x.float() * w.float()).sum() + (0.0 if bias is None else bias[0].float())
    return sums.sums(w[None], x[:, None], bias)[0, 0], plain


def compare_vectors(path: Path) -> None:
    right: dict[str, Counter[str]] = {"mode ane": Counter(), "float32": Counter()}
    cases = json.loads(path.read_text(encoding="utf-8"))["vectors"]
    for case in cases:
        for name, found in zip(right, computed(case), strict=True):
            same = int(found.half().view(torch.int16)) & 0xFFFF == int(case["out"], 16)
            right[name][case["path"]] += same
    asked = Counter(case["path"] for case in cases)
    for name, counts in right.items():
        parts = ", ".join(f"{kind} {counts[kind]} of {count}" for kind, count in sorted(asked.items()))
        print(f"{name}: {counts.total()} of {asked.total()} vectors bit for bit ({parts})")


def main(workspace: Workspace, cases: Path | None) -> bool:
    """Whether every median is within what is asked."""
    if cases is not None:
        compare_vectors(cases)
    params, good = load_params(workspace.root / "params.yaml"), True
    for name in workloads.names():
        job = Job(workspace, params, name)
        folder = job.output("export")
        test = job.workload.load(job.config, job.prepared, "test")
        found = predicted_arithmetic(job, folder, test)
        if found is None:
            continue
        ratios = time_ratios(folder / "model.mlpackage", test.inputs["model"])
        middle = statistics.median(ratios)
        good &= middle <= MOST_TIMES
        times = f"{middle:.1f} times mode fp16 [{min(ratios):.1f}, {max(ratios):.1f}]"
        print(f"{name}, {len(test)} rows: {times}; predicted: {found.text}")
    print(host_facts())
    return good


if __name__ == "__main__":
    given = [Path(one) for one in sys.argv[1:]]
    sys.exit(not main(Workspace.locate(given[0]), given[1] if len(given) > 1 else None))
