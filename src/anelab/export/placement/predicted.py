"""Where Core ML would put a function's operators under CPU_AND_NE, and from which batch size on. Predicted, not
observed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from anelab.errors import AnelabError
from anelab.export.mlpackage import default_function, describe_package
from anelab.export.operations import Operation, Tensor, package_operations
from anelab.export.placement.rates import M4, Chip, estimate
from anelab.export.placement.segments import SWITCH_MS, Estimate, Way, cheapest_way
from anelab.export.placement.support import LARGEST_SIDE, refusal, untested

SYSTEM = "macOS 27.0.1"
SOURCE = "751K/Apple-Neural-Engine-Microarchitecture-Study-M6, chapter 5 (MIT; M4, macOS 27.0.1; one author)"
MOST_NUMBER = 1e18
LEAST_SAVING_MS = 2 * SWITCH_MS
"""What a segment at an end of the program, or the whole of it, must save; one in the middle 0.375 ms."""
OUTSIDE = "compute units ALL and the GPU are outside the rule"


@dataclass(frozen=True)
class Segment:
    device: str
    operators: int


@dataclass(frozen=True)
class PredictedPlacement:
    """`cpu_ms` is what the planner estimates for the CPU alone, `cost_ms` for the way it chooses; neither is a run
    time.

    `engine_from_rows`: the smallest batch size at which an operator would go to the Neural Engine; None if none does
    up to the largest side that it takes. `undecided`: operators that could be on either side at the same cost.
    `limits` say where the rule may not hold for this program."""

    chip: str
    rows: int
    operators: int
    on_engine: int
    cpu_ms: float
    cost_ms: float
    segments: tuple[Segment, ...]
    undecided: int
    engine_from_rows: int | None
    refused: dict[str, int] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    system: str = SYSTEM
    source: str = SOURCE

    def __post_init__(self) -> None:
        """Raises ValueError for numbers that no prediction has: one may come with a result from elsewhere."""
        counts = (self.rows, self.operators, self.on_engine, self.undecided, self.engine_from_rows or 0)
        if not all(0 <= value <= MOST_NUMBER for value in (*counts, self.cpu_ms, self.cost_ms)):
            raise ValueError(f"the numbers of a predicted placement go from 0 to {MOST_NUMBER:g}")

    @property
    def devices(self) -> str:
        """In a word: CPU, NE, or both."""
        return "CPU" if not self.on_engine else "NE" if self.on_engine == self.operators else "NE and CPU"

    def sentences(self) -> list[str]:
        """What follows, each a sentence without its full stop."""
        found = [self._where(), self._size(), *self.limits]
        if self.undecided:
            found.append(f"operators that could be on either side at the same cost: {self.undecided}")
        return found

    def _where(self) -> str:
        where = f"{self.on_engine} of {self.operators} operators on the Neural Engine"
        parts = " then ".join(f"{one.operators} on the {one.device}" for one in self.segments)
        return where if len(self.segments) < 2 else f"{where} ({parts})"

    def _size(self) -> str:
        if self.on_engine:
            return f"the smallest batch size at which any goes there is {self.engine_from_rows or self.rows:,}"
        whole = f"the CPU's whole estimate is {self.cpu_ms:.3g} ms"
        if self.cpu_ms <= LEAST_SAVING_MS:
            whole += f", and a change must save {LEAST_SAVING_MS} ms: at this batch size it stays on the CPU"
            whole += ", however fast the engine is"
        if self.engine_from_rows is None:
            return f"{whole}; no batch size up to {LARGEST_SIDE:,} rows would change that"
        return f"{whole}; from {self.engine_from_rows:,} rows a call on, a part would go to the Neural Engine"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def package_placements(path: Path, chip: Chip = M4) -> dict[str, PredictedPlacement]:
    """Of every function. Raises AnelabError if it is no ML program."""
    described = describe_package(path)
    compressed = described["weights"]["compressed"] > 0
    return {
        name: predict(operations, rows_of(described["functions"][name]), compressed, chip)
        for name, operations in package_operations(path).items()
    }


def function_operations(path: Path, function: str | None) -> tuple[str, list[Operation]]:
    """The named function, or the package's default one, with what it computes. Raises AnelabError that lists them."""
    found = package_operations(path)
    name = function or default_function(path) or next(iter(found))
    if name not in found:
        raise AnelabError(f"{path}: has no function {name}; its functions are {', '.join(found)}")
    return name, found[name]


def rows_of(ports: Mapping[str, Any]) -> int:
    """Of one call of a function; 1 for inputs without a batch, or with one of any size."""
    shape = ports["inputs"][0]["shape"]
    return int(shape[0] or 1) if shape else 1


def predict(
    operations: Sequence[Operation], rows: int = 1, compressed: bool = False, chip: Chip = M4
) -> PredictedPlacement:
    """Of one function that takes `rows` a call. `compressed`: whether it has compressed weights."""
    way, estimates = _way(operations, chip)
    return PredictedPlacement(
        chip=chip.name,
        rows=rows,
        operators=len(operations),
        on_engine=sum(way.on_engine),
        cpu_ms=sum(one.cpu for one in estimates),
        cost_ms=way.cost_ms,
        segments=tuple(
            Segment("Neural Engine" if engine else "CPU", len(list(many))) for engine, many in groupby(way.on_engine)
        ),
        undecided=len(way.ties),
        engine_from_rows=_engine_from(operations, rows, chip),
        refused=dict(Counter(filter(None, map(refusal, operations))).most_common()),
        limits=tuple(_limits(operations, compressed, chip)),
    )


def predicted_devices(operations: Sequence[Operation], chip: Chip = M4) -> list[str]:
    """NE or CPU, by operator."""
    return ["NE" if engine else "CPU" for engine in _way(operations, chip)[0].on_engine]


def plan_differences(operations: Sequence[Operation], planned: Sequence[tuple[str, str]], chip: Chip = M4) -> list[str]:
    """Where Core ML's plan, kind and device of every operator, is another than predicted: a line an operator. One line
    if the plan is of other operators: Core ML may rewrite a program while it compiles it."""
    kinds = [kind.rpartition(".")[2] for kind, _ in planned]
    if kinds != [one.kind for one in operations]:
        return [
            f"not comparable: the plan has {len(kinds)} operators, the package {len(operations)}, or in another order"
        ]
    ours = predicted_devices(operations, chip)
    return [
        f"{one.kind} {one.name}: predicted {predicted}, planned {device}"
        for one, predicted, (_, device) in zip(operations, ours, planned, strict=True)
        if predicted != device
    ]


def _way(operations: Sequence[Operation], chip: Chip) -> tuple[Way, list[Estimate]]:
    estimates = [estimate(one, chip) for one in operations]
    return cheapest_way(estimates), estimates


def _engine_from(operations: Sequence[Operation], rows: int, chip: Chip) -> int | None:
    """Sizes grow by a quarter at most; between the last size without and the first with, it is searched by halves."""

    def uses_engine(size: int) -> bool:
        return any(_way([_with_rows(one, rows, size) for one in operations], chip)[0].on_engine)

    without, size = 0, 1
    while not uses_engine(size):
        without, size = size, max(size + 1, size * 5 // 4)
        if size > LARGEST_SIDE:
            return None
    while size - without > 1:
        middle = (size + without) // 2
        without, size = (without, middle) if uses_engine(middle) else (middle, size)
    return size


def _with_rows(operation: Operation, rows: int, wanted: int) -> Operation:
    """The operator for another number of rows: what is computed grows along its first axis."""

    def sized(many: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(_with_first_axis(one, rows, wanted) for one in many)

    inputs = {name: sized(many) for name, many in operation.inputs.items()}
    return replace(operation, inputs=inputs, outputs=sized(operation.outputs))


def _with_first_axis(tensor: Tensor, rows: int, wanted: int) -> Tensor:
    if tensor.constant or not tensor.shape or tensor.shape[0] % rows:
        return tensor
    return replace(tensor, shape=(tensor.shape[0] // rows * wanted, *tensor.shape[1:]))


def _limits(operations: Sequence[Operation], compressed: bool, chip: Chip) -> list[str]:
    found = []
    if compressed:
        found.append("compressed weights are outside the rule: its source tried none")
    if not _is_chain(operations):
        found.append("it branches: the rule takes the operators in the order of the file, as one chain")
    if any(one.kind == "topk" for one in operations):
        found.append("topk takes about 170 times as long on the Neural Engine as is estimated (6 and 10 ms measured)")
    if kinds := sorted({one.kind for one in operations if untested(one)}):
        found.append(f"its source did not try {', '.join(kinds)}")
    if chip.own != M4.own:
        found.append(f"no plan of {chip.name} was seen; rates that the source does not list for it are the M4's")
    return found


def _is_chain(operations: Sequence[Operation]) -> bool:
    """Whether each operator reads only what the one before it gave; the first, one input."""
    read = [{one.name for one in operation.tensors if not one.constant} for operation in operations]
    given = [{one.name for one in operation.outputs} for operation in operations]
    return not read or (len(read[0]) <= 1 and all(now <= then for now, then in zip(read[1:], given, strict=False)))
