"""Which windows are held out, and the check that nothing of them was seen."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.learning.base import SPLITS
from anelab.learning.splits import stratified_split
from anelab.sequences.homology import STRETCH, linked, stretch_hashes
from anelab.workloads.splice.config import Config
from anelab.workloads.splice.windows import NEITHER, Windows

Rows = NDArray[np.int64]
WIDTH = 601
"""Bases around a position in which relatives are looked for, at most; windows for long encoders are cut."""


def related(windows: Windows, by_gene: bool) -> Rows:
    """Int64 [n]: windows that share STRETCH bases on either strand are in one group, those too of a group that the
    source names, and all of a gene if asked for."""
    center, reach = windows.sequence.shape[1] // 2, WIDTH // 2
    hashes, of = stretch_hashes(windows.sequence[:, max(center - reach, 0) : center + reach + 1])
    found = linked(len(windows), hashes, of, windows.group)
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


def check_leaks(groups: Rows, parts: dict[str, Rows]) -> None:
    """Raises AnelabError if two splits have rows of one group: what is tested would have been learned."""
    where: dict[int, str] = {}
    for name in SPLITS:
        for group in np.unique(groups[parts[name]]).tolist():
            if where.setdefault(group, name) != name:
                raise AnelabError(
                    f"rows of {where[group]} and {name} share {STRETCH} bases or a gene; this split would leak"
                )


def left_out(windows: Any, parts: dict[str, Rows]) -> int:
    return len(windows) - sum(len(rows) for rows in parts.values())
