"""Time and memory of `anelab edna assign` for many queries, and what FAISS changes for very many references.

    python benchmarks/edna_scale.py INDEX REFERENCES [--queries 100000] [--vectors 1000000]

INDEX: a folder of `anelab edna index`. REFERENCES: the FASTA that it was made of. Queries are references with the
errors and cuts of training's views, drawn with replacement. --vectors: so many points around those of the index, among
which the 40 nearest of 1,000 others are looked for one by one and by inverted lists.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anelab.inference.edna.approximate import inverted_lists
from anelab.inference.edna.neighbours import SHORTLIST, exact_shortlist
from anelab.sequences.arrays import SequenceArray
from anelab.sequences.records import read_all
from anelab.workloads.edna.augment import augmented
from anelab.workloads.edna.config import AugmentConfig

AT_ONCE = 10_000
SPREAD = 0.3
ASKED = 1000


def write_queries(sequences: SequenceArray, count: int, path: Path) -> None:
    rng, views = np.random.default_rng(5), AugmentConfig(crop=0.2)
    with path.open("w") as handle:
        for start in range(0, count, AT_ONCE):
            rows = rng.integers(0, len(sequences), min(AT_ONCE, count - start))
            made = augmented(sequences.take(rows), views, rng)
            handle.writelines(f">q{start + number}\n{text}\n" for number, text in enumerate(made))


def time_assign(index: Path, queries: Path, count: int, out: Path) -> None:
    command = [sys.executable, "-m", "anelab", "edna", "assign", str(queries), "--index", str(index), "-o", str(out)]
    started = time.perf_counter()
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"assign: {count:,} queries in {seconds:.0f} s, {count / seconds:,.0f} a second; "
        f"{used.ru_maxrss / 1e6:.2f} GB; {used.ru_utime + used.ru_stime:.0f} s of CPU"
    )


def time_search(vectors: NDArray[np.float32], count: int) -> None:
    rng = np.random.default_rng(6)
    rows = rng.integers(0, len(vectors), count + ASKED)
    noise = rng.normal(0, SPREAD / np.sqrt(vectors.shape[1]), (count + ASKED, vectors.shape[1])).astype(np.float32)
    points = vectors[rows] + noise
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    references, queries = points[:count], points[count:]
    started = time.perf_counter()
    wanted, _ = exact_shortlist(queries, references, SHORTLIST)
    exact = time.perf_counter() - started
    started = time.perf_counter()
    search = inverted_lists(references)
    made = time.perf_counter() - started
    started = time.perf_counter()
    found, _ = search(queries, SHORTLIST)
    lists = time.perf_counter() - started
    same = np.mean([len(set(one) & set(other)) / SHORTLIST for one, other in zip(wanted, found, strict=True)])
    print(
        f"{count:,} references: one by one {1e3 * exact / ASKED:.2f} ms a query, inverted lists "
        f"{1e3 * lists / ASKED:.2f} ms, made in {made:.0f} s; {same:.4f} of the {SHORTLIST} nearest are the same"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("references", type=Path)
    parser.add_argument("--queries", type=int, default=100_000)
    parser.add_argument("--vectors", type=int, nargs="*", default=[])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        queries = Path(scratch, "queries.fasta")
        write_queries(read_all(given.references).sequences, given.queries, queries)
        time_assign(given.index, queries, given.queries, Path(scratch, "taxa.tsv"))
    for count in given.vectors:
        time_search(np.load(given.index / "vectors.npy"), count)


if __name__ == "__main__":
    main()
