"""What gives reads their score: a model by ONNX Runtime, or a rule."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.inference.model import Model, Plan, open_model
from anelab.interruption import TIMEOUT_S
from anelab.sequences.fastq import Integers
from anelab.sequences.nucleotides import Bytes
from anelab.sequences.phred import Reads
from anelab.texts import printable
from anelab.workloads.read_quality import encode
from anelab.workloads.read_quality.encode import WIDTH
from anelab.workloads.read_quality.labels import SCORES, passes
from anelab.workloads.read_quality.whole import LABELS, long_reads, model_values, rule_values

if TYPE_CHECKING:
    from anelab.workloads.read_quality.config import ReadsDataConfig
    from anelab.workspace import Workspace

ROWS_AT_ONCE = 1024
"""Rows a call: more of them leave the core's cache."""
THRESHOLD = 0.5
ROUNDING = 1e-4
"""By which a probability may be outside 0 to 1."""
SORTING = ("true_errors", "overlap")
"""Labels of errors, not of a rule."""
GRAPHS = ("raw", "model")
"""The one that takes bytes, if there is one."""

Values = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scorer:
    """`score` gives [n] values of reads; `passes` which of them are PASS, given their lengths. `column` is what the
    values are, `name` where they come from; `whole` is whether reads longer than WIDTH are judged as a whole. `sorts`:
    values are chances of few errors, by which reads are to be sorted; which of them to keep is for the user to say."""

    name: str
    column: str
    score: Callable[[Reads], Values]
    passes: Callable[[Values, Integers], NDArray[np.bool_]]
    whole: bool
    sorts: bool = False


@dataclass(frozen=True)
class ScorerPlan:
    """How any process makes the scorer that is meant: of a model's file, or by a rule at the thresholds of `data`.
    `name` is what the summary calls it."""

    name: str
    threshold: float = THRESHOLD
    whole: bool = True
    model: Path | None = None
    rule: str = ""
    data: "ReadsDataConfig | None" = None
    timeout_s: float | None = TIMEOUT_S

    @property
    def pass_means(self) -> str:
        """What a read must be to pass."""
        return f"probability >= {self.threshold:g}" if self.data is None else rule_text(self.rule, self.data)

    @contextmanager
    def opened(self) -> Iterator[Scorer]:
        """Raises AnelabError if the model cannot be used."""
        if self.data is not None:
            yield replace(rule_scorer(self.rule, self.data, self.whole), name=self.name)
            return
        judge = partial(model_scorer, threshold=self.threshold, whole=self.whole, timeout_s=self.timeout_s)
        with judge(_no_workspace, str(self.model)) as scorer:
            yield replace(scorer, name=self.name)


def _no_workspace() -> "Workspace":
    raise AssertionError("a file needs no workspace")


@contextmanager
def model_scorer(
    workspace: "Callable[[], Workspace]",
    model: str,
    rows: int = ROWS_AT_ONCE,
    threshold: float = THRESHOLD,
    whole: bool = True,
    timeout_s: float | None = TIMEOUT_S,
) -> Iterator[Scorer]:
    """Of a registered version, the folder of an export or an .onnx file: the graph that takes bytes, if it has one.

    PASS is a probability of at least `threshold`; what is no probability is NaN, which does not pass. `timeout_s` is
    how long the model may take for `rows` rows. Raises AnelabError."""
    with open_model(workspace, model, Plan(batch_rows=rows, timeout_s=timeout_s), "onnx", GRAPHS) as opened:
        yield scorer_of(opened, rows, threshold, whole)


def scorer_of(model: Model, rows: int = ROWS_AT_ONCE, threshold: float = THRESHOLD, whole: bool = True) -> Scorer:
    """By a model that is open. Raises AnelabError if it is none of reads."""
    model.require("read_quality", encode.VERSION)
    if model.metadata.get("label") not in LABELS:
        raise AnelabError(f"{model.path}: its metadata names no label of reads; export it again (`anelab export`)")
    _check_ports(model)
    predict = _predict_with(model, rows)

    def of_whole(reads: Reads, parts: int) -> Values:
        return model_values(predict, reads.block, reads.offset, parts, model.metadata)

    return Scorer(
        f"{model.name} ({model.path.name})",
        "probability",
        _scored(predict, of_whole) if whole else lambda reads: predict(reads.raw),
        lambda values, lengths: values >= threshold,
        whole,
        model.metadata["label"] in SORTING,
    )


def _check_ports(model: Model) -> None:
    """Raises AnelabError unless it takes reads and answers with one number each."""
    model.check_outputs()
    sides = [(port.dtype, port.shape[1:]) for port in (*model.inputs, *model.outputs)]
    if sides not in [[(dtype, (2 * WIDTH,)), ("float32", (1,))] for dtype in ("uint8", "float32")]:
        ports = "; ".join(map(str, (*model.inputs, *model.outputs)))
        raise AnelabError(
            f"{model.path}: is no model of reads: it must take one input, uint8 or float32 [n, {2 * WIDTH}], and give "
            f"one output, float32 [n, 1], but has {printable(ports)}"
        )


def _scored(of_first: Callable[[Bytes], Values], of_whole: Callable[[Reads, int], Values]) -> Callable[[Reads], Values]:
    """Values by the bytes of reads, and of reads that are longer by all of their bases."""

    def score(reads: Reads) -> Values:
        values = of_first(reads.raw)
        for parts, rows in long_reads(reads.block.lengths):
            values[rows] = of_whole(reads.take(rows), parts)
        return values

    return score


def _predict_with(model: Model, rows: int) -> Callable[[Bytes], NDArray[np.float32]]:
    """Probabilities of raw rows, so many at a time: what they become on the way stays in the core's cache."""
    given, answer = model.inputs[0], model.outputs[0]

    def predict(raw: Bytes) -> NDArray[np.float32]:
        found = np.empty(len(raw), np.float32)
        for start in range(0, len(raw), rows):
            part = raw[start : start + rows]
            values = part if given.dtype == "uint8" else encode.encode(part)
            found[start : start + rows] = model.predict({given.name: values})[answer.name][:, 0]
        return _probabilities(found)

    return predict


def _probabilities(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is outside 0 to 1, by more than rounding, as NaN."""
    if len(values) and values.min() >= 0 and values.max() <= 1:  # which NaN is not
        return values
    inside = (values >= -ROUNDING) & (values <= 1 + ROUNDING)
    return np.where(inside, values.clip(0, 1), np.float32(np.nan))


def rule_scorer(rule: str, data: "ReadsDataConfig", whole: bool = True) -> Scorer:
    """A plain filter, at the thresholds of `data`."""

    def of_first(raw: Bytes) -> Values:
        return SCORES[rule](raw)

    def of_whole(reads: Reads, parts: int) -> Values:
        return rule_values(rule, reads.block, reads.offset, parts)

    def judge(values: Values, lengths: Integers) -> NDArray[np.bool_]:
        return passes(rule, values, lengths if whole else np.minimum(lengths, WIDTH), data)

    score = _scored(of_first, of_whole) if whole else lambda reads: of_first(reads.raw)
    return Scorer(rule_text(rule, data), rule, score, judge, whole)


def rule_text(rule: str, data: "ReadsDataConfig") -> str:
    """What a read must be to pass."""
    text = {
        "mean_quality": f"mean_quality >= {data.min_mean_quality:g}",
        "expected_errors": f"expected_errors <= {data.max_expected_errors:g}",
    }[rule]
    return f"{text}, length >= {data.min_length}"
