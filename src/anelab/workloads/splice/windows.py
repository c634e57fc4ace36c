"""Positions with the sequence around them, a base model's scores and a label: what every source becomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.learning.arrays import load_array
from anelab.sequences.nucleotides import CODES, ODD, PAD_CODE, Bytes, encode_bases, why_not_nucleotides
from anelab.workloads.splice.features import LABELS, SCORES

DONOR, ACCEPTOR, NEITHER = range(3)
LEAST_BASES = 5
UNKNOWN = -1
SUBGROUPS = ("alternative", "non_coding", "terminal_exon", "non_canonical", "deep_intronic")
"""What an annotation says of a position; a source without one does not know. Column by column of `Windows.flags`."""

A, C, G, T = (CODES[letter] for letter in b"ACGT")


@dataclass(frozen=True)
class Windows:
    """Rows in one order. The position is base `width // 2` of each sequence, counted from 0: of a donor the last base
    of the exon, of an acceptor the first.

    `sequence`: uint8 [n, width], codes of nucleotides. `scores`: float32 [n, 15] in the order of SCORES, NaN where
    there are none. `label`: int8 [n], a place in LABELS, -1 where there is none. `weight`: float32 [n]. `gene`,
    `chromosome`, `group`: int64 [n], -1 where not known. `position`: int64 [n], as the source counts, 0 where not
    known; `strand`: int8 [n], 1, -1, or 0 where not known. `flags`: int8 [n, 5], 1, 0, or -1 where not known."""

    sequence: Bytes
    scores: NDArray[np.float32]
    label: NDArray[np.int8]
    weight: NDArray[np.float32]
    gene: NDArray[np.int64]
    chromosome: NDArray[np.int64]
    group: NDArray[np.int64]
    position: NDArray[np.int64]
    strand: NDArray[np.int8]
    flags: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: NDArray[Any]) -> "Windows":
        return Windows(**{name: getattr(self, name)[rows] for name in ARRAYS})

    @property
    def has_scores(self) -> NDArray[np.bool_]:
        return np.asarray(~np.isnan(self.scores).any(axis=1))

    def with_scores(self, scores: NDArray[np.float32]) -> "Windows":
        return replace(self, scores=scores.astype(np.float32))


ARRAYS = ("sequence", "scores", "label", "weight", "gene", "chromosome", "group", "position", "strand", "flags")
SHAPES: Mapping[str, tuple[int | None, ...]] = {
    "sequence": (None, None),
    "scores": (None, len(SCORES)),
    "flags": (None, len(SUBGROUPS)),
}


def joined(parts: Sequence[Windows]) -> Windows:
    """Rows of several sources; numbers of genes, chromosomes and groups must mean the same in all. Raises AnelabError
    if their widths differ."""
    if not parts:
        raise AnelabError("splice: the sources have no row; give tables with rows, or genes with introns")
    widths = sorted({part.sequence.shape[1] for part in parts})
    if len(widths) > 1:
        raise AnelabError(f"splice: windows of different widths ({', '.join(map(str, widths))}) cannot be one table")
    return Windows(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS})


class Sample:
    """At most `most` of the rows that it is given, each with the same chance, in their order; all if `most` is None.
    After each part no more than twice as many are held."""

    def __init__(self, most: int | None, seed: int) -> None:
        self.most, self.count, self.held = most, 0, 0
        self.rng = np.random.default_rng([seed, 37])
        self.parts: list[tuple[Windows, NDArray[np.float64]]] = []

    def add(self, windows: Windows) -> None:
        if len(windows):
            self.count += len(windows)
            self.held += len(windows)
            self.parts.append((windows, self.rng.random(len(windows))))
            if self.most is not None and self.held > 2 * self.most:
                self._thin(self.most)

    def windows(self) -> Windows:
        """Raises AnelabError if there are none, or if their widths differ."""
        if self.most is not None and self.held > self.most:
            self._thin(self.most)
        return joined([windows for windows, _ in self.parts])

    def _thin(self, most: int) -> None:
        drawn = np.concatenate([drawn for _, drawn in self.parts])
        kept = np.sort(np.argpartition(drawn, most - 1)[:most])
        self.parts, self.held = [(joined([windows for windows, _ in self.parts]).take(kept), drawn[kept])], most


def save_windows(windows: Windows, folder: Path, name: str) -> None:
    for array in ARRAYS:
        np.save(folder / f"{name}.{array}.npy", getattr(windows, array))


def load_windows(folder: Path, name: str) -> Windows:
    return Windows(
        **{array: load_array(folder / f"{name}.{array}.npy", SHAPES.get(array, (None,))) for array in ARRAYS}
    )


class NotNucleotidesError(AnelabError):
    """A text has a letter that is no nucleotide; `row` is its place."""

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(problem)
        self.row = row


def windows_of_texts(texts: Sequence[str], width: int) -> Bytes:
    """Codes of nucleotides, uint8 [n, width]: of each text what lies around letter `length // 2`, and 0 beyond its
    ends. Raises NotNucleotidesError."""
    encoded = [text.encode("utf-8", "replace") for text in texts]
    lengths = np.array([len(text) for text in encoded], np.int64)
    letters = np.frombuffer(b"".join(encoded), np.uint8)
    found = np.full((len(texts), width), PAD_CODE, np.uint8)
    place = np.arange(width) - width // 2 + (lengths // 2)[:, None]
    inside = (place >= 0) & (place < lengths[:, None])
    found[inside] = letters[((np.cumsum(lengths) - lengths)[:, None] + place)[inside]]
    codes = encode_bases(found)
    if (odd := np.argwhere((codes == ODD) | (inside & (found == 0)))).size:
        row, at = (int(value) for value in odd[0])
        raise NotNucleotidesError(row, why_not_nucleotides(int(place[row, at]) + 1, int(found[row, at])))
    return codes


def has_motif(sequence: Bytes, kind: int, second: int = T) -> NDArray[np.bool_]:
    """Bool [n]: of DONOR, whether GT follows the position, or G and another `second` base; of ACCEPTOR, whether AG lies
    before it."""
    center = sequence.shape[1] // 2
    first, letters = (center + 1, (G, second)) if kind == DONOR else (center - 2, (A, G))
    return np.asarray((sequence[:, first] == letters[0]) & (sequence[:, first + 1] == letters[1]))


def readable_motif(sequence: Bytes, kind: int) -> NDArray[np.bool_]:
    """Bool [n]: whether the two bases that `has_motif` looks at are A, C, G or T."""
    first = sequence.shape[1] // 2 + (1 if kind == DONOR else -2)
    return np.asarray(((sequence[:, first : first + 2] >= A) & (sequence[:, first : first + 2] <= T)).all(axis=1))


def counts_by_label(label: NDArray[np.integer[Any]]) -> dict[str, int]:
    return {name: int((label == code).sum()) for code, name in enumerate(LABELS)}


@dataclass
class Names:
    """Numbers for names, in the order in which they come."""

    numbers: dict[str, int] = field(default_factory=dict)

    def of(self, names: Sequence[str | None]) -> NDArray[np.int64]:
        """-1 for None and for an empty name."""
        numbers = self.numbers
        return np.array([numbers.setdefault(name, len(numbers)) if name else UNKNOWN for name in names], np.int64)
