"""A model of splice and what its base model is: the chances of windows, and of positions of a contig."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError, UsageError
from anelab.files import read_json
from anelab.inference.model import Model, Plan, open_model
from anelab.inference.splice.base_model import BaseModel, open_base_model
from anelab.interruption import TIMEOUT_S
from anelab.sequences.genome import Genome
from anelab.sequences.nucleotides import Bytes
from anelab.workloads.splice.config import BaseConfig
from anelab.workloads.splice.features import LABELS, SCORES
from anelab.workloads.splice.matrices import matrix_scores
from anelab.workloads.splice.prepare import BASE, SIMULATED_MODEL
from anelab.workloads.splice.rules import base as base_chances
from anelab.workloads.splice.workload import WORKLOAD

if TYPE_CHECKING:
    from anelab.workspace import Workspace

ROWS_AT_ONCE = 256
MATRIX_WIDTH = 51
"""Bases around a position that matrices look at, and more."""

Floats = NDArray[np.float32]
Prevalence = tuple[float, float]
"""Share of positions that are donors, and that are acceptors."""


@dataclass(frozen=True)
class Scorer:
    """A model, and what its base model is; `base_model` runs it, if its files are given."""

    model: Model
    window: int
    base: dict[str, Any]
    base_model: BaseModel | None = None

    def scores(self, sequence: Bytes, given: Floats | None, what: str) -> Floats:
        """The base model's, float32 [n, 15], of codes [n, window] and what came with them. Raises AnelabError, naming
        `what`, if that lacks what the model was trained with."""
        if (found := self._own_scores(sequence)) is not None:
            return found
        if given is None or np.isnan(given).any():
            raise AnelabError(
                f"{what}: has no scores of the base model ({self.base['model']}), with which {self.model.name} was "
                "trained; give donor_m2 ... neither_p2, or donor_score, acceptor_score and neither_score"
            )
        return given

    def _own_scores(self, sequence: Bytes) -> Floats | None:
        """Those that follow from the sequence near the position."""
        if self.base["source"] == "none":
            return np.full((len(sequence), len(SCORES)), 1 / len(LABELS), np.float32)
        return matrix_scores(self.base["matrices"], sequence) if self.base["source"] == "pwm" else None

    def scores_at(self, codes: Bytes, positions: NDArray[np.int64], strand: int) -> Floats:
        """The base model's at positions of a contig (its codes), from 1 on the forward strand, read on `strand`.
        Raises AnelabError if it is a model whose files were not given."""
        if self.base["source"] == "table":
            if self.base_model is None and self.base["model"] == SIMULATED_MODEL:
                raise AnelabError(
                    f"{self.model.name} was trained on the default data, whose base model is simulated and scores no "
                    "other sequence; train on your own: splice.data.source: [genome.fa, genes.gff3]"
                )
            if self.base_model is None:
                raise AnelabError(
                    f"{self.model.name} was trained with scores of {self.base['model']}, which is to give its scores "
                    "here too; name its ONNX file by --base-model"
                )
            return self.base_model.scores(codes, positions, strand)
        near = Genome({"": codes}).windows("", positions, strand, MATRIX_WIDTH)
        found = self._own_scores(near)
        assert found is not None
        return found

    def probabilities(self, sequence: Bytes, scores: Floats, prevalence: Prevalence | None = None) -> Floats:
        """Float32 [n, 3]. What the model learned from had far more sites than a genome has: with a `prevalence`, the
        probabilities are those where so many positions are sites."""
        found: Floats = self.model.predict(
            {"sequence": sequence.astype(np.int32), "scores": scores.astype(np.float32)}
        )["output"]
        if prevalence is None:
            return found
        learned = np.array([self.base["prevalence"][name] for name in LABELS])
        wanted = np.array([*prevalence, 1 - sum(prevalence)])
        moved = found * (wanted / np.maximum(learned, 1e-9))
        moved /= moved.sum(axis=1, keepdims=True)
        return np.asarray(moved, np.float32)

    def base_probabilities(self, scores: Floats) -> NDArray[np.float64]:
        """Float64 [n, 3]: the base model's own."""
        return base_chances(np.empty((0, 0), np.uint8), scores)


@contextmanager
def open_scorer(
    workspace: "Callable[[], Workspace]",
    reference: str,
    timeout_s: float | None = TIMEOUT_S,
    base_files: Sequence[Path] = (),
) -> Iterator[Scorer]:
    """`base_files`: ONNX files of the base model. Raises AnelabError if the model is none of splice, or lies without
    what tells its base model; UsageError for files that it has no use of."""
    with ExitStack() as stack:
        model = stack.enter_context(
            open_model(workspace, reference, Plan(batch_rows=ROWS_AT_ONCE, timeout_s=timeout_s))
        )
        found = scorer_of(model)
        if not base_files:
            yield found
            return
        if found.base["source"] != "table":
            raise UsageError(
                f"{model.name} was trained without scores of a base model ({found.base['source']}), so --base-model "
                "has no use here; leave it out"
            )
        files = open_base_model(workspace, base_files, BaseConfig(**_described(found)), timeout_s)
        base_model = stack.enter_context(files)
        yield Scorer(model, found.window, found.base, base_model)


def _described(scorer: Scorer) -> dict[str, Any]:
    return {name: scorer.base[name] for name in ("model", "channels", "context")}


def scorer_of(model: Model) -> Scorer:
    """Of a model that is open."""
    model.require(WORKLOAD.name, WORKLOAD.preprocessing)
    beside = model.path.parent / BASE
    if not beside.is_file():
        raise AnelabError(f"{beside}: is not there; name the folder of an export, or a registered version")
    return Scorer(model, int(model.metadata["window"]), read_json(beside))
