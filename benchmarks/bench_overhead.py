"""What does timing through anelab add? The arm `ort-cpu` against a bare loop, in pairs of fresh processes on one core.

The bare process knows nothing of anelab: it opens a session, warms up, and reads `perf_counter_ns` around
`session.run`. `python benchmarks/bench_overhead.py EXPORT_FOLDER WORKLOAD [--perf-test PATH]` prints the ratio of the
medians with its 95 % interval; with ONNX Runtime's own onnxruntime_perf_test also against that.
"""

import argparse
import math
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from anelab.bench.arms.catalog import parse_arm
from anelab.bench.arms.contract import Subject
from anelab.bench.measuring.process import WorkerProcess
from anelab.bench.results.stats import paired
from anelab.config import load_params
from anelab.export.examples import EXAMPLES, read_examples
from anelab.workspace import Workspace

SECONDS = 1.0
BARE = """
import os, sys, time
import numpy as np
import onnxruntime
os.sched_setaffinity(0, {int(sys.argv[3])})
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
rows = np.load(sys.argv[2])
name = session.get_inputs()[0].name
names = [item.name for item in session.get_outputs()] if sys.argv[5] == "named" else None
feeds = [{name: np.ascontiguousarray(rows[i : i + 1])} for i in range(len(rows))]
for i in range(2000):
    session.run(names, feeds[i % len(feeds)])
samples, end, i = [], time.perf_counter() + float(sys.argv[4]), 0
while time.perf_counter() < end:
    before = time.perf_counter_ns()
    session.run(names, feeds[i % len(feeds)])
    samples.append(time.perf_counter_ns() - before)
    i += 1
print(np.median(samples))
"""


def ours(subject: Subject, core: int) -> float:
    worker = WorkerProcess(parse_arm("ort-cpu"), subject, Path(tempfile.mkdtemp(), "log"), 60)
    try:
        worker.wait_ready()
        worker.ask("open", observe=False, core=core)
        worker.ask("warm_up", batch=1, budget_ns=int(3e8))
        _, _, samples = worker.ask("slice", batch=1, min_ns=int(SECONDS * 1e9), min_count=1, reentry=3)
        return float(np.median(samples))
    finally:
        worker.stop()


def bare(model: Path, rows: Path, core: int, outputs: str) -> float:
    """`outputs` is "named", as we do, or "none", whereupon ONNX Runtime looks up their names in every call."""
    command = [sys.executable, "-c", BARE, str(model), str(rows), str(core), str(SECONDS), outputs]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def perf_test(program: Path, model: Path, core: int) -> float:
    """Median in ns of onnxruntime_perf_test, one thread, as long as the others."""
    command = ["taskset", "-c", str(core), str(program), "-I", "-x", "1", "-t", str(SECONDS), str(model)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"P50 Latency: ([\d.e-]+) s", done.stdout)
    assert found, done.stdout
    return float(found[1]) * 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("export", type=Path)
    parser.add_argument("workload")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--perf-test", type=Path)
    options = parser.parse_args()
    subject = Subject.of(
        options.workload,
        load_params(Workspace.locate().project / "params.yaml").section(options.workload),
        options.export.resolve(),
    )
    model = subject.folder / "model.onnx"
    rows = Path(tempfile.mkdtemp(), "rows.npy")
    (array,) = read_examples(subject.folder / EXAMPLES).split.inputs["model"].values()
    np.save(rows, array[:64])
    cores = sorted(os.sched_getaffinity(0))
    contenders = {
        "ours": lambda core: ours(subject, core),
        "bare": lambda core: bare(model, rows, core, "named"),
        "bare, outputs not named": lambda core: bare(model, rows, core, "none"),
    }
    if options.perf_test:
        contenders["perf test"] = lambda core: perf_test(options.perf_test, model, core)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for pair in range(options.pairs):
        core = cores[pair % len(cores)]
        for name in random.Random(pair).sample(sorted(contenders), len(contenders)):
            times[name].append(contenders[name](core))
        print("  ".join(f"{name} {values[-1] / 1e3:.3f} us" for name, values in times.items()), flush=True)
    for name in contenders.keys() - {"ours"}:
        found = paired([[(mine, theirs)] for mine, theirs in zip(times["ours"], times[name], strict=True)], 10_000, 0)
        assert found is not None
        low, high = math.exp(found.low), math.exp(found.high)
        print(f"ours over {name}: {math.exp(found.log):.4f} [{low:.4f}, {high:.4f}] over {found.blocks} pairs")


if __name__ == "__main__":
    main()
