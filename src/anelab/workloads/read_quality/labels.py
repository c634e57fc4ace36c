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


def join_and_crop(reads: Rows, pool: Rows, rng: np.random.Generator) -> dict[str, Array]:
    """Reads of every length from 1 to WIDTH alike: each of `reads` is joined with others of `pool` until there is
    enough, and a piece is cut out at random."""
    count = len(reads["codes"])
    wanted = rng.integers(1, WIDTH + 1, count)
    wide, total = dict(reads), np.count_nonzero(reads["codes"], axis=1)
    for _ in range(PIECES - 1):
        partner = rng.integers(0, len(pool["codes"]), count)
        wide = {name: _joined(wide[name], pool[name][partner], total) for name in reads}
        total = total + np.count_nonzero(pool["codes"][partner], axis=1)
    place = _starts(rng, total, wanted)[:, None] + np.arange(WIDTH)
    beyond = np.arange(WIDTH) >= np.minimum(wanted, total)[:, None]
    cut = {
        name: np.take_along_axis(array, np.minimum(place, array.shape[1] - 1), axis=1) for name, array in wide.items()
    }
    return {name: np.where(beyond, array.dtype.type(PADS[name]), array) for name, array in cut.items()}


def _starts(rng: np.random.Generator, total: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    starts: NDArray[np.int64] = rng.integers(0, np.maximum(total - wanted, 0) + 1)
    return starts


def _joined(left: Array, right: Array, lengths: NDArray[np.int64]) -> Array:
    """Each row of `right` behind the first `lengths` of its row of `left`."""
    wide: Array = np.concatenate([left, np.zeros_like(right)], axis=1)
    place = lengths[:, None] + np.arange(right.shape[1])
    np.put_along_axis(wide, place, right, axis=1)
    return wide
