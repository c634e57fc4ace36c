"""The preprocessing contract reads/3: characters of a read to 300 bytes or floats, defined once.

Bytes, uint8 [n, 300]: 150 base codes, A 4, C 5, G 6, T or U 7, any other letter 8, pad 0; then 150 Phred scores, pad
20. Floats, float32 [n, 300]: (code - 4) / 4, then score / 93, which is what reads/2 was: A 0, C 1, G 2, T 3, other 4,
over 4, pad -1; pad 20/93. So a pad is no base, and its quality is the centre that the network subtracts.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from anelab.sequences import phred
from anelab.sequences.nucleotides import CODES, PAD_CODE, Bytes
from anelab.sequences.phred import Phred, Reads
from anelab.sequences.streams import Source

VERSION = "reads/3"
WIDTH = 150
"""Bases that the model sees."""
PAD_SCORE = 20
"""What the features are centred on."""
FEATURES = 2 * WIDTH
BASE_SCALE, BASE_SHIFT = 1 / 4, -1.0
SCORE_SCALE = 1 / 93


def read_reads(
    source: Source, phred_offset: Phred, option: str, max_records: int | None = None, together: int = 1
) -> Iterator[Reads]:
    """Every read of a source, its bytes as the model takes them. Raises AnelabError as `sequences.phred` does."""
    return phred.read_reads(source, phred_offset, option, max_records, together, WIDTH, PAD_SCORE)


def encode(raw: Bytes) -> NDArray[np.float32]:
    """uint8 [n, 300] to float32 [n, 300]."""
    out = np.empty(raw.shape, np.float32)
    np.multiply(raw[:, :WIDTH], np.float32(BASE_SCALE), out=out[:, :WIDTH])
    out[:, :WIDTH] += np.float32(BASE_SHIFT)
    np.multiply(raw[:, WIDTH:], np.float32(SCORE_SCALE), out=out[:, WIDTH:])
    return out


def raw_bytes(sequence: str, quality: str) -> Bytes:
    """One read (quality at offset 33) as uint8 [1, 300]; longer reads are cut to 150 bases."""
    row = np.full((1, FEATURES), PAD_CODE, np.uint8)
    row[:, WIDTH:] = PAD_SCORE
    codes = np.frombuffer(sequence[:WIDTH].encode("ascii").translate(CODES), np.uint8)
    scores = np.frombuffer(quality[:WIDTH].encode("ascii"), np.uint8) - 33
    row[0, : codes.size] = codes
    row[0, WIDTH : WIDTH + scores.size] = scores
    return row


def lengths_of(raw: Bytes) -> NDArray[np.int64]:
    """Bases of each row."""
    lengths: NDArray[np.int64] = np.count_nonzero(raw[:, :WIDTH], axis=1)
    return lengths


def phred_scores(raw: Bytes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean Phred score (0 for an empty read) and length of each row's bases, pads left out."""
    lengths = lengths_of(raw)
    total = raw[:, WIDTH:].sum(axis=1, dtype=np.int64) - PAD_SCORE * (WIDTH - lengths)
    return total / np.maximum(lengths, 1), lengths


ROUNDING = 1e-9
"""By so much sums of chances may be off."""


def expected_errors(raw: Bytes) -> NDArray[np.float64]:
    """Sum of the error probabilities that the scores state (Edgar & Flyvbjerg 2015), pads left out."""
    chances = (10.0 ** (-np.arange(256) / 10)).astype(np.float64)
    of_pads = chances[PAD_SCORE] * (WIDTH - lengths_of(raw))
    total: NDArray[np.float64] = np.maximum(chances[raw[:, WIDTH:]].sum(axis=1) - of_pads, 0.0)
    return total
