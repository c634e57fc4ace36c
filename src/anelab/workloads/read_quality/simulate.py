"""Default reads: simulated, seeded, with the true number of errors of each, as a real FASTQ and a table.

Qualities are a Markov chain per cycle around a read's own level, and a base is miscalled with exactly
the probability its quality states. Where that holds, the sum of error probabilities is the best
possible filter: these reads show that the pipeline works, not that learning pays.
"""

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.workloads.read_quality.config import SimulationConfig

READS_NAME, TRUTH_NAME = "simulated.fastq.gz", "simulated.truth.tsv.gz"
LETTERS = np.frombuffer(b"ACGT", np.uint8)
LOWEST, HIGHEST = 2, 41


def simulate_reads(config: SimulationConfig, seed: int, out: Path) -> None:
    """Write the reads and their truth table (read_id, errors, expected_errors) into `out`."""
    rng = np.random.default_rng([seed, 0])
    lengths = rng.integers(config.min_length, config.max_length + 1, config.reads)
    phred = _qualities(rng, config.reads, config.max_length)
    inside = np.arange(config.max_length) < lengths[:, None]
    chance = np.where(inside, 10 ** (-phred / 10), 0)
    truth = rng.integers(0, 4, phred.shape)
    wrong = rng.random(phred.shape) < chance
    called = (truth + wrong * rng.integers(1, 4, phred.shape)) % 4
    names = [f"sim.{seed}.{index}" for index in range(1, config.reads + 1)]
    _write(out / READS_NAME, _fastq(names, LETTERS[called], phred + 33, lengths))
    _write(out / TRUTH_NAME, _table(names, wrong.sum(axis=1), chance.sum(axis=1)))


def _qualities(rng: np.random.Generator, reads: int, length: int) -> NDArray[np.int64]:
    """Phred scores [reads, length]: autocorrelated around a level that falls along the read."""
    level = np.where(rng.random(reads) < 0.3, rng.normal(17, 4, reads), rng.normal(34, 3, reads))
    decline = rng.gamma(2.0, 2.0, reads)
    state = rng.normal(0, 4, reads)
    scores = np.empty((reads, length))
    for cycle in range(length):
        state = 0.9 * state + rng.normal(0, 1.8, reads)
        scores[:, cycle] = level - decline * (cycle / 100) ** 2 + state
    return np.clip(scores.round(), LOWEST, HIGHEST).astype(np.int64)


def _fastq(
    names: list[str], bases: NDArray[np.uint8], characters: NDArray[np.int64], lengths: NDArray[np.int64]
) -> str:
    quality = characters.astype(np.uint8)
    rows = zip(names, bases, quality, lengths.tolist(), strict=True)
    return "".join(
        f"@{name}\n{base[:size].tobytes().decode()}\n+\n{score[:size].tobytes().decode()}\n"
        for name, base, score, size in rows
    )


def _table(names: list[str], errors: NDArray[np.int64], expected: NDArray[np.float64]) -> str:
    rows = zip(names, errors.tolist(), expected.tolist(), strict=True)
    lines = "".join(f"{name}\t{count}\t{chance:.6f}\n" for name, count, chance in rows)
    return "read_id\terrors\texpected_errors\n" + lines


def _write(path: Path, text: str) -> None:
    """gzip without a time or a name inside, so equal reads are equal bytes."""
    path.write_bytes(gzip.compress(text.encode(), compresslevel=6, mtime=0))


def read_truth(path: Path) -> dict[str, int]:
    """Errors by read_id, from a table as `simulate_reads` writes. Raises AnelabError."""
    try:
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        rows = [line.split("\t") for line in lines[1:]]
        table = {row[0]: int(row[1]) for row in rows}
    except (OSError, EOFError, zlib.error, ValueError, IndexError) as error:
        raise AnelabError(
            f"{path}: is not a gzip table of read_id, errors, expected_errors with a header line ({error})"
        ) from None
    if len(table) < len(rows):
        raise AnelabError(f"{path}: has {len(rows)} rows but only {len(table)} different reads")
    return table
