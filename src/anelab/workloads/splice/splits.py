"""Which windows are held out, and the check that nothing of them was seen."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.learning.base import SPLITS
from anelab.learning.splits import stratified_split
from anelab.sequences.homology import STRETCH, Relations, linked, related
from anelab.workloads.splice.config import Config
from anelab.workloads.splice.windows import NEITHER, Windows

Rows = NDArray[np.int64]


def grouped(windows: Windows, relations: Relations, by_gene: bool) -> Rows:
    """Int64 [n]: windows that are related (sequences/homology.py) are in one group, those too of a group that the
    source names, and all of a gene if asked for."""
    found = related(relations, windows.group)
    return linked(len(windows), found.astype(np.uint64), np.arange(len(windows)), windows.gene) if by_gene else found


def split_windows(config: Config, windows: Windows, groups: Rows, chromosomes: list[str]) -> dict[str, Rows]:
    """Rows by split. Raises AnelabError if a gene or a chromosome is asked for that no source tells."""
    by = config.split.by
    if by == "gene" and (windows.gene < 0).any():
        raise AnelabError(
            f"splice.split.by=gene: {(windows.gene < 0).sum():,} rows have no gene; name its column "
            "(splice.data.columns.gene), or split by homology"
        )
    if by == "chromosome":
        return _by_chromosome(config, windows, groups, chromosomes)
    strata = np.where(windows.label == NEITHER, 0, 1 + windows.label.astype(np.int64))
    return stratified_split(strata, groups, config.split, config.seed)


def _by_chromosome(config: Config, windows: Windows, groups: Rows, chromosomes: list[str]) -> dict[str, Rows]:
    """Training rows that are related to rows of the other splits belong to none, and validation rows to the test's."""
    if (windows.chromosome < 0).any():
        raise AnelabError(
            f"splice.split.by=chromosome: {(windows.chromosome < 0).sum():,} rows have no chromosome; name its column "
            "(splice.data.columns.chromosome), or split by homology"
        )
    part = np.zeros(len(windows), np.int64)
    for code, name in enumerate(SPLITS[1:], start=1):
        wanted = [text.removeprefix("chr") for text in config.split.chromosomes[name]]  # type: ignore[index]
        names = [text.removeprefix("chr") for text in chromosomes]
        if unknown := sorted(set(wanted) - set(names)):
            raise AnelabError(
                f"splice.split.chromosomes.{name} has {', '.join(unknown)}, but the data have "
                f"{', '.join(names) or 'none'}"
            )
        part[np.isin(windows.chromosome, [names.index(text) for text in wanted])] = code
    latest = np.zeros(groups.max() + 1, np.int64)
    np.maximum.at(latest, groups, part)
    return {name: np.flatnonzero((part == code) & (latest[groups] == code)) for code, name in enumerate(SPLITS)}


def check_leaks(relations: Relations, parts: dict[str, Rows]) -> None:
    """Raises AnelabError if rows of two splits are related: what is tested would have been learned. It looks at the
    sequences, not at the groups that were made of them."""
    part = np.full(len(relations.codes), -1, np.int8)
    for code, name in enumerate(SPLITS):
        part[parts[name]] = code
    for hashes, of in relations:
        order = np.argsort(hashes)
        order = order[part[of[order]] >= 0]
        where = part[of[order]]
        leaks = np.flatnonzero((hashes[order][1:] == hashes[order][:-1]) & (where[1:] != where[:-1]))
        if leaks.size:
            names = sorted({SPLITS[where[place]] for place in (leaks[0], leaks[0] + 1)})
            raise AnelabError(f"rows of {' and '.join(names)} share {STRETCH} bases; this split would leak")


def left_out(windows: Any, parts: dict[str, Rows]) -> int:
    return len(windows) - sum(len(rows) for rows in parts.values())
