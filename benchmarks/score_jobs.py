"""How much time `anelab score --jobs 2` takes for two files, as a share of what one process takes, in one run.

    python benchmarks/score_jobs.py MODEL [--reads 2000000] [--rounds 3]

MODEL: the folder of an export of read_quality. One process is pinned to one core; of two, each is pinned to one of two
(`--jobs` does that by itself where there are no more cores than jobs). In turns, so that both see the same moods of
the machine; the ratio is of the medians.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from score_reads import make_reads  # beside this script


def timed(command: list[str], cores: set[int]) -> float:
    """Seconds of wall time."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, cores))
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--reads", type=int, default=2_000_000, help="in each file")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        files = [Path(scratch, f"lane{number}.fq.gz") for number in (1, 2)]
        for path in files:
            make_reads(path, given.reads)
        words = [sys.executable, "-m", "anelab", "score", *map(str, files), "--model", str(given.model)]
        seconds: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(given.rounds):
            for jobs, cores in ((1, {1}), (2, {0, 1})):
                out = Path(scratch, f"by{jobs}.tsv")
                seconds[jobs].append(timed([*words, "-o", str(out), "--jobs", str(jobs)], cores))
        assert Path(scratch, "by1.tsv").read_bytes() == Path(scratch, "by2.tsv").read_bytes()
    one, two = (statistics.median(seconds[jobs]) for jobs in (1, 2))
    print(f"two files of {given.reads:,} reads: one process {one:.2f} s, two {two:.2f} s, {two / one:.3f} of it")
    print(f"rounds: {seconds}")


if __name__ == "__main__":
    main()
