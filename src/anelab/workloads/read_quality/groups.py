"""What must stay together: mates, reads of one sequence, and, if it is asked for, whole libraries."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from anelab.errors import AnelabError
from anelab.learning.base import SPLITS
from anelab.learning.config import SplitConfig
from anelab.sequences.fastq import Integers
from anelab.sequences.mates import Fragments
from anelab.sequences.nucleotides import PAD_CODE, Bytes
from anelab.workloads.read_quality.encode import WIDTH

TELLING = 20
"""Bases from which on equal sequences are taken for one molecule's."""


def groups_of(fragment: Integers, raw: Bytes, lengths: Integers) -> Integers:
    """A number for what must stay together, [n]: mates, which are of one fragment, and reads of one sequence, for a
    model that has seen one of them knows the other."""
    return together(fragment, raw, lengths >= TELLING)


def together(group: Integers, raw: Bytes, mask: NDArray[np.bool_]) -> Integers:
    """A number for each read, [n], equal where `group` is, and where two reads that `mask` selects have the same
    bases, wherever in the read they lie."""
    codes = np.take_along_axis(raw, np.argsort(raw[:, :WIDTH] == PAD_CODE, axis=1, kind="stable"), axis=1)
    _, sequence = np.unique(np.ascontiguousarray(codes).view(f"V{WIDTH}")[:, 0], return_inverse=True)
    _, number = np.unique(group, return_inverse=True)
    return _joined(number[mask], sequence[mask], len(group))[number]


def mates_of(names: Sequence[str], fragments: Fragments) -> tuple[Integers, Integers]:
    """Rows of first and of second mates, [pairs] each: fragments that occur twice, with marks 1 and 2 or without any.
    Raises AnelabError for one that occurs more often."""
    number, mark = fragments.number, fragments.mark
    order = np.argsort(number, kind="stable")
    count = np.bincount(number, minlength=1)
    starts = np.cumsum(count) - count
    if many := int((count > 2).sum()):
        name = names[order[starts[count > 2][0]]]
        raise AnelabError(
            f"{many} names occur more than twice (the first is {name}), so mates cannot be found; give libraries that "
            "share names one at a time"
        )
    first, second = order[starts[count == 2]], order[starts[count == 2] + 1]
    swapped = mark[first] > mark[second]
    first, second = np.where(swapped, second, first), np.where(swapped, first, second)
    mates = (mark[first] != mark[second]) | (mark[first] == 0)
    return first[mates], second[mates]


def libraries_of(fragment: Integers, file: Integers, files: Sequence[str]) -> Integers:
    """A number for each read's library, [n]. Files that hold mates of each other are one."""
    return _joined(file, fragment, max(len(files), len(fragment)))[file]


def _joined(left: Integers, right: Integers, most: int) -> Integers:
    """For each of up to `most` things on the left, the number of what it is joined to by way of the right."""
    links = coo_array((np.ones(len(left), bool), (left, most + right)), shape=(2 * most, 2 * most))
    _, member = connected_components(links, directed=False)
    numbers: Integers = np.unique(member[:most], return_inverse=True)[1]
    return numbers


def split_libraries(library: Integers, shares: SplitConfig, seed: int) -> dict[str, NDArray[np.int64]]:
    """Row indices by split, each library whole in one of them. Raises AnelabError for fewer than three."""
    there = np.unique(library)
    if len(there) < len(SPLITS):
        raise AnelabError(
            f"read_quality.split.by_library needs at least {len(SPLITS)} libraries but got {len(there)} (files with "
            "mates of each other are one); give more files, or set it to false"
        )
    order = np.random.default_rng([seed, 1]).permutation(there)
    test, validation = (max(1, round(share * len(there))) for share in (shares.test, shares.validation))
    chosen = {"test": order[:test], "validation": order[test : test + validation], "train": order[test + validation :]}
    return {name: np.flatnonzero(np.isin(library, chosen[name])) for name in SPLITS}
