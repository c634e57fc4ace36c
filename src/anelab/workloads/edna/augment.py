"""Views of a sequence that should be embedded alike: other ends, the other strand, a few errors."""

import numpy as np
from numpy.typing import NDArray

from anelab.sequences.arrays import SequenceArray
from anelab.sequences.nucleotides import Bytes
from anelab.workloads.edna.config import AugmentConfig

BASES = np.frombuffer(b"ACGT", np.uint8)


def _transition_table() -> Bytes:
    table = np.arange(256, dtype=np.uint8)
    for one, other in (b"AG", b"CT"):
        table[one], table[other] = other, one
    return table


TRANSITION = _transition_table()
"""Of each of 256 characters: A to G, C to T and back; the others stay."""


def augmented(
    sequences: SequenceArray, config: AugmentConfig, rng: np.random.Generator, most: int | None = None
) -> SequenceArray:
    """As many sequences, each changed as `config` says, in upper case. Of what has more than `most` bases, a stretch
    anywhere."""
    found = _cropped(sequences, config, rng, most)
    found = SequenceArray(_substituted(found.letters, config, rng), found.offsets)
    if config.indel:
        found = _with_indels(found, config.indel, rng)
    if config.reverse_complement:
        found = found.reverse_complement(rng.random(len(found)) < config.reverse_complement)
    return found


def _cropped(
    sequences: SequenceArray, config: AugmentConfig, rng: np.random.Generator, most: int | None
) -> SequenceArray:
    """Some cut to a stretch anywhere, of `min_bases` at least; the others lose up to `primer_jitter` bases of each
    end. Nothing is cut below `min_bases`, and nothing stays longer than `most`."""
    lengths = sequences.lengths
    least = np.minimum(lengths, config.min_bases)
    slack = lengths - least
    left, right = (np.minimum(rng.integers(0, config.primer_jitter + 1, len(lengths)), slack // 2) for _ in range(2))
    starts, wanted = left, lengths - left - right
    cropped = rng.random(len(lengths)) < config.crop
    size = least + np.floor(rng.random(len(lengths)) * (slack + 1)).astype(np.int64)
    if most is not None:
        too_long = lengths > most
        size = np.where(too_long, np.minimum(np.where(cropped, size, most), most), size)
        cropped |= too_long
    place = np.floor(rng.random(len(lengths)) * (lengths - size + 1)).astype(np.int64)
    starts, wanted = np.where(cropped, place, starts), np.where(cropped, size, wanted)
    return SequenceArray.gather(sequences.letters, sequences.offsets[:-1] + starts, wanted)


def _substituted(letters: Bytes, config: AugmentConfig, rng: np.random.Generator) -> Bytes:
    """Other bases in some places, `transition_bias` transitions for each transversion; N in some others."""
    if not config.substitution and not config.mask:
        return letters
    found, chance = letters.copy(), rng.random(len(letters), np.float32)
    changed = np.flatnonzero(chance < config.substitution)
    slight = rng.random(len(changed)) < config.transition_bias / (1 + config.transition_bias)
    old = found[changed]
    other = np.where(rng.random(len(changed)) < 0.5, *(_rotated(old, by) for by in (1, 2)))
    found[changed] = np.where(slight, TRANSITION[old], other)
    found[chance > 1 - config.mask] = ord("N")
    return found


def _rotated(letters: Bytes, by: int) -> Bytes:
    """One of the two transversions of each base."""
    table = np.arange(256, dtype=np.uint8)
    for base, others in zip(b"ACGT", (b"CT", b"AG", b"CT", b"AG"), strict=True):
        table[base] = others[by - 1]
    return table[letters]


def _with_indels(sequences: SequenceArray, rate: float, rng: np.random.Generator) -> SequenceArray:
    """Each base lost, or followed by a random one, by a chance of `rate` in all."""
    chance = rng.random(len(sequences.letters), np.float32)
    copies = np.ones(len(chance), np.int64)
    copies[chance < rate / 2], copies[chance > 1 - rate / 2] = 0, 2
    ends = np.concatenate([[0], np.cumsum(copies)])
    letters = np.repeat(sequences.letters, copies)
    fresh: NDArray[np.int64] = ends[1:][copies == 2] - 1
    letters[fresh] = BASES[rng.integers(0, 4, len(fresh))]
    return SequenceArray(letters, ends[sequences.offsets])
