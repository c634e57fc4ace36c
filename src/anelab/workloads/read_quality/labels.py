"""PASS or FAIL, by rules of the bases that the model sees; and reads of lengths that no library had."""

import numpy as np
from numpy.typing import NDArray

from anelab.workloads.read_quality.config import ReadsDataConfig
from anelab.workloads.read_quality.encode import FEATURES, expected_errors, lengths_of, phred_scores
from anelab.workloads.read_quality.fastq import PAD_CODE, PAD_SCORE, WIDTH, Bytes

PIECES = 4
"""Reads that are joined at most: four of 38 bases make one of 150."""


def by_rule(raw: Bytes, data: ReadsDataConfig) -> NDArray[np.bool_] | None:
    """True is PASS; None if the label follows from no rule of bases and qualities."""
    if data.label == "true_errors":
        return None
    long_enough = lengths_of(raw) >= data.min_length
    if data.label == "mean_quality":
        return (phred_scores(raw)[0] >= data.min_mean_quality) & long_enough
    return (expected_errors(raw) <= data.max_expected_errors) & long_enough


def of_whole_read(scores: NDArray[np.uint8], data: ReadsDataConfig) -> bool:
    """What the rule says of all Phred scores of a read, however long."""
    if data.label == "mean_quality":
        good = scores.mean() >= data.min_mean_quality
    else:
        good = (10.0 ** (-scores.astype(float) / 10)).sum() <= data.max_expected_errors
    return bool(good) and len(scores) >= data.min_length


def join_and_crop(raw: Bytes, pool: Bytes, rng: np.random.Generator) -> Bytes:
    """Rows of every length from 1 to WIDTH alike: each of `raw` is joined with others of `pool` until there is enough,
    and a piece is cut out at random."""
    wanted = rng.integers(1, WIDTH + 1, len(raw))
    bases, scores = raw[:, :WIDTH], raw[:, WIDTH:]
    total = lengths_of(raw)
    for _ in range(PIECES - 1):
        partner = pool[rng.integers(0, len(pool), len(raw))]
        bases, scores = (
            _joined(left, right, total) for left, right in ((bases, partner[:, :WIDTH]), (scores, partner[:, WIDTH:]))
        )
        total = total + lengths_of(partner)
    start = _starts(rng, total, wanted)
    kept = np.minimum(wanted, total)
    out = np.empty((len(raw), FEATURES), np.uint8)
    place = start[:, None] + np.arange(WIDTH)
    beyond = np.arange(WIDTH) >= kept[:, None]
    for part, source, pad in ((slice(None, WIDTH), bases, PAD_CODE), (slice(WIDTH, None), scores, PAD_SCORE)):
        cut = np.take_along_axis(source, np.minimum(place, source.shape[1] - 1), axis=1)
        out[:, part] = np.where(beyond, np.uint8(pad), cut)
    return out


def _starts(rng: np.random.Generator, total: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    starts: NDArray[np.int64] = rng.integers(0, np.maximum(total - wanted, 0) + 1)
    return starts


def _joined(left: Bytes, right: Bytes, lengths: NDArray[np.int64]) -> Bytes:
    """Each row of `right` behind the first `lengths` of its row of `left`."""
    wide: Bytes = np.concatenate([left, np.zeros_like(right)], axis=1)
    place = lengths[:, None] + np.arange(right.shape[1])
    np.put_along_axis(wide, place, right, axis=1)
    return wide
