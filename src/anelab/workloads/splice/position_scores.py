"""Tables of a base model's scores by chromosome, position and strand, joined with windows of a genome."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.workloads.splice.config import SpliceData
from anelab.workloads.splice.features import CENTER, LABELS, OFFSETS, SCORES
from anelab.workloads.splice.neighbours import NO_SITE
from anelab.workloads.splice.table_files import read_parts
from anelab.workloads.splice.tables import CENTER_SCORES, position_column, schema_of, score_columns_of, strand_column
from anelab.workloads.splice.windows import Names, Windows

PLACE = ("chromosome", "position", "strand")
REACH = len(OFFSETS) // 2
SAME = 1e-4

Numbers = NDArray[np.int64]


def with_position_scores(
    windows: Windows, chromosomes: Names, files: Sequence[Path], data: SpliceData
) -> tuple[Windows, dict[str, int]]:
    """The windows that the tables have scores of, in their order, and counts for the data card: positions count from 1
    on the forward strand. Of a table with scores of each position alone, those beside it are other rows' of it. Raises
    AnelabError for cells that are wrong, and if no window is found."""
    joined = _Joined(windows, chromosomes)
    for path in files:
        joined.read(path, data)
    found = joined.scores[joined.member]
    there = ~np.isnan(found[:, list(CENTER)]).any(axis=1)
    if not there.any():
        raise AnelabError(
            f"{files[0]}: has scores of none of the {len(windows):,} positions; its columns must count from 1 on the "
            "forward strand, their strand be + or -, and chromosomes be named as in the FASTA (`chr` or not)"
        )
    lacking = np.isnan(found).any(axis=1) & there
    kept = windows.with_scores(np.where(np.isnan(found), NO_SITE, found)).take(np.flatnonzero(there))
    return kept, {
        "rows without scores": int((~there).sum()),
        "without all scores beside the position": int(lacking.sum()),
    }


class _Joined:
    """Scores of each place that windows have: a chromosome, a strand and a position."""

    def __init__(self, windows: Windows, chromosomes: Names) -> None:
        self.numbers = {name.removeprefix("chr"): number for name, number in chromosomes.numbers.items()}
        keys = _keys(windows.chromosome, windows.strand, windows.position)
        self.keys, self.member = np.unique(keys, return_inverse=True)
        self.scores = np.full((len(self.keys), len(SCORES)), np.nan, np.float32)

    def read(self, path: Path, data: SpliceData) -> None:
        schema = None
        for part in read_parts(path):
            if schema is None:
                schema = schema_of(path, part.frame.columns, data, PLACE)
            if not len(part.frame):
                continue
            cells = {key: part.frame[name] for key, name in schema.columns.items()}
            names = cells["chromosome"].fill_null("").str.strip_prefix("chr")
            chromosome = np.array([self.numbers.get(name, -1) for name in names], np.int64)
            strand, position = (
                strand_column(path, part, cells["strand"]),
                position_column(path, part, cells["position"]),
            )
            scores = score_columns_of(path, part, cells, schema)
            if schema.score_columns == CENTER_SCORES:
                for offset in range(-REACH, REACH + 1):
                    self._fill(chromosome, strand, position - strand * offset, scores[:, list(CENTER)], offset, path)
            else:
                self._fill(chromosome, strand, position, scores, None, path)

    def _fill(
        self,
        chromosome: Numbers,
        strand: NDArray[np.int8],
        position: Numbers,
        scores: NDArray[np.float32],
        offset: int | None,
        path: Path,
    ) -> None:
        """All 15 scores of the positions, or the three at an offset from them."""
        keys = _keys(chromosome, strand, position)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        rows = np.flatnonzero((self.keys[at] == keys) & (chromosome >= 0))
        beside = [CENTER[track] + (offset or 0) for track in range(len(LABELS))]
        columns = np.array(range(len(SCORES)) if offset is None else beside)
        cells = at[rows][:, None], columns
        before, given = self.scores[cells], scores[rows]
        self.scores[cells] = given
        differ = ((np.abs(before - given) > SAME) | (np.abs(self.scores[cells] - given) > SAME)).any(axis=1)
        if differ.any():
            wrong = rows[int(np.flatnonzero(differ)[0])]
            raise AnelabError(f"{path}: position {position[wrong]:,} has different scores in two rows")


def _keys(chromosome: Numbers, strand: NDArray[np.int8], position: Numbers) -> Numbers:
    found: Numbers = ((chromosome * 4 + strand + 1) << 40) + position
    return found
