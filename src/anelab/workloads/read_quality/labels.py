"""PASS or FAIL, by rules of the bases that the model sees; and reads of lengths that no library had."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anelab.learning.base import Array
from anelab.sequences.fastq import Integers
from anelab.sequences.nucleotides import PAD_CODE, Bytes
from anelab.workloads.read_quality.encode import PAD_SCORE, ROUNDING, WIDTH, expected_errors, lengths_of, phred_scores

if TYPE_CHECKING:
    from anelab.workloads.read_quality.config import ReadsDataConfig

Values = NDArray[np.floating[Any]]
PADS = {"codes": PAD_CODE, "scores": PAD_SCORE, "wrong": 0}
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


Rows = Mapping[str, Array]
"""Arrays of the same reads, [n, WIDTH] each: what belongs to a base lies in its place."""


def rows_of(raw: Bytes, wrong: Array | None = None) -> dict[str, Array]:
    """Codes and scores of raw bytes, and where a base is wrong, if that is known."""
    parts = {"codes": raw[:, :WIDTH], "scores": raw[:, WIDTH:]}
    return parts if wrong is None else {**parts, "wrong": wrong}


def flush_left(raw: Bytes, wrong: Array) -> tuple[Bytes, Array]:
    """Pieces of reads, which may lie anywhere, each moved to its row's beginning: bytes, and where they are wrong."""
    order = np.argsort(raw[:, :WIDTH] == PAD_CODE, axis=1, kind="stable")
    moved = np.concatenate([order, order + WIDTH], axis=1)
    return np.take_along_axis(raw, moved, axis=1), np.take_along_axis(wrong, order, axis=1)


def join_and_crop(pool: Rows, rows: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Reads of every length from 1 to WIDTH alike, as many as `rows`, which are indices of `pool`: each of these reads
    is joined with others of the pool until there is enough, and a piece is cut out at random."""
    others = rng.integers(0, len(pool["codes"]), (len(rows), PIECES - 1))
    parts = np.column_stack([rows, others])
    lengths = np.count_nonzero(pool["codes"], axis=1)[parts]
    ends = np.cumsum(lengths, axis=1)
    begins, total = ends - lengths, ends[:, -1]
    wanted = rng.integers(1, WIDTH + 1, len(rows))
    start = rng.integers(0, np.maximum(total - wanted, 0) + 1)
    stop = np.minimum(start + wanted, total)
    low = np.clip(start[:, None] - begins, 0, lengths)  # of each part, from where to where it is cut out
    sizes = np.clip(stop[:, None] - begins, 0, lengths) - low
    sources = _spans((parts * WIDTH + low).ravel(), sizes.ravel())
    targets = _spans((np.arange(len(rows))[:, None] * WIDTH + begins + low - start[:, None]).ravel(), sizes.ravel())
    made = {name: np.full((len(rows), WIDTH), PADS[name], array.dtype) for name, array in pool.items()}
    for name, array in made.items():
        array.ravel()[targets] = pool[name].ravel()[sources]
    return made


def _spans(starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The runs [start, start + size) one after the other."""
    before = np.cumsum(sizes) - sizes
    runs: NDArray[np.int64] = np.arange(sizes.sum()) + np.repeat(starts - before, sizes)
    return runs
