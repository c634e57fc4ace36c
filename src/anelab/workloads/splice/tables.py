"""Tables of windows: a base layer's `analysis_sequences_*`, or any other with a sequence, a label and scores.

A table is read in parts; every cell that is needed is checked, and what is wrong is an error that names file and line.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.sequences.nucleotides import Bytes
from anelab.workloads.splice.classifications import WEIGHTS, Classifications, Variant, weight_of
from anelab.workloads.splice.config import COLUMNS, SpliceData
from anelab.workloads.splice.features import CENTER, LABELS, SCORES
from anelab.workloads.splice.neighbours import NO_SITE, with_neighbours
from anelab.workloads.splice.table_files import Part, read_parts
from anelab.workloads.splice.windows import (
    LEAST_BASES,
    NEITHER,
    SUBGROUPS,
    UNKNOWN,
    Names,
    NotNucleotidesError,
    Windows,
    joined,
    windows_of_texts,
)

LABELLED, UNLABELLED = ("sequence", "label"), ("sequence",)
"""Columns that a table must have."""
CENTER_SCORES = tuple(f"{label}_score" for label in LABELS)
"""Of tables that have scores of the position alone."""

CHROMOSOME_IN_NAME = re.compile(r"analysis_sequences_(?:chr)?([0-9]{1,2}|[XYM]|MT)_chunk", re.IGNORECASE)
NULLS = ("", "NA", "NaN", "nan", "null", "None", ".")


@dataclass
class Schema:
    """Which column of a file is which of ours; `left_out`: those that nothing reads."""

    columns: dict[str, str]
    left_out: list[str] = field(default_factory=list)

    @property
    def score_columns(self) -> tuple[str, ...]:
        """Those of the 15 values, or of the 3 of the position alone, or none."""
        names = SCORES if SCORES[0] in self.columns else CENTER_SCORES
        return names if names[0] in self.columns else ()


def schema_of(path: Path, header: Sequence[str], data: SpliceData, needed: Sequence[str] = LABELLED) -> Schema:
    """Raises AnelabError that names which of the `needed` columns are missing, what there is, and how to name them."""
    found = columns_of(header, data)
    if absent := [key for key in data.columns if key not in found]:
        raise AnelabError(
            f"{path}: splice.data.columns.{absent[0]} is {data.columns[absent[0]]}, but columns are {_listed(header)}"
        )
    missing = [key for key in needed if key not in found]
    given = next((names for names in (SCORES, CENTER_SCORES) if any(name in found for name in names)), ())
    missing += [name for name in given if name not in found]
    if missing:
        raise AnelabError(
            f"{path}: has no column for {', '.join(missing)}; it has {_listed(header)}; "
            f"say which it is by splice.data.columns, like {{{missing[0]}: NAME}}"
        )
    return Schema(found, [name for name in header if name not in found.values()])


def columns_of(header: Sequence[str], data: SpliceData) -> dict[str, str]:
    """Which column is which of ours, of those that are there."""
    found: dict[str, str] = {}
    for key, names in {**COLUMNS, **{name: (name,) for name in (*SCORES, *CENTER_SCORES)}}.items():
        chosen = [data.columns[key]] if key in data.columns else names
        if present := [name for name in chosen if name in header]:
            found[key] = present[0]
    return found


def joins_neighbours(schema: Schema) -> bool:
    """Whether rows can be found that lie beside others: then their scores are those of the neighbours."""
    return schema.score_columns == CENTER_SCORES and "position" in schema.columns


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:80])
    return f"{shown} and {len(names) - 80} more" if len(names) > 80 else shown


class TableReader:
    """Windows of tables; numbers of genes, chromosomes and groups mean the same in all that it reads. `rows`: of the
    tables so far."""

    def __init__(self, data: SpliceData, classified: Classifications, labelled: bool = True) -> None:
        self.data, self.classified, self.labelled = data, classified, labelled
        self.genes, self.chromosomes, self.groups = Names(), Names(), Names()
        self.left_out: dict[str, list[str]] = {}
        self.facts: dict[str, int] = {}
        self.rows = 0

    def warnings(self) -> list[str]:
        found = self.classified.warnings()
        if count := self.facts.get("without neighbours", 0):
            found.append(
                f"{count:,} rows have scores of the position alone; columns {', '.join(SCORES[:2])} ... give those "
                "beside it"
            )
        return found

    def read(self, path: Path) -> Iterator[Windows]:
        """In parts. Raises AnelabError for the first row that is wrong."""
        return (windows for _, windows in self._read(path, frames=False) if windows is not None)

    def read_frames(self, path: Path) -> Iterator[tuple[pl.DataFrame, Windows | None]]:
        """Rows as they are in the table, with their windows; first a frame without rows, and None."""
        return self._read(path, frames=True)

    def _read(self, path: Path, frames: bool) -> Iterator[tuple[pl.DataFrame, Windows | None]]:
        """`frames`: whether the rows of the table are asked for; else frames are empty."""
        schema: Schema | None = None
        waiting: list[tuple[pl.DataFrame, Windows]] = []
        for part in read_parts(path):
            if schema is None:
                schema = schema_of(path, part.frame.columns, self.data, LABELLED if self.labelled else UNLABELLED)
                self.left_out.setdefault(path.name, []).extend(schema.left_out)
                yield part.frame, None
            self.rows += len(part.frame)
            if len(part.frame):
                read = part.frame if frames else part.frame.clear(), self.windows(path, part, schema)
                if joins_neighbours(schema):
                    waiting.append(read)
                else:
                    yield read
        if waiting:  # a row's neighbours may be anywhere in the table
            windows, count = with_neighbours(joined([one for _, one in waiting]))
            self.facts["without neighbours"] -= count
            start = 0
            for frame, one in waiting:
                yield frame, windows.take(np.arange(start, start + len(one)))
                start += len(one)

    def windows(self, path: Path, part: Part, schema: Schema) -> Windows:
        cells = {key: part.frame[name] for key, name in schema.columns.items()}
        count = len(part.frame)
        label = np.full(count, UNKNOWN, np.int8)
        if self.labelled:
            label = self._labels(path, part, cells["label"])
        chromosome = cells.get("chromosome")
        named = _from_name(path, count)
        if chromosome is not None:
            named = [name.removeprefix("chr") if name else None for name in _names(chromosome)]
        genes = _names(cells["gene"]) if "gene" in cells else [None] * count
        groups: list[str | None] = [None] * count
        if "group" in cells:
            groups = [f"{path.parent}:{name}" if name else None for name in _names(cells["group"])]
        return Windows(
            self._sequences(path, part, cells["sequence"]),
            self.scores(path, part, cells, schema),
            label,
            self._weights(path, part, cells) if self.labelled else np.ones(count, np.float32),
            self.genes.of(genes),
            self.chromosomes.of(named),
            self.groups.of(groups),
            position_column(path, part, cells["position"]) if "position" in cells else np.zeros(count, np.int64),
            strand_column(path, part, cells["strand"]) if "strand" in cells else np.zeros(count, np.int8),
            np.full((count, len(SUBGROUPS)), UNKNOWN, np.int8),
        )

    def _labels(self, path: Path, part: Part, column: pl.Series) -> NDArray[np.int8]:
        """`donor`, `acceptor`, and `neither` or nothing for the rest."""
        codes = {**{name: code for code, name in enumerate(LABELS)}, **dict.fromkeys(NULLS, NEITHER)}
        found = column.str.strip_chars().str.to_lowercase() if column.dtype == pl.String else column
        codes |= {name.lower(): NEITHER for name in NULLS}
        mapped = found.fill_null("").replace_strict(codes, default=None, return_dtype=pl.Int8)
        _check(path, part, column, mapped.is_null(), "must be donor, acceptor, or neither (or nothing)")
        return mapped.to_numpy().astype(np.int8)

    def _weights(self, path: Path, part: Part, cells: Mapping[str, pl.Series]) -> NDArray[np.float32]:
        """The column's, times that of the class of the row's variant."""
        found = np.ones(len(part.frame), np.float32)
        if "weight" in cells:
            column = cells["weight"]
            values = column.cast(pl.Float64, strict=False)
            _check(path, part, column, (values.is_null() | ~(values >= 0) | ~(values < 1e6)), "must be 0 or more")
            found *= values.to_numpy().astype(np.float32)
        if "classification" in cells:
            column = cells["classification"]
            weights = [1.0 if not text else weight_of(text) for text in column.fill_null("")]
            wrong = pl.Series([weight is None for weight in weights])
            _check(path, part, column, wrong, f"must be one of {', '.join(WEIGHTS)}, or nothing")
            found *= np.array(weights, np.float32)
        if self.classified.classes:
            found *= np.array(self.classified.weights(_variants(path, part, cells)), np.float32)
        return found

    def scores(self, path: Path, part: Part, cells: Mapping[str, pl.Series], schema: Schema) -> NDArray[np.float32]:
        """As `score_columns_of` has them; of a table with those of the position alone, the neighbours are what a base
        model gives where there is no site."""
        found = score_columns_of(path, part, cells, schema)
        if schema.score_columns == CENTER_SCORES:
            found = np.where(np.isnan(found), NO_SITE, found)
            self.facts["without neighbours"] = self.facts.get("without neighbours", 0) + len(found)
        return found

    def _sequences(self, path: Path, part: Part, column: pl.Series) -> Bytes:
        """Raises AnelabError for what is too short, or no nucleotide."""
        lengths = column.fill_null("").str.len_bytes().to_numpy().astype(np.int64)
        _check(
            path, part, column, pl.Series(lengths < LEAST_BASES), f"must be a sequence of {LEAST_BASES} bases and more"
        )
        try:
            return windows_of_texts(column.to_list(), self.data.window)
        except NotNucleotidesError as error:
            _refuse(path, part, error.row, f"column {column.name}: {error}")


def score_columns_of(path: Path, part: Part, cells: Mapping[str, pl.Series], schema: Schema) -> NDArray[np.float32]:
    """Float32 [n, 15]: probabilities, NaN where the table has no column."""
    found = np.full((len(part.frame), len(SCORES)), np.nan, np.float32)
    for name in schema.score_columns:
        column = cells[name]
        values = column.cast(pl.Float64, strict=False)
        wrong = values.is_null() | ~(values >= 0) | ~(values <= 1 + 1e-6)
        _check(path, part, column, wrong, "must be a probability from 0 to 1")
        place = SCORES.index(name) if name in SCORES else CENTER[CENTER_SCORES.index(name)]
        found[:, place] = values.to_numpy()
    return found


def position_column(path: Path, part: Part, column: pl.Series) -> NDArray[np.int64]:
    """Int64 [n], 0 where there is none."""
    text = column.fill_null("").str.strip_chars()
    values = text.cast(pl.Float64, strict=False)
    wrong = ~text.is_in(NULLS) & (values.is_null() | (values != values.floor()) | ~(values.abs() < 2**40))
    _check(path, part, column, wrong.fill_null(True), "must be a whole number")
    return values.fill_null(0).fill_nan(0).to_numpy().astype(np.int64)


def strand_column(path: Path, part: Part, column: pl.Series) -> NDArray[np.int8]:
    """Int8 [n]: 1, -1, or 0 where there is none."""
    codes = {"+": 1, "-": -1, "1": 1, "-1": -1} | dict.fromkeys(NULLS, 0)
    mapped = column.fill_null("").str.strip_chars().replace_strict(codes, default=None, return_dtype=pl.Int8)
    _check(path, part, column, mapped.is_null(), "must be + or -")
    return mapped.to_numpy().astype(np.int8)


def _names(column: pl.Series) -> list[str | None]:
    """None for a cell that is empty or says that there is none."""
    return [None if name is None or str(name) in NULLS else str(name) for name in column.to_list()]


def _check(path: Path, part: Part, column: pl.Series, wrong: pl.Series, allowed: str) -> None:
    if wrong.any():
        row = int(wrong.arg_true()[0])
        shown = str(column[row])
        more = int(wrong.sum()) - 1
        text = f"column {column.name}: {allowed}, but it is {shown[:60]!r}" + (f"; {more:,} more rows" if more else "")
        _refuse(path, part, row, text)


def _refuse(path: Path, part: Part, row: int, text: str) -> NoReturn:
    raise AnelabError(f"{path}: {part.unit} {part.line + row}: {text}")


def _from_name(path: Path, count: int) -> list[str | None]:
    """A base layer's files have the chromosome in their names."""
    found = CHROMOSOME_IN_NAME.search(path.name)
    return [found[1] if found else None] * count


def _variants(path: Path, part: Part, cells: Mapping[str, pl.Series]) -> Iterator[Variant]:
    """Chromosome, position and alleles of each row."""
    if missing := [name for name in ("chromosome", "position", "ref", "alt") if name not in cells]:
        raise AnelabError(
            f"{path}: rows are joined with classes of variants by chromosome, position, ref and alt, but it has no "
            f"column for {', '.join(missing)}; name them by splice.data.columns, or leave the classes out"
        )
    position = position_column(path, part, cells["position"])
    chromosomes, refs, alts = ([str(value) for value in cells[name]] for name in ("chromosome", "ref", "alt"))
    for chromosome, place, ref, alt in zip(chromosomes, position.tolist(), refs, alts, strict=True):
        yield chromosome.removeprefix("chr"), place, ref.upper(), alt.upper()
