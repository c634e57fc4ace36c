"""How fast `anelab score` is, beside what bounds it and what others take for the same file, in one run.

    python benchmarks/score_reads.py MODEL [--reads 1000000] [--rounds 3]

MODEL: the folder of an export of read_quality. The file is made: so many reads of 150 bases, qualities in
autocorrelated chains, gzip. Every command runs pinned to one core, in turns, so that all see the same moods of the
machine; medians over the rounds. `decompress` is igzip's reading of the file and nothing else, which no reader can
beat; fastp and vsearch are used if they are installed, fastp as it comes, and at its quickest: without adapters, where
it says so without output, and compressing at level 1, as we do.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from anelab.inference.reads.memory import keep_memory
from anelab.inference.reads.outputs import lines
from anelab.inference.reads.scorer import model_scorer
from anelab.sequences.phred import Reads
from anelab.sequences.streams import read_bytes
from anelab.workloads.read_quality.encode import raw_bytes, read_reads
from anelab.workloads.read_quality.simulate import LETTERS, _qualities

CHUNK = 100_000
DECOMPRESS = "import sys; from isal import igzip\nwith igzip.open(sys.argv[1]) as f:\n    while f.read(1 << 20): pass"


def make_reads(path: Path, count: int) -> None:
    """FASTQ of `count` reads of 150 bases, named as Illumina names them."""
    from isal import igzip

    rng = np.random.default_rng(0)
    with igzip.open(path, "wb", compresslevel=2) as out:
        for start in range(0, count, CHUNK):
            size = min(CHUNK, count - start)
            quality = (_qualities(rng, size, 150) + 33).astype(np.uint8)
            bases = LETTERS[rng.integers(0, 4, (size, 150))]
            out.write(
                b"".join(
                    b"@SIM:1:FCX:1:%d:%d:%d 1:N:0:ACGT\n%s\n+\n%s\n"
                    % (start // CHUNK, row // 1000, row, bases[row].tobytes(), quality[row].tobytes())
                    for row in range(size)
                )
            )


def commands(reads: Path, model: Path, out: Path) -> dict[str, list[str]]:
    """What is timed, by name."""
    plain = [sys.executable, "-m", "anelab", "score", str(reads), "-o", str(out)]
    ours = [*plain, "--model", str(model)]
    found = {
        "decompress": [sys.executable, "-c", DECOMPRESS, str(reads)],
        "anelab": ours,
        "anelab, two cores": ours,
        "anelab, also PASS as FASTQ": [*ours, "--pass-fastq", f"{out}.pass.fq"],
        "anelab, also PASS as .gz": [*ours, "--pass-fastq", f"{out}.pass.fq.gz"],
        "anelab --rule mean_quality": [*plain, "--rule", "mean_quality"],
        "anelab --rule expected_errors": [*plain, "--rule", "expected_errors"],
    }
    if shutil.which("fastp"):
        filtering, compressed = ["-q", "20", "-l", "50"], ["-o", f"{out}.fastp.fq.gz"]
        reports = [f"--{kind}={out}.fastp.{kind}" for kind in ("json", "html")]
        usual = ["fastp", "-w", "1", "-i", str(reads), *filtering, *reports]
        found["fastp -w 1, PASS as .gz, as it comes"] = [*usual, *compressed]
        found["fastp -w 1, no output"] = [*usual, "-A", "-G"]
        found["fastp -w 1, PASS as FASTQ"] = [*found["fastp -w 1, no output"], "-o", f"{out}.fastp.fq"]
        found["fastp -w 1 -z 1, PASS as .gz"] = [*found["fastp -w 1, no output"], "-z", "1", *compressed]
    if shutil.which("vsearch"):
        options = ["--fastq_maxee", "1", "--fastqout", os.devnull, "--gzip_decompress"]
        found["vsearch --fastq_filter"] = ["vsearch", "--fastq_filter", str(reads), *options]
    return found


def timed(command: list[str], cores: set[int]) -> tuple[float, float, float]:
    """Seconds on the clock, seconds of CPU, and peak memory in MB of a command on those cores."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"{' '.join(command)} failed with status {status}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, usage.ru_maxrss / 1024


def stages(reads: Path, model: Path, count: int) -> None:
    """Where the time goes, in this process, on this core: each stage takes what the one before it gave."""
    taken: dict[str, float] = {}

    def clock(name: str, work: Callable[[], object]) -> object:
        started = time.perf_counter()
        found = work()
        taken[name] = taken.get(name, 0.0) + time.perf_counter() - started
        return found

    clock("decompress", lambda: sum(map(len, read_bytes(reads))))
    with model_scorer(lambda: (_ for _ in ()).throw(AssertionError), str(model)) as scorer:
        source = iter(read_reads(reads, 33, "--phred "))
        while (part := clock("decompress, parse, check, encode", lambda: next(source, None))) is not None:
            values = clock("model", lambda p=part: scorer.score(p))
            passes = scorer.passes(values, part.block.lengths)
            clock("table", lambda p=part, v=values, s=passes: lines([p.block], [v], [s]))
    taken["parse, check, encode"] = taken.pop("decompress, parse, check, encode") - taken["decompress"]
    for name in ("decompress", "parse, check, encode", "model", "table"):
        print(f"  {name:24} {taken[name] / count * 1e6:7.3f} us a read")


def one_read(reads: Path, model: Path) -> None:
    """A read alone, through an open session: encoded and scored, 5,000 times."""
    with model_scorer(lambda: (_ for _ in ()).throw(AssertionError), str(model)) as scorer:
        block = next(read_reads(reads, 33, "--phred ", 1)).block
        samples = []
        for _ in range(5000):
            started = time.perf_counter_ns()
            scorer.score(Reads(block, raw_bytes("ACGT" * 37, "IIII" * 37), 33))
            samples.append(time.perf_counter_ns() - started)
    print(f"one read: p50 {statistics.median(samples) / 1e3:.1f} us, p99 {np.percentile(samples, 99) / 1e3:.1f} us")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--reads", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        reads, few = Path(scratch, "reads.fq.gz"), Path(scratch, "few.fq.gz")
        make_reads(reads, given.reads)
        make_reads(few, 100)
        todo = commands(reads, given.model, Path(scratch, "out.tsv"))
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in todo}
        for _ in range(given.rounds):
            for name, command in todo.items():
                cores = set(range(os.cpu_count() or 1)) if "two cores" in name else {given.core}
                found[name].append(timed(command, cores))
        seconds = {name: statistics.median(one[0] for one in many) for name, many in found.items()}
        for name, many in found.items():
            rate, memory = given.reads / seconds[name], max(one[2] for one in many)
            ratio = seconds["anelab"] / seconds[name]
            print(f"{name:38} {rate:12,.0f} reads/s  {ratio:6.3f} of anelab's rate  {memory:6.0f} MB")
        print(f"of decompressing alone: {seconds['decompress'] / seconds['anelab']:.3f}")
        starts = [timed(commands(few, given.model, Path(scratch, "few.tsv"))["anelab"], {given.core}) for _ in range(5)]
        print(f"start-up: {statistics.median(one[1] for one in starts):.2f} s of CPU for 100 reads")
        os.sched_setaffinity(0, {given.core})
        keep_memory()
        stages(reads, given.model, given.reads)
        one_read(few, given.model)
    print(json.dumps({name: [round(one[0], 3) for one in many] for name, many in found.items()}))


if __name__ == "__main__":
    main()
