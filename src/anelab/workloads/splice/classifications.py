"""SpliceVarDB's table of variants: how sure it is that each changes splicing, as weights of rows.

A row of a table of windows is a variant's if chromosome, position, reference and alternative allele are the same, in
the genome build that data.variants.build names.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anelab.errors import AnelabError
from anelab.workloads.splice.config import VariantsConfig

WEIGHTS = {"splice-altering": 2.0, "normal": 1.5, "low-frequency": 0.5}
"""Of the classes that SpliceVarDB's tables have; rows of no variant weigh 1."""

Variant = tuple[str, int, str, str]
"""Chromosome without `chr`, position from 1, reference and alternative allele."""
ONE_CELL = re.compile(r"(?:chr)?([0-9A-Za-z_.]+)[-:]([0-9]+)[-:]?([ACGTN]+)[->]([ACGTN]+)", re.IGNORECASE)


def weight_of(classification: str) -> float | None:
    """None for a class that SpliceVarDB does not have."""
    return WEIGHTS.get(classification.strip().lower())


@dataclass
class Classifications:
    """Of each variant its class. `matched` counts rows of windows that are one of them, by class."""

    classes: dict[Variant, str] = field(default_factory=dict)
    matched: Counter[str] = field(default_factory=Counter)
    found: set[Variant] = field(default_factory=set)

    def weights(self, variants: Iterable[Variant]) -> list[float]:
        weights = []
        for variant in variants:
            name = self.classes.get(variant)
            if name is not None:
                self.matched[name] += 1
                self.found.add(variant)
            weights.append(WEIGHTS[name] if name is not None else 1.0)
        return weights

    def facts(self) -> dict[str, int]:
        return {
            "variants": len(self.classes),
            "variants without a row": len(self.classes) - len(self.found),
            **{f"rows of class {name}": self.matched[name] for name in WEIGHTS},
        }

    def warnings(self) -> list[str]:
        """A weight that never applies is a mistake in the data or in the join."""
        return [
            f"no row is a variant of class {name}, so its weight of {weight:g} never applies"
            for name, weight in WEIGHTS.items()
            if self.classes and not self.matched[name]
        ]


def is_classifications(header: Sequence[str], names: VariantsConfig, sequence: str) -> bool:
    """`sequence`: the column that a table of windows has."""
    return names.classification in header and sequence not in header


def read_classifications(
    path: Path, rows: Iterable[tuple[int, dict[str, str]]], names: VariantsConfig
) -> Classifications:
    """Of rows (number of the line, cells by column). Raises AnelabError for a class that is none, a position that is no
    number, and columns that are missing."""
    found = Classifications()
    for line, cells in rows:
        variant = _variant(path, line, cells, names)
        name = cells[names.classification].strip().lower()
        if variant is None:
            continue
        if name not in WEIGHTS:
            raise AnelabError(
                f"{path}: line {line}: the class is {cells[names.classification]!r}, but must be one of "
                f"{', '.join(WEIGHTS)}"
            )
        before = found.classes.setdefault(variant, name)
        if before != name:
            raise AnelabError(f"{path}: line {line}: {'-'.join(map(str, variant))} is {name} here, but {before} before")
    return found


def _variant(path: Path, line: int, cells: dict[str, str], names: VariantsConfig) -> Variant | None:
    """None where it has no place in this build."""
    if names.build in cells:
        text = cells[names.build].strip()
        matched = ONE_CELL.fullmatch(text)
        if not text or text.lower() in ("na", "nan", "none", "."):
            return None
        if matched is None:
            raise AnelabError(
                f"{path}: line {line}: column {names.build}: {text[:60]!r} is no variant like 1-12345-A-G"
            )
        chromosome, position, ref, alt = matched.groups()
    else:
        columns = (names.chromosome, names.position, names.ref, names.alt)
        if missing := [name for name in columns if name not in cells]:
            raise AnelabError(
                f"{path}: has no column {names.build}, and none for {', '.join(missing)}; it has {', '.join(cells)}; "
                "say which they are by splice.data.variants"
            )
        chromosome, position, ref, alt = (cells[name].strip() for name in columns)
    if not position.isdigit():
        raise AnelabError(f"{path}: line {line}: the position {position!r} is no number")
    return chromosome.removeprefix("chr"), int(position), ref.upper(), alt.upper()
