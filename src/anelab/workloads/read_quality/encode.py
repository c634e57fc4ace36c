"""The preprocessing contract reads/2: characters of a read to 300 floats, defined once.

Bytes, uint8 [n, 300]: 150 base characters padded with 0, then 150 quality characters at offset 33
padded with 53. Floats, float32 [n, 300]: A 0, C 1, G 2, T 3, other 4, over 4, pad -1; then Phred
over 93, pad 20/93. So a pad is no base, and its quality is the centre that the network subtracts.
"""

import numpy as np
from numpy.typing import NDArray

from anelab.workloads.read_quality.fastq import PAD_BASE, PAD_QUALITY, WIDTH, Bytes

VERSION = "reads/2"
FEATURES = 2 * WIDTH
QUALITY_SCALE, QUALITY_SHIFT = 1 / 93, -33 / 93


def base_table() -> NDArray[np.float32]:
    """Feature of each of the 256 base characters."""
    table = np.ones(256, np.float32)
    for letters, code in (("Aa", 0), ("Cc", 1), ("Gg", 2), ("TtUu", 3)):
        table[[ord(letter) for letter in letters]] = code / 4
    table[PAD_BASE] = -1
    return table


def quality_table() -> NDArray[np.float32]:
    """Feature of each of the 256 quality characters."""
    return (np.arange(256) * QUALITY_SCALE + QUALITY_SHIFT).astype(np.float32)


def encode(raw: Bytes) -> NDArray[np.float32]:
    """uint8 [n, 300] to float32 [n, 300]."""
    out = np.empty(raw.shape, np.float32)
    np.take(base_table(), raw[:, :WIDTH], out=out[:, :WIDTH], mode="clip")
    np.take(quality_table(), raw[:, WIDTH:], out=out[:, WIDTH:], mode="clip")
    return out


def raw_bytes(sequence: str, quality: str) -> Bytes:
    """One read (quality at offset 33) as uint8 [1, 300]; longer reads are cut to 150 bases."""
    row = np.full((1, FEATURES), PAD_BASE, np.uint8)
    row[:, WIDTH:] = PAD_QUALITY
    for start, text in ((0, sequence), (WIDTH, quality)):
        used = np.frombuffer(text.encode("ascii")[:WIDTH], np.uint8)
        row[0, start : start + used.size] = used
    return row


def phred_scores(raw: Bytes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean Phred score (0 for an empty read) and length of each row's bases, pads left out."""
    inside = raw[:, :WIDTH] != PAD_BASE
    lengths = inside.sum(axis=1)
    total = np.where(inside, raw[:, WIDTH:].astype(np.int64) - 33, 0).sum(axis=1)
    return total / np.maximum(lengths, 1), lengths
