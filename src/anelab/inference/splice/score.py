"""Tables of windows, scored by a model of splice: the table's own columns, chances, verdict, and the base model's."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from anelab.errors import AnelabError, warn
from anelab.inference.reads.outputs import opened
from anelab.inference.splice.scorer import Scorer
from anelab.workloads.splice.classifications import Classifications
from anelab.workloads.splice.config import SpliceData
from anelab.workloads.splice.features import LABELS, SCORES
from anelab.workloads.splice.tables import TableReader
from anelab.workloads.splice.windows import NotNucleotidesError, Windows, windows_of_texts

COLUMNS = (*(f"probability_{label}" for label in LABELS), *(f"base_{label}" for label in LABELS), "verdict")


@dataclass(frozen=True)
class Prediction:
    """Of one window, by class: the model's chances, the base model's, and the class of the highest."""

    chances: dict[str, float]
    base: dict[str, float]
    verdict: str


def predict_windows(
    scorer: Scorer, sequences: Sequence[str], scores: Sequence[Mapping[str, float] | None]
) -> list[Prediction]:
    """Of each sequence, with the 15 scores of the base model by name, or None. Raises AnelabError that names the
    window, from 1, if a letter is no nucleotide, or scores are missing."""
    try:
        codes = windows_of_texts(sequences, scorer.window)
    except NotNucleotidesError as error:
        raise AnelabError(f"window {error.row + 1}: {error}") from None
    given = np.full((len(sequences), len(SCORES)), np.nan, np.float32)
    for row, one in enumerate(scores):
        if one is not None:
            if wrong := sorted(set(one) ^ set(SCORES)):
                raise AnelabError(
                    f"window {row + 1}: scores must be {SCORES[0]} to {SCORES[-1]}, all 15; see {wrong[0]}"
                )
            given[row] = [one[name] for name in SCORES]
    known = scorer.scores(codes, given, "a window")
    rows = zip(scorer.probabilities(codes, known).tolist(), scorer.base_probabilities(known).tolist(), strict=True)
    return [
        Prediction(
            dict(zip(LABELS, own, strict=True)), dict(zip(LABELS, base, strict=True)), LABELS[int(np.argmax(own))]
        )
        for own, base in rows
    ]


def score_table(scorer: Scorer, path: Path, out: Path, columns: dict[str, str]) -> dict[str, int]:
    """A line for each row, in order; how many have each verdict. Memory is bounded, but of a table whose scores beside
    a position are other rows' all rows are in it. Raises AnelabError as preparing does."""
    data = SpliceData(source=[str(path)], window=scorer.window, columns=columns)
    reader, counts = TableReader(data, Classifications(), labelled=False), Counter[str]()
    with ExitStack() as names, opened(out, names) as handle:
        for frame, windows in reader.read_frames(path):
            if windows is None:
                if taken := sorted(set(COLUMNS) & set(frame.columns)):
                    raise AnelabError(f"{path}: has columns {', '.join(taken)} already; rename them")
                handle.write(("\t".join([*frame.columns, *COLUMNS]) + "\n").encode())
                continue
            scored = _scored(scorer, path, frame, windows)
            counts.update(scored["verdict"].to_list())
            handle.write(scored.write_csv(separator="\t", include_header=False, quote_style="never").encode())
    for text in reader.warnings():
        warn(f"{path}: {text}")
    return {label: counts[label] for label in LABELS}


def _scored(scorer: Scorer, path: Path, frame: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    scores = scorer.scores(windows.sequence, windows.scores, str(path))
    found, before = scorer.probabilities(windows.sequence, scores), scorer.base_probabilities(scores)
    columns = [*_texts(found), *_texts(before), pl.Series([LABELS[code] for code in found.argmax(axis=1)])]
    return frame.with_columns(**dict(zip(COLUMNS, columns, strict=True)))


def _texts(chances: NDArray[np.floating[Any]]) -> list[pl.Series]:
    return [pl.Series([f"{value:.6g}" for value in column]) for column in chances.T.tolist()]
