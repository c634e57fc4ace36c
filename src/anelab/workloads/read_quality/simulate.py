"""Default reads: simulated, seeded, with the true error probability of every base known, as a real FASTQ and a table.

Qualities are a Markov chain per cycle around a read's own level. Without planted effects a base is miscalled with
exactly the probability that its quality states, and the sum of these is then the best possible filter: such reads show
that the pipeline works, not that learning pays. Effects make the stated probability wrong where a model could learn it.
"""

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.sequences.nucleotides import Bytes
from anelab.workloads.read_quality.config import SimulationConfig
from anelab.workloads.read_quality.truth import COLUMNS, GGC, HOMOPOLYMER, OVERSTATED, TRUTH_SUFFIX, UNREAD

READS_NAME, TRUTH_NAME = "simulated.fastq.gz", f"simulated{TRUTH_SUFFIX}"
MATE_NAMES = ("simulated_1.fastq.gz", "simulated_2.fastq.gz")
LETTERS = np.frombuffer(b"ACGTN", np.uint8)
A, C, G, T, N = range(5)
ADAPTER = np.array([A, G, A, T, C, G, G, A, A, G, A, G, C, A, C, A, C, G, T, C])
"""The first bases of Illumina's universal adapter, which reads end in that are longer than their fragment."""
LOWEST, HIGHEST = 2, 41
BINS = np.array([2, 12, 23, 37])
"""The four qualities of newer instruments."""
REPEAT = 0.35
"""Chance that a base repeats the one before it, so that homopolymers of five are not rare."""
AFTER_GGC, IN_HOMOPOLYMER, OVERSTATED_BY, OVERSTATED_FROM = 8.0, 4.0, 6.0, 100
LONG_RUN = 5
MOST_LIKELY = 0.75
"""Chance of an error that says nothing at all of the base."""
FACTORS = {GGC: AFTER_GGC, HOMOPOLYMER: IN_HOMOPOLYMER, OVERSTATED: 10 ** (OVERSTATED_BY / 10)}
DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
FRAGMENT, SPREAD = 190, 30
"""Mean length of fragments whose both ends are read, and its standard deviation: most mates overlap."""
UNEVEN = 1.5
"""Standard deviation of the logarithm of amplicons' shares: few are abundant, many are rare."""

Numbers = NDArray[np.int64]
Chances = NDArray[np.float64]


@dataclass(frozen=True)
class Sequenced:
    """Reads as an instrument gives them, all [n, cycles] but `lengths` [n]: `called` bases (0 to 4 for ACGTN), `phred`
    scores, what besides them causes errors (see `truth`), the true `chance` of an error and whether there is one
    (`wrong`), both 0 beyond a read's length."""

    called: Numbers
    phred: Numbers
    causes: Bytes
    chance: Chances
    wrong: NDArray[np.bool_]
    lengths: Numbers


def simulate_reads(config: SimulationConfig, seed: int, out: Path) -> None:
    """Write the reads, one file or one of each mate, and their truth table (see `truth`)."""
    rng = np.random.default_rng([seed, 0])
    names = [f"sim.{seed}.{index}" for index in range(1, config.reads + 1)]
    made = _mates(rng, config) if config.pairs else [_single(rng, config)]
    marks = ("/1", "/2") if config.pairs else ("",)
    for file, mark, reads in zip(MATE_NAMES if config.pairs else (READS_NAME,), marks, made, strict=True):
        marked = [f"{name}{mark}" for name in names]
        _write(out / file, "".join(_fastq(marked, reads)))
    rows = [row for mark, reads in zip(marks, made, strict=True) for row in _table(names, mark, reads)]
    _write(out / TRUTH_NAME, "\t".join(COLUMNS) + "\n" + "".join(rows))


def _single(rng: np.random.Generator, config: SimulationConfig) -> Sequenced:
    bases = _bases(rng, config.reads, config.max_length)
    cycles = np.arange(config.max_length)
    ends = rng.integers(1, config.max_length, config.reads)
    into = (rng.random(config.reads) < config.adapters)[:, None] & (cycles >= ends[:, None])
    place = np.clip(cycles - ends[:, None], 0, len(ADAPTER) - 1)
    return _sequence(rng, np.where(into, ADAPTER[place], bases), config)


def _mates(rng: np.random.Generator, config: SimulationConfig) -> list[Sequenced]:
    """Both ends of fragments; where a fragment is shorter than the read, the adapter follows."""
    size = np.clip(rng.normal(FRAGMENT, SPREAD, config.amplicons or config.reads).round(), 30, None).astype(np.int64)
    fragment = _bases(rng, len(size), int(size.max()))
    if config.amplicons:
        share = rng.lognormal(0.0, UNEVEN, config.amplicons)
        chosen = rng.choice(config.amplicons, config.reads, p=share / share.sum())
        size, fragment = size[chosen], fragment[chosen]
    cycles = np.arange(config.max_length)
    inside = cycles < size[:, None]
    adapter = ADAPTER[np.clip(cycles - size[:, None], 0, len(ADAPTER) - 1)]
    forward = np.take_along_axis(fragment, np.minimum(np.broadcast_to(cycles, inside.shape), fragment.shape[1] - 1), 1)
    backward = 3 - np.take_along_axis(fragment, np.maximum(size[:, None] - 1 - cycles, 0), 1)
    return [_sequence(rng, np.where(inside, bases, adapter), config) for bases in (forward, backward)]


def _bases(rng: np.random.Generator, reads: int, length: int) -> Numbers:
    """Random bases [reads, length], with runs."""
    bases = rng.integers(0, 4, (reads, length))
    repeats = rng.random((reads, length)) < REPEAT
    for place in range(1, length):
        bases[:, place] = np.where(repeats[:, place], bases[:, place - 1], bases[:, place])
    return bases


def _sequence(rng: np.random.Generator, truth: Numbers, config: SimulationConfig) -> Sequenced:
    """What the instrument makes of true bases [n, cycles]."""
    reads, cycles = truth.shape
    lengths = np.asarray(rng.integers(config.min_length, config.max_length + 1, reads))
    phred = _qualities(rng, reads, cycles, config.profile)
    inside = np.arange(cycles) < lengths[:, None]
    causes = _causes(truth, config.effects)
    chance = np.where(inside, true_chances(phred, causes), 0.0)
    wrong = rng.random(phred.shape) < chance
    called = np.where(wrong, (truth + rng.integers(1, 4, phred.shape)) % 4, truth)
    unread = _runs(rng, lengths, cycles, config.n_runs)
    called, phred = np.where(unread, N, called), np.where(unread, LOWEST, phred)
    causes = np.where(unread, np.uint8(UNREAD), causes)
    return Sequenced(called, phred, causes, np.where(unread, 1.0, chance), wrong | unread, lengths)


def _causes(truth: Numbers, effects: Sequence[str]) -> Bytes:
    """What lets a base be miscalled more often than its quality states."""
    causes = np.zeros(truth.shape, np.uint8)
    if "ggc" in effects:
        after = (truth[:, :-3] == G) & (truth[:, 1:-2] == G) & (truth[:, 2:-1] == C)
        causes[:, 3:] |= np.where(after, np.uint8(GGC), np.uint8(0))
    if "homopolymer" in effects:
        causes |= np.where(_run_lengths(truth) >= LONG_RUN, np.uint8(HOMOPOLYMER), np.uint8(0))
    if "overstated" in effects:
        causes[:, OVERSTATED_FROM:] |= OVERSTATED
    return causes


def true_chances(phred: Numbers, causes: Bytes) -> Chances:
    """Of an error, of bases with these scores and causes, both of one shape."""
    factors = np.ones(UNREAD)
    for cause, factor in FACTORS.items():
        factors[(np.arange(UNREAD) & cause) > 0] *= factor
    chance = np.minimum(10 ** (-phred / 10) * factors[causes % UNREAD], MOST_LIKELY)
    return np.where(causes & UNREAD, 1.0, chance)


def _run_lengths(truth: Numbers) -> Numbers:
    """Of the run of one base that each base is in."""
    reads, cycles = truth.shape
    starts = np.ones(truth.shape, bool)
    starts[:, 1:] = truth[:, 1:] != truth[:, :-1]
    number = np.cumsum(starts.ravel()) - 1
    lengths: Numbers = np.bincount(number)[number].reshape(reads, cycles)
    return lengths


def _runs(rng: np.random.Generator, lengths: Numbers, cycles: int, share: float) -> NDArray[np.bool_]:
    """Where an instrument gave up: in a share of the reads, up to ten bases in a row."""
    start = rng.integers(0, np.maximum(lengths, 1))
    stop = np.minimum(start + rng.integers(1, 11, len(lengths)), lengths)
    place = np.arange(cycles)
    hit = (rng.random(len(lengths)) < share)[:, None]
    unread: NDArray[np.bool_] = hit & (place >= start[:, None]) & (place < stop[:, None])
    return unread


def _qualities(rng: np.random.Generator, reads: int, length: int, profile: str = "unbinned") -> Numbers:
    """Phred scores [reads, length]: autocorrelated around a level that falls along the read."""
    level = np.where(rng.random(reads) < 0.3, rng.normal(17, 4, reads), rng.normal(34, 3, reads))
    decline = rng.gamma(2.0, 6.0 if profile == "declining" else 2.0, reads)
    state = rng.normal(0, 4, reads)
    scores = np.empty((reads, length))
    for cycle in range(length):
        state = 0.9 * state + rng.normal(0, 1.8, reads)
        scores[:, cycle] = level - decline * (cycle / 100) ** 2 + state
    found = np.clip(scores.round(), LOWEST, HIGHEST).astype(np.int64)
    if profile == "binned":
        found = BINS[np.abs(found[..., None] - BINS).argmin(axis=-1)]
    return found


def _fastq(names: Sequence[str], reads: Sequenced) -> Iterator[str]:
    bases, quality = LETTERS[reads.called], (reads.phred + 33).astype(np.uint8)
    for name, base, score, size in zip(names, bases, quality, reads.lengths.tolist(), strict=True):
        yield f"@{name}\n{base[:size].tobytes().decode()}\n+\n{score[:size].tobytes().decode()}\n"


def _table(names: Sequence[str], mark: str, reads: Sequenced) -> Iterator[str]:
    inside = np.arange(reads.phred.shape[1]) < reads.lengths[:, None]
    stated = np.where(inside, 10 ** (-reads.phred / 10), 0.0).sum(axis=1)
    none = np.prod(1 - reads.chance, axis=1)
    figures: Any = zip(reads.wrong.sum(axis=1).tolist(), stated, reads.chance.sum(axis=1), none, strict=True)
    for name, (errors, expected, true, chance), wrong, causes, size in zip(
        names, figures, reads.wrong, DIGITS[reads.causes], reads.lengths.tolist(), strict=True
    ):
        places, cause = ",".join(map(str, np.flatnonzero(wrong) + 1)), causes[:size].tobytes().decode()
        yield f"{name}{mark}\t{errors}\t{places}\t{expected:.6f}\t{true:.6f}\t{chance:.6g}\t{cause}\n"


def _write(path: Path, text: str) -> None:
    """gzip without a time or a name inside, so equal reads are equal bytes."""
    path.write_bytes(gzip.compress(text.encode(), compresslevel=6, mtime=0))
