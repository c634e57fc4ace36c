"""What gives reads their score: a model by ONNX Runtime, or a rule."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anelab.inference.model import Model, Plan, open_model
from anelab.sequences.nucleotides import Bytes
from anelab.workloads.read_quality import encode
from anelab.workloads.read_quality.labels import SCORES, passes

if TYPE_CHECKING:
    from anelab.workloads.read_quality.config import ReadsDataConfig
    from anelab.workspace import Workspace

ROWS_AT_ONCE = 1024
"""Rows a call: more of them leave the core's cache."""
THRESHOLD = 0.5

Values = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scorer:
    """`score` gives [n] values of uint8 [n, 300], bytes of reads/3; `passes` which of them are PASS, given the lengths
    of the reads. `column` is what the values are, `name` where they come from."""

    name: str
    column: str
    score: Callable[[Bytes], Values]
    passes: Callable[[Values, Bytes], NDArray[np.bool_]]


@contextmanager
def model_scorer(workspace: "Callable[[], Workspace]", model: str, rows: int = ROWS_AT_ONCE) -> Iterator[Scorer]:
    """Of a registered version, the folder of an export or an .onnx file: the graph that takes bytes, if it has one.

    Raises AnelabError."""
    with open_model(workspace, model, Plan(batch_rows=rows), "onnx", ("raw", "model")) as opened:
        opened.require("read_quality", encode.VERSION)
        yield Scorer(
            f"{opened.name} ({opened.path.name})",
            "probability",
            _score_with(opened, rows),
            lambda values, raw: values >= THRESHOLD,
        )


def _score_with(model: Model, rows: int) -> Callable[[Bytes], Values]:
    """Probabilities of raw rows, so many at a time: what they become on the way stays in the core's cache."""
    given, answer = model.inputs[0], model.outputs[0]

    def score(raw: Bytes) -> Values:
        found = np.empty(len(raw), np.float32)
        for start in range(0, len(raw), rows):
            part = raw[start : start + rows]
            values = part if given.dtype == "uint8" else encode.encode(part)
            found[start : start + rows] = model.predict({given.name: values})[answer.name][:, 0]
        return found

    return score


def rule_scorer(rule: str, data: "ReadsDataConfig") -> Scorer:
    """A plain filter, at the thresholds of params.yaml."""
    text = {
        "mean_quality": f"mean_quality >= {data.min_mean_quality:g}",
        "expected_errors": f"expected_errors <= {data.max_expected_errors:g}",
    }[rule]

    def judge(values: Values, raw: Bytes) -> NDArray[np.bool_]:
        return passes(rule, values, encode.lengths_of(raw), data)

    return Scorer(f"{text}, length >= {data.min_length}", rule, SCORES[rule], judge)
