"""PASS or FAIL, by rules of the bases that the model sees; and reads of lengths that no library had."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anelab.learning.base import Array
from anelab.sequences.fastq import Integers
from anelab.sequences.nucleotides import PAD_CODE, Bytes
from anelab.workloads.read_quality.encode import (
    FEATURES,
    PAD_SCORE,
    ROUNDING,
    WIDTH,
    expected_errors,
    lengths_of,
    phred_scores,
)

if TYPE_CHECKING:
    from anelab.workloads.read_quality.config import ReadsDataConfig

Values = NDArray[np.floating[Any]]
PIECES = 4
"""Reads that are joined at most: four of 38 bases make one of 150."""


SCORES: Mapping[str, Callable[[Bytes], Values]] = {
    "mean_quality": lambda raw: phred_scores(raw)[0],
    "expected_errors": expected_errors,
}
"""What each rule judges, [n], of raw bytes."""


def passes(rule: str, values: Values, lengths: Integers, data: "ReadsDataConfig") -> NDArray[np.bool_]:
    """True is PASS, [n], by a rule's values and the lengths of the reads."""
    long_enough = lengths >= data.min_length
    if rule == "mean_quality":
        return (values >= data.min_mean_quality) & long_enough
    return (values <= data.max_expected_errors + ROUNDING) & long_enough


def by_rule(raw: Bytes, data: "ReadsDataConfig") -> NDArray[np.bool_] | None:
    """True is PASS; None if the label follows from no rule of bases and qualities."""
    if data.label not in SCORES:
        return None
    return passes(data.label, SCORES[data.label](raw), lengths_of(raw), data)


def flush_left(raw: Bytes, wrong: Array) -> tuple[Bytes, Array]:
    """Pieces of reads, which may lie anywhere, each moved to its row's beginning: bytes, and where they are wrong."""
    order = np.argsort(raw[:, :WIDTH] == PAD_CODE, axis=1, kind="stable")
    moved = np.concatenate([order, order + WIDTH], axis=1)
    return np.take_along_axis(raw, moved, axis=1), np.take_along_axis(wrong, order, axis=1)


def join_and_crop(
    raw: Bytes, wrong: Array | None, lengths: Integers, rows: Array, rng: np.random.Generator
) -> tuple[Bytes, Array | None]:
    """Reads of every length from 1 to WIDTH alike, one for each of `rows`, which are indices of `raw`: that read is
    joined with others until there is enough, and a piece is cut out at random. `lengths` are those of `raw`; `wrong`,
    [n, WIDTH], says where a base is wrong, if that is known. Gives bytes, and where they are wrong."""
    parts = np.column_stack([rows, rng.integers(0, len(raw), (len(rows), PIECES - 1))])
    sizes = lengths[parts]
    ends = np.cumsum(sizes, axis=1)
    begins, total = ends - sizes, ends[:, -1]
    wanted = rng.integers(1, WIDTH + 1, len(rows))
    start = rng.integers(0, np.maximum(total - wanted, 0) + 1)
    stop = np.minimum(start + wanted, total)
    low, high = (np.clip(bound[:, None] - begins, 0, sizes) for bound in (start, stop))  # of each part, what is cut out
    taken = (high - low).ravel()
    sources = _spans((parts * FEATURES + low).ravel(), taken)
    targets = _spans((np.arange(len(rows))[:, None] * FEATURES + begins + low - start[:, None]).ravel(), taken)
    made = np.empty((len(rows), FEATURES), np.uint8)
    made[:, :WIDTH], made[:, WIDTH:] = PAD_CODE, PAD_SCORE
    for part in (0, WIDTH):
        made.reshape(-1)[targets + part] = raw.reshape(-1)[sources + part]
    if wrong is None:
        return made, None
    places = np.zeros((len(rows), WIDTH), wrong.dtype)
    places[np.divmod(targets, FEATURES)] = wrong[np.divmod(sources, FEATURES)]
    return made, places


def _spans(starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The runs [start, start + size) one after the other."""
    before = np.cumsum(sizes) - sizes
    runs: NDArray[np.int64] = np.arange(sizes.sum()) + np.repeat(starts - before, sizes)
    return runs
