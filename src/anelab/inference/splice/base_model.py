"""A base splice predictor, run from its ONNX file: the chances of each class at every base of a sequence.

It takes bases as one-hot letters A, C, G, T, [n, 4, length] or [n, length, 4], any other letter as zeros, and gives
probabilities, [n, 3, m] or [n, m, 3], of as many bases as it is given, or of those that have its whole context. So do
SpliceAI and OpenSpliceAI, once they are exported. Several files, as of different seeds, are averaged.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from anelab.errors import AnelabError, UsageError
from anelab.inference.model import Model, Plan, open_model
from anelab.interruption import TIMEOUT_S
from anelab.sequences.genome import Genome, reverse_complement
from anelab.sequences.nucleotides import Bytes
from anelab.workloads.splice.config import CHANNELS, BaseConfig
from anelab.workloads.splice.features import LABELS, OFFSETS, SCORES

if TYPE_CHECKING:
    from anelab.workspace import Workspace

REACH = len(OFFSETS) // 2
BASES_AT_ONCE = 5000
"""For which a model is run at a time, where it takes any length."""
ONE_HOT = np.zeros((9, 4), np.float32)
ONE_HOT[4:8] = np.eye(4)
SUM_TOLERANCE = 1e-2
CONTEXT_SETTING = (
    "how many bases it sees is splice.data.base.context, which a trained model keeps from when its data were prepared"
)

Chances = NDArray[np.float32]


@dataclass(frozen=True)
class BaseModel:
    """`order`: the classes as the files give them; `context`: bases that it sees around one, both sides together."""

    models: tuple[Model, ...]
    order: tuple[str, ...]
    context: int

    def chances(self, codes: Bytes) -> Chances:
        """Float32 [n - context, 3] in the order of LABELS, of codes of a sequence, uint8 [n], read on its strand: of
        each base that has the whole context. Raises AnelabError if a file is no such model."""
        length = len(codes) - self.context
        fixed = {_length_of(model, _axis_of_letters(model)) for model in self.models} - {None}
        at_once = min([BASES_AT_ONCE, *(size - self.context for size in fixed if size is not None)])
        if at_once < 1:
            raise AnelabError(
                f"{self.models[0].path}: takes sequences that are shorter than its context of {self.context} bases; "
                f"{CONTEXT_SETTING}"
            )
        found = [self._part(codes[start : start + at_once + self.context]) for start in range(0, length, at_once)]
        return np.concatenate(found) if found else np.empty((0, len(LABELS)), np.float32)

    def _part(self, codes: Bytes) -> Chances:
        answers = [_answer(model, codes, self.context) for model in self.models]
        columns = [self.order.index(name) for name in LABELS]
        mean: Chances = np.stack(answers).mean(axis=0)[:, columns].astype(np.float32)
        return mean

    def scores(self, codes: Bytes, positions: NDArray[np.int64], strand: int) -> NDArray[np.float32]:
        """Float32 [n, 15] in the order of SCORES, at positions of a contig (its codes), from 1 on the forward strand,
        read on `strand`."""
        found = np.empty((len(positions), len(SCORES)), np.float32)
        genome, order = Genome({"": codes}), np.argsort(positions, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(positions[order]) > self.context + len(OFFSETS)) + 1):
            if not len(rows):
                continue
            first, last = int(positions[rows].min()), int(positions[rows].max())
            beside = self.context // 2 + REACH
            bases = genome.stretch("", first - beside, last + beside)
            track = self.chances(bases if strand > 0 else reverse_complement(bases))
            place = positions[rows] - first if strand > 0 else last - positions[rows]
            found[rows] = sliding_window_view(track, len(OFFSETS), axis=0)[place].reshape(len(rows), -1)
        return found


@contextmanager
def open_base_model(
    workspace: "Callable[[], Workspace]",
    files: Sequence[Path],
    settings: BaseConfig,
    timeout_s: float | None = TIMEOUT_S,
) -> Iterator[BaseModel]:
    """Raises AnelabError for files that are no ONNX model of one input and one output, and UsageError if it is not
    known in which order they give the classes."""
    order = settings.channels_or_none()
    if order is None:
        raise UsageError(
            f"splice.data.base.channels must say in which order {settings.model} gives the classes, like [neither, "
            f"acceptor, donor]; it is known of {', '.join(CHANNELS)}"
        )
    with ExitStack() as stack:
        plan = Plan(batch_rows=1, timeout_s=timeout_s)
        models = [stack.enter_context(open_model(workspace, str(path), plan)) for path in files]
        for model in models:
            _axis_of_letters(model)
        yield BaseModel(tuple(models), tuple(order), settings.context)


def _axis_of_letters(model: Model) -> int:
    shapes = [port.shape for port in model.inputs]
    axes = [axis for axis in (1, 2) for shape in shapes[:1] if len(shape) == 3 and shape[axis] == 4]
    if len(shapes) != 1 or len(model.outputs) != 1 or not axes:
        raise AnelabError(
            f"{model.path}: takes {'; '.join(map(str, model.inputs))} and gives {'; '.join(map(str, model.outputs))}, "
            "but a base model takes one-hot bases, [n, 4, length] or [n, length, 4], and gives one array of 3 "
            "probabilities for each base"
        )
    return axes[0]


def _length_of(model: Model, letters: int) -> int | None:
    return model.inputs[0].shape[3 - letters]


def _answer(model: Model, codes: Bytes, context: int) -> NDArray[np.float64]:
    """[bases that have the whole context, 3], in the file's order."""
    letters, count = _axis_of_letters(model), len(codes) - context
    length = _length_of(model, letters) or len(codes)
    given = np.zeros((1, length, 4), model.inputs[0].dtype)
    given[0, : len(codes)] = ONE_HOT[codes]
    rows = given if letters == 2 else np.ascontiguousarray(given.transpose(0, 2, 1))
    (answer,) = model.predict({model.inputs[0].name: rows}).values()
    sizes = {length: context // 2, length - context: 0}
    for axis in (letters, 3 - letters):  # classes lie where letters do, as far as the sizes tell
        if answer.ndim == 3 and answer.shape[axis] == len(LABELS) and answer.shape[3 - axis] in sizes:
            found = np.asarray(answer[0] if axis == 2 else answer[0].T, np.float64)
            found = found[sizes[len(found)] :][:count]
            _check_probabilities(model, found)
            return found
    raise AnelabError(
        f"{model.path}: gives an array of shape {list(answer.shape)} for {length} bases, but must give 3 probabilities "
        f"for each, or for the {length - context} that have the whole context of {context}; {CONTEXT_SETTING}"
    )


def _check_probabilities(model: Model, found: NDArray[np.float64]) -> None:
    if not (np.isfinite(found).all() and (np.abs(found.sum(axis=1) - 1) < SUM_TOLERANCE).all() and found.min() >= 0):
        raise AnelabError(
            f"{model.path}: gives values that are no probabilities (three of 0 and more that add up to 1, for each "
            "base); export the model with its softmax"
        )
