"""Scores beside a position: from the rows of a table that lie there."""

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from anelab.sequences.nucleotides import PAD_CODE
from anelab.workloads.splice.features import CENTER, LABELS, OFFSETS, SCORES
from anelab.workloads.splice.windows import Windows

REACH = len(OFFSETS) // 2
NO_SITE = np.array([float(place >= 2 * len(OFFSETS)) for place in range(len(SCORES))], np.float32)
"""Float32 [15]: what a base model gives where there is no site."""
LEAST_SHARED = 12
"""Bases that two windows must have both, to be neighbours."""
MOST_AHEAD = 64
"""Rows of two neighbouring positions that lie between them when all are in order: other alleles."""

Rows = NDArray[np.int64]


def with_neighbours(windows: Windows) -> tuple[Windows, int]:
    """The windows with scores at -2 to +2 from rows of the same gene, chromosome and strand that lie so, and for how
    many rows at least one was found. Positions may count along the strand or along the contig: which of two rows comes
    first is read from their sequences, and so is which of several alleles at a position lies beside which. Rows with
    position 0 have no place."""
    digest = np.array([crc32(row) for row in np.ascontiguousarray(windows.sequence)], np.int64)
    columns = (windows.gene, windows.chromosome, windows.strand, windows.position, digest)
    places, row, member = np.unique(
        np.stack([column.astype(np.int64) for column in columns], axis=1),
        axis=0,
        return_index=True,
        return_inverse=True,
    )
    found, linked = windows.scores[row], np.zeros(len(row), bool)
    for ahead in range(1, MOST_AHEAD + 1):
        same = (places[:-ahead, :3] == places[ahead:, :3]).all(axis=1) & (places[:-ahead, 3] != 0)
        distance = np.where(same, places[ahead:, 3] - places[:-ahead, 3], REACH + 1)
        if not (distance <= REACH).any():
            break
        for step in range(1, REACH + 1):
            left = np.flatnonzero(distance == step)
            right = left + ahead
            forward = _follows(windows, row[left], row[right], step)
            backward = ~forward & _follows(windows, row[right], row[left], step)
            for first, second in ((left[forward], right[forward]), (right[backward], left[backward])):
                _fill(found, windows.scores[row], first, second, step)
                linked[first] = linked[second] = True
    scores = np.where(np.isin(np.arange(len(SCORES)), CENTER), windows.scores, found[member.ravel()])
    return windows.with_scores(scores), int(linked[member.ravel()].sum())


def _follows(windows: Windows, first: Rows, second: Rows, step: int) -> NDArray[np.bool_]:
    """Whether the second windows lie `step` bases after the first, by their sequences."""
    left, right = windows.sequence[first, step:], windows.sequence[second, :-step]
    both = (left != PAD_CODE) & (right != PAD_CODE)
    return np.asarray(((left == right) | ~both).all(axis=1) & (both.sum(axis=1) >= LEAST_SHARED))


def _fill(found: NDArray[np.float32], scores: NDArray[np.float32], first: Rows, second: Rows, step: int) -> None:
    for track in range(len(LABELS)):
        center = CENTER[track]
        found[first, center + step] = scores[second, center]
        found[second, center - step] = scores[first, center]
