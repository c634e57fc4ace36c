"""The one way to a model: opened, with what its files say of it, ready to predict.

Neither torch nor MLflow is imported for an ONNX model of a folder, of a file, or of an SQLite store.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anelab.errors import AnelabError, UsageError, warn
from anelab.export.formats import format_of
from anelab.inference.location import Location, located
from anelab.interruption import TIMEOUT_S
from anelab.learning.base import Array, Arrays, Predictor
from anelab.texts import printable
from anelab.tracking.gate_tags import reasons_text

if TYPE_CHECKING:
    from anelab.workspace import Workspace

EVALUATOR = "evaluator"


@dataclass(frozen=True)
class Port:
    """A named input or output. The first axis of `shape` is the rows; None takes any size."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} [{', '.join('n' if size is None else str(size) for size in self.shape)}]"


@dataclass(frozen=True)
class Plan:
    """How a model is to run. `provider`: an execution provider of ONNX Runtime; for a Core ML package "evaluator" or,
    on macOS, a compute unit; None for what is usual here. `batch_rows`: rows a call at most. `keeps_process`: Core ML
    stays loaded between calls, as a server wants it; it then computes by nothing else unless it is named."""

    provider: str | None = None
    threads: int = 1
    batch_rows: int = 4096
    timeout_s: float | None = TIMEOUT_S
    keeps_process: bool = False


@dataclass(frozen=True)
class Model:
    """An open model. `predict` takes and gives arrays by name, row by row, any number of rows; `provider` is what runs
    it; `metadata` is what the file says of itself; `manifest` is empty where there is none; `close` ends what still
    runs for it."""

    name: str
    path: Path
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: Mapping[str, str]
    manifest: Mapping[str, Any]
    provider: str
    predict: Predictor
    close: Callable[[], None] = lambda: None

    @property
    def format(self) -> str:
        return format_of(self.path)

    def require(self, workload: str, preprocessing: str) -> None:
        """Raises AnelabError unless the model is of that workload and that version of its preprocessing."""
        found = self.metadata.get("workload"), self.metadata.get("preprocessing")
        if found[0] != workload:
            raise AnelabError(f"{self.name}: is a model of workload {found[0]}; name one of {workload}")
        if found[1] != preprocessing:
            raise AnelabError(
                f"{self.path}: is of workload {found[0]} with preprocessing {found[1]}, but it must be {preprocessing} "
                f"of {workload}; train and export it again (`anelab run {workload}`)"
            )

    def check_outputs(self) -> None:
        """Raises AnelabError unless the first axis of every output is the rows, as far as the file tells."""
        given = {port.shape[:1] for port in self.inputs}
        for port in self.outputs:
            if not port.shape or (port.shape[0] is not None and (port.shape[0],) not in given):
                raise AnelabError(
                    f"{self.path}: gives {printable(port, 80)} for n rows; the first axis of an output must be the rows"
                )

    def check_rows(self, arrays: Arrays) -> None:
        """Raises UsageError unless names, dtypes and shapes are those of the inputs, with as many rows in each."""
        if set(arrays) != {port.name for port in self.inputs}:
            raise UsageError(f"{self.name} takes {self._takes}, but got {', '.join(sorted(arrays)) or 'nothing'}")
        for port in self.inputs:
            array = arrays[port.name]
            if array.dtype != port.dtype or not _fits(array, port.shape):
                given = f"{port.name} {array.dtype} {list(array.shape)}"
                raise UsageError(f"{self.name} takes {self._takes} (n: rows), but got {given}")
        if len({len(array) for array in arrays.values() if array.ndim}) > 1:
            raise UsageError(f"{self.name}: all inputs must have the same number of rows")

    @property
    def _takes(self) -> str:
        return "; ".join(map(str, self.inputs))


def _fits(array: Array, shape: tuple[int | None, ...]) -> bool:
    """Whether all axes but the first agree: a fixed number of rows is no bound, for they go through in parts."""
    sizes = zip(array.shape[1:], shape[1:], strict=False)
    return array.ndim == len(shape) and all(want in (None, have) for have, want in sizes)


def warn_if_held_back(place: Location) -> None:
    """Say which gates a registered version failed."""
    if place.failed_gates:
        warn(f"{place.name} was held back when it was registered ({reasons_text(place.failed_gates)})")


@contextmanager
def open_model(
    workspace: "Callable[[], Workspace]",
    reference: str,
    plan: Plan | None = None,
    format: str | None = None,
    graphs: tuple[str, ...] = ("model",),
    file: str | None = None,
) -> Iterator[Model]:
    """The model that `reference` names, for as long as the block lasts; of a folder the file of that name, or the
    model itself in that format. Raises UsageError or AnelabError that say what is wrong, and what is allowed."""
    with located(workspace, reference) as place:
        warn_if_held_back(place)
        path = place.file(format, graphs, file)
        with closing(OPENERS[format_of(path)](place, path, plan or Plan())) as model:
            yield model


def _open_onnx(place: Location, path: Path, plan: Plan) -> Model:
    from anelab.export.runtime import CPU, SessionPlan, open_session, session_metadata, session_ports, session_predictor

    provider = plan.provider or CPU
    session = open_session(path, SessionPlan(provider, threads=plan.threads, timeout_s=plan.timeout_s))
    inputs, outputs = (tuple(Port(*port) for port in side) for side in session_ports(session, path))
    metadata = session_metadata(session, path)
    predict = session_predictor(session, path, plan.batch_rows, plan.timeout_s)
    return Model(place.name, path, inputs, outputs, metadata, place.manifest, provider, predict)


def _open_package(place: Location, path: Path, plan: Plan) -> Model:
    import sys

    from anelab.export.mlpackage import package_metadata

    if plan.keeps_process and plan.provider is None and sys.platform != "darwin":
        raise UsageError(
            f"{path}: Core ML runs on macOS only; --provider {EVALUATOR} computes here what it would, slowly; or give "
            "an ONNX model"
        )
    provider = plan.provider or ("all" if sys.platform == "darwin" else EVALUATOR)
    inputs, outputs = package_ports(path)
    predict, close = _package_predictor(path, provider, plan)
    return Model(place.name, path, inputs, outputs, package_metadata(path), place.manifest, provider, predict, close)


def package_ports(path: Path) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Inputs and outputs of a package's first function. Raises AnelabError for what is none."""
    from anelab.export.mlpackage import package_functions

    function = next(iter(package_functions(path).values()))
    inputs, outputs = (
        tuple(Port(item["name"], item["dtype"], (None, *item["shape"][1:])) for item in function[side])
        for side in ("inputs", "outputs")
    )
    return inputs, outputs


def _package_predictor(path: Path, provider: str, plan: Plan) -> tuple[Predictor, Callable[[], None]]:
    """And what ends it."""
    if provider == EVALUATOR:
        from anelab.export.mil.predictor import mil_predictor

        return mil_predictor(path, timeout_s=plan.timeout_s), lambda: None
    from anelab.export.apple import COMPUTE_UNITS, native
    from anelab.export.isolated import KeptProcess, isolated_predictor

    if provider not in COMPUTE_UNITS:
        raise UsageError(f"a package runs on {', '.join((EVALUATOR, *COMPUTE_UNITS))}, but got {provider}")
    native()  # says at once if there is no Core ML here
    if plan.keeps_process:
        kept = KeptProcess(path, provider, timeout_s=plan.timeout_s)
        return kept.predict, kept.close
    return isolated_predictor(path, provider, timeout_s=plan.timeout_s), lambda: None


def _open_coreai(place: Location, path: Path, plan: Plan) -> Model:
    raise UsageError(f"{path}: Core AI's models are proven at export only; give model.onnx or model.mlpackage")


OPENERS: Mapping[str, Callable[[Location, Path, Plan], Model]] = {
    "onnx": _open_onnx,
    "coreml": _open_package,
    "coreai": _open_coreai,
}
