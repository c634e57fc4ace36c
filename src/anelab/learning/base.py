"""The one interface: a workload says what is learned; everything after it is shared.

Export, parity, benchmarks, registry, serving and dashboard see only graphs, row-aligned arrays and
predictors. A workload never imports MLflow, DVC, Optuna or a runtime.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np

from anelab.errors import AnelabError

if TYPE_CHECKING:
    from torch import Tensor as Values
    from torch import nn

    from anelab.learning.config import WorkloadConfig
    from anelab.learning.evidence import Evidence

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = Mapping[str, Array]
Batch = Mapping[str, "Values"]
Predictor = Callable[[Arrays], Arrays]
"""Named inputs to named outputs, row by row: torch, ONNX Runtime, Core ML, its evaluator, HTTP alike."""

Rule = Callable[["Split"], Arrays]
"""A classical answer to a workload's question: a split to rows like those of its `rows`, by NumPy alone."""

SPLITS = ("train", "validation", "test")
QUANTITIES = ("probability", "logit")
PLOTS = {"confusion": ("actual", "predicted"), "calibration": ("predicted", "observed")}
"""Tables of the test set that a workload may plot, and their columns."""


@dataclass(frozen=True)
class Tensor:
    """Name, NumPy dtype and shape; "n" is the batch, "L" a bucketed length."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    grid: tuple[float, float] | None = None
    """(lowest, step) if the values of an input are steps from the lowest: INT8 then rounds none of them."""
    meaning: str = ""
    """A sentence for who uses the model; formats that describe their inputs and outputs carry it."""
    quantity: str = ""
    """Of an output, if it is one of QUANTITIES: what its numbers are."""
    bounds: tuple[float, float] | None = None
    """Of an input, if values outside them mean that it was prepared in another way."""
    float32: bool = False
    """Of an input whose values 16 bits cannot tell apart: what is computed of such inputs alone stays in 32 bits."""


SEQUENCES_AT_ONCE = 64
"""Of rows of any length: what is computed of each place is kept for all of them."""


@dataclass(frozen=True)
class Graph:
    """One exported computation. "model" always exists; "raw" takes bytes and is ONNX only.

    `buckets` are the lengths that "L" may have, where a format needs fixed ones. `precise` names modules that INT8
    leaves in float, for what they are given has several units, and one of them decides."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    formats: frozenset[str] = frozenset({"onnx", "coreml"})
    buckets: tuple[int, ...] = ()
    precise: tuple[str, ...] = ()


@dataclass(frozen=True)
class Split:
    """Rows in one order: inputs by graph name, targets, the bootstrap unit of each row, and context
    that belongs to the split as a whole (a reference set, base scores)."""

    inputs: Mapping[str, Arrays]
    targets: Arrays
    groups: Array
    context: Any = None

    def __post_init__(self) -> None:
        """Raises AnelabError unless all arrays have as many rows."""
        inputs = (array for arrays in self.inputs.values() for array in arrays.values())
        counts = sorted({len(array) for array in (self.groups, *self.targets.values(), *inputs)})
        if len(counts) > 1:
            raise AnelabError(f"arrays of a split have different numbers of rows ({', '.join(map(str, counts))})")

    def __len__(self) -> int:
        return len(self.groups)

    def take(self, rows: Array) -> "Split":
        inputs = {name: _take(arrays, rows) for name, arrays in self.inputs.items()}
        return Split(inputs, _take(self.targets, rows), self.groups[rows], self.context)


def _take(arrays: Arrays, rows: Array) -> dict[str, Array]:
    return {name: array[rows] for name, array in arrays.items()}


@dataclass(frozen=True)
class DataCard:
    """What `prepare` found: JSON values only, no paths and no times."""

    origin: str
    rows: dict[str, int]
    classes: dict[str, dict[str, int]]
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class GoldenCase:
    """One record as a user has it, and the arrays (batch of one) that every graph must be fed for it."""

    given: dict[str, Any]
    inputs: Mapping[str, Arrays]


class Trial(Protocol):
    """What `suggest` may ask; names are dotted keys of the workload's own configuration."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int: ...
    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


C = TypeVar("C", bound="WorkloadConfig")


class Workload(ABC, Generic[C]):
    """Stateless: everything a method needs comes in through its arguments."""

    name: ClassVar[str]
    preprocessing: ClassVar[str]
    """Version of the contract between bytes, floats and outputs; changes when any of them does."""

    def simulate(self, config: C, out: Path) -> None:
        """Write default raw data into the folder `out`, as real files, a function of the seed alone. Raises AnelabError
        if there are none."""
        raise AnelabError(f"{self.name} has no default data; name your files: {self.name}.data.source=[PATH, ...]")

    @abstractmethod
    def prepare(self, config: C, files: Sequence[Path], out: Path) -> DataCard:
        """Read raw files, check them, split them, and write what `load` reads into the folder `out`."""

    @abstractmethod
    def load(self, config: C, prepared: Path, split: str) -> Split:
        """The rows of "train", "validation" or "test"."""

    def extra_inputs(self, config: C) -> Mapping[str, Path]:
        """Files beside the data that training reads, such as pretrained weights, by what they are."""
        return {}

    @abstractmethod
    def suggest(self, trial: Trial, config: C) -> dict[str, Any]:
        """One point of the search space: dotted keys of `config` and their values."""

    @abstractmethod
    def build(self, config: C, prepared: Path) -> "nn.Module":
        """A fresh module, heads that only training needs included."""

    @abstractmethod
    def batches(self, config: C, train: Split, epoch: int, rank: int = 0) -> Iterator[Batch]:
        """The training batches of one epoch, a function of seed, epoch and rank."""

    @abstractmethod
    def step(self, module: "nn.Module", batch: Batch, backward: Callable[["Values"], None]) -> Mapping[str, "Values"]:
        """Compute the loss, call `backward` on it (more than once for cached gradients), and return
        detached scalars to log, "loss" among them."""

    def on_epoch(self, module: "nn.Module", epoch: int) -> None:
        """Called before each training epoch: schedules of temperature, masking, curriculum."""

    def calibrate(self, module: "nn.Module", config: C, validation: Split) -> None:
        """Fit what is fitted after training, in place, on validation rows: a temperature, a threshold."""

    def describe(self, config: C) -> dict[str, str]:
        """What a model's metadata must say beside its name: the label, the classes."""
        return {}

    @abstractmethod
    def graphs(self, config: C) -> tuple[Graph, ...]:
        """What is exported, "model" first."""

    @abstractmethod
    def deployed(self, module: "nn.Module", graph: Graph, half: bool = False) -> "nn.Module":
        """The module in evaluation mode behind `graph`: its inputs positionally, outputs in order.

        `half`: the form will compute in 16 bits, so its sums should have no large parts that cancel."""

    @abstractmethod
    def rows(self, outputs: Arrays, split: Split) -> Arrays:
        """Per-row scores kept for paired statistics; "decision" is an integer where one is made."""

    @abstractmethod
    def metrics(self, rows: Arrays, split: Split) -> dict[str, float]:
        """Pure figures of rows against the split's targets; the headline metric is among them."""

    def replicates(self, rows: Arrays, split: Split, counts: Array) -> Mapping[str, Array]:
        """`metrics` of the same rows drawn again, for intervals: `counts`, [k, n], says how often each of k resamples
        has each row; [k] by name, NaN where undefined. Override it where all can be computed at once."""
        drawn, bare = [], replace(split, inputs={})  # figures need no inputs, which are costly to draw
        for line in counts.astype(np.int64):
            chosen = np.repeat(np.arange(len(line)), line)
            drawn.append(self.metrics(_take(rows, chosen), bare.take(chosen)))
        names = dict.fromkeys(name for figures in drawn for name in figures)
        return {name: np.array([figures.get(name, np.nan) for figures in drawn]) for name in names}

    def subgroups(self, split: Split) -> Mapping[str, Array]:
        """Parts of the rows in which a model must not be worse either: bool [n] by name."""
        return {}

    def support(self, split: Split) -> Mapping[str, int]:
        """Of figures that rest on some rows only, such as those of one class, on how many."""
        return {}

    def evidence(self, config: C, prepared: Path) -> "Evidence | None":
        """What stands beside the figures of the test set, if the workload keeps the rules of learning/evidence.py."""
        return None

    def plots(self, rows: Arrays, split: Split) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Those of PLOTS that make sense here: name to records."""
        return {}

    def golden(self, config: C) -> Sequence[GoldenCase]:
        """Small cases of the preprocessing that any language can check."""
        return ()

    def finish(self, predict: Predictor, config: C, prepared: Path, out: Path) -> None:
        """Write what lives beside the model into the folder `out`, such as a nearest-neighbour index."""


AnyWorkload = Workload[Any]


def shuffled_batches(
    config: "WorkloadConfig", rows: int, epoch: int, rank: int = 0, together: int = 1
) -> Iterator[Array]:
    """Row indices of each batch of an epoch in which every row appears once, in random order; of `together` batches
    at a time, where what is made of them is made quicker for many rows than for few."""
    order = np.random.default_rng([config.seed, epoch, rank]).permutation(rows)
    size = config.training.batch_size * together
    for start in range(0, rows, size):
        yield order[start : start + size]
