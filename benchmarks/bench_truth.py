"""Do the benchmarks tell the truth? Runs of the real method in which the answer is known.

In each run an ONNX model is timed against itself twice (A/A), and against itself with 10 % of waiting added to every
call. `python benchmarks/bench_truth.py EXPORT_FOLDER WORKLOAD` prints how often a difference was called.
"""

import argparse
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anelab.bench.arms.contract import Call, Opened, Subject
from anelab.bench.arms.onnx import OrtCpu
from anelab.bench.measuring.run import run_benchmark, write_result
from anelab.config import load_params
from anelab.learning.base import Split
from anelab.learning.config import BenchConfig
from anelab.stages.bench import judge_of
from anelab.workspace import Workspace

SLOWDOWN = 0.10


@dataclass(frozen=True)
class Twin(OrtCpu):
    label: str = ""

    @property
    def name(self) -> str:
        return self.label


@dataclass(frozen=True)
class Planted(Twin):
    """Every call takes 10 % longer than it does."""

    def open(self, subject: Subject, observe: bool = False) -> Opened:
        opened = super().open(subject, observe)

        def prepare(rows: Split) -> Call:
            call = opened.prepare(rows)

            def slower() -> Any:
                before = time.perf_counter_ns()
                found = call()
                until = time.perf_counter_ns()
                until += int((until - before) * SLOWDOWN)
                while time.perf_counter_ns() < until:
                    pass
                return found

            return slower

        return Opened(prepare, opened.read, opened.load_ns, opened.compile_ns, opened.placement)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("export", type=Path)
    parser.add_argument("workload")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--keep", type=Path, help="keep each run's samples and report in this folder")
    options = parser.parse_args()
    config = load_params(Workspace.locate().project / "params.yaml").section(options.workload)
    bench = BenchConfig(scenarios=["single"])
    subject = Subject.of(options.workload, config, options.export)
    arms = [
        OrtCpu("1", "fp32"),
        Twin("1", "fp32", "same-1"),
        Twin("1", "fp32", "same-2"),
        Planted("1", "fp32", "slowed"),
    ]
    verdicts: dict[str, Counter[str]] = {"same": Counter(), "slowed": Counter()}
    for number in range(options.runs):
        found, slices = run_benchmark(subject, arms, bench, number, lambda: judge_of(subject), lambda text: None)
        folder = options.keep or Path(tempfile.mkdtemp())
        folder.mkdir(parents=True, exist_ok=True)
        report = write_result(found, slices, folder / f"{number}.parquet")
        for one in report.comparisons:
            verdicts[one.arm.partition("-")[0]][one.verdict] += 1
            print(
                f"run {number:2} {one.arm:7} {one.speedup:.4f} [{one.low:.4f}, {one.high:.4f}] "
                f"noise {one.floor:.4f} {one.verdict}",
                flush=True,
            )
    same, slowed = verdicts["same"], verdicts["slowed"]
    print(f"A/A: {same['faster'] + same['slower']} of {same.total()} called a difference")
    print(f"planted {SLOWDOWN:.0%} slowdown: {slowed['slower']} of {slowed.total()} found")


if __name__ == "__main__":
    main()
