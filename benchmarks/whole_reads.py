"""How well a model judges reads longer than it sees at once: agreement with its label's own rule on whole reads.

    python benchmarks/whole_reads.py MODEL [--seeds 1 2 3]

MODEL: the folder of an export of read_quality, label mean_quality or expected_errors. Reads: nanopore's in the folder
that ANELAB_TEST_DATA names, these cut to 220 to 300 bases at random, and 4,000 simulated ones of 250, 300 and 600 bases
whose qualities decline. Printed for each set: how many reads there are and pass, the agreement of verdicts as a whole
and by the first 150 bases, and its mean over both verdicts (balanced).
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anelab.config import load_params
from anelab.inference.model import open_model
from anelab.inference.reads.scorer import Scorer, model_scorer, rule_scorer
from anelab.sequences.fastq import read_blocks
from anelab.workloads.read_quality.encode import read_reads
from anelab.workspace import Workspace

PROJECT = Path(__file__).parents[1]
Read = tuple[bytes, NDArray[np.uint8]]


def nanopore() -> list[Read]:
    files = sorted(Path(os.environ["ANELAB_TEST_DATA"], "fastq", "nanopore").iterdir())
    return [
        (block.line(row, 1), np.frombuffer(block.line(row, 3), np.uint8) - 33)
        for path in files
        for block in read_blocks(path)
        for row in range(len(block))
    ]


def cut(reads: list[Read], seed: int) -> list[Read]:
    """Of each read that is long enough a piece of 220 to 300 bases."""
    rng = np.random.default_rng(seed)
    found = []
    for bases, scores in reads:
        size = int(rng.integers(220, 301))
        if len(bases) >= size:
            start = int(rng.integers(0, len(bases) - size + 1))
            found.append((bases[start : start + size], scores[start : start + size]))
    return found


def declining(length: int, seed: int, count: int = 4000) -> list[Read]:
    """Qualities that fall from Q28 to Q40 at the start to anything from Q2 on at the end, sooner or later."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(28, 40, (count, 1))
    end = 2 + rng.uniform(0, 1, (count, 1)) * (start - 2)
    place = np.linspace(0, 1, length) ** rng.uniform(1, 4, (count, 1))
    level = start - (start - end) * place + rng.normal(0, 3, (count, length))
    scores = np.clip(np.round(level), 2, 41).astype(np.uint8)
    bases = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, (count, length))]
    return [(bases[row].tobytes(), scores[row]) for row in range(count)]


def write(path: Path, reads: list[Read]) -> Path:
    with path.open("wb") as out:
        for number, (bases, scores) in enumerate(reads):
            out.write(b"@r%d\n%s\n+\n%s\n" % (number, bases, (scores + 33).astype(np.uint8).tobytes()))
    return path


def verdicts(scorer: Scorer, path: Path) -> NDArray[np.bool_]:
    parts = list(read_reads(path, 33, "--phred "))
    return np.concatenate([scorer.passes(scorer.score(part), part.block.lengths) for part in parts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    given = parser.parse_args()
    with open_model(Workspace.anywhere, given.model, format="onnx") as opened:
        label = opened.metadata["label"]
    data = load_params(PROJECT / "params.yaml").section("read_quality").data  # type: ignore[attr-defined]
    long = nanopore()
    print(f"{label}: reads, PASS, agreement, balanced; by the first 150 bases: agreement, balanced")
    with tempfile.TemporaryDirectory() as scratch:
        for seed in given.seeds:
            sets = {"nanopore": long, "nanopore, 220 to 300": cut(long, seed)}
            sets |= {f"declining, {length}": declining(length, seed) for length in (250, 300, 600)}
            for name, reads in sets.items():
                compare(name, write(Path(scratch, "reads.fq"), reads), given.model, label, data)


def compare(name: str, path: Path, model: str, label: str, data: object) -> None:
    truth = verdicts(rule_scorer(label, data), path)  # type: ignore[arg-type]
    cells = []
    for whole in (True, False):
        with model_scorer(Workspace.anywhere, model, whole=whole) as scorer:
            same = verdicts(scorer, path) == truth
        sides = [float(same[truth == side].mean()) for side in (True, False) if (truth == side).sum() >= 100]
        cells.append(f"{same.mean():.4f} {np.mean(sides):.4f}" if len(sides) == 2 else f"{same.mean():.4f}      -")
    print(f"{name:24} {len(truth):6} {int(truth.sum()):6}   {'   '.join(cells)}")


if __name__ == "__main__":
    main()
