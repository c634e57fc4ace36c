"""`python -m tests.fuzz [SEED]`: 10,000 files that are a little wrong, and what anelab makes of them.

Exit 1 if one of them is answered by a traceback or another exit code than 0, 1 and 2, takes too much time or memory, or
writes outside its workspace."""

import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.fuzz.worker import MOST_S, work
from tests.shared import copy_mnist

COUNTS = {
    "Bundle": 1200,
    "Fastq": 1000,
    "Params": 1000,
    "Manifest": 1000,
    "Package": 800,
    "Onnx": 800,
    "Idx": 800,
    "Rows": 400,
    "Report": 400,
    "Registry": 500,
    "Champion": 500,
    "TrainReceipt": 300,
    "SearchReceipt": 300,
    "Arrays": 500,
    "Truth": 500,
}
LINE = "{:14} {:>7} {:>7} {:>6} {:>6} {:>11} {:>11} {:>15}"
MOST_MB = 500
PATIENCE_S = 900
"""For all inputs of a target."""


def main(seed: int = 16) -> int:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.imported"])
    with tempfile.TemporaryDirectory() as scratch:
        sample, problems = Path(scratch, "sample"), list[str]()
        sample.mkdir()
        copy_mnist(sample)
        print(LINE.format("", "inputs", "exit 0", "1", "2", "slowest, s", "memory, MB", "largest, bytes"))
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            ran = pool.map(lambda item: _run(context, *item, seed, sample, Path(scratch)), COUNTS.items())
            for line, found in ran:
                print(line, flush=True)
                problems += found
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{sum(COUNTS.values()):,} inputs, {len(problems)} problems")
    return 1 if problems else 0


def _run(context: Any, target: str, count: int, seed: int, sample: Path, scratch: Path) -> tuple[str, list[str]]:
    """A target's inputs in a process of their own: a line of figures, and the problems."""
    base, results = scratch / target, scratch / f"{target}.jsonl"
    process = context.Process(target=work, args=(target, sample, base, seed, range(count), results))
    process.start()
    process.join(PATIENCE_S)
    hung = process.is_alive()
    process.kill()
    process.join()
    rows = [json.loads(line) for line in results.read_text().splitlines()] if results.is_file() else []
    done = [row for row in rows if "seconds" in row]
    problems = [f"{target} {row['number']}: {row['problem']}" for row in done if row["problem"]]
    problems += [f"{target} {row['number']}: {row['peak_mb']:.0f} MB" for row in done if row["peak_mb"] > MOST_MB]
    problems += [f"{target} {row['number']}: {row['seconds']:.0f} s" for row in done if row["seconds"] > MOST_S]
    if hung or process.exitcode or len(done) < count:
        log = (base / "log").read_text(errors="replace")[-2000:] if (base / "log").is_file() else ""
        problems.append(f"{target}: ended at {rows[-1]['number'] if rows else 'its start'}, {process.exitcode}: {log}")
    shutil.rmtree(base, ignore_errors=True)
    exits = [sum(row["exit"] == code for row in done) for code in (0, 1, 2)]
    slowest, memory, largest = (max((row[name] for row in done), default=0) for name in ("seconds", "peak_mb", "size"))
    return LINE.format(target, len(done), *exits, f"{slowest:.2f}", f"{memory:.0f}", largest), problems


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
