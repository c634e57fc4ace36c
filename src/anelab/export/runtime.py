"""ONNX Runtime: sessions on a named execution provider, and the CPU's as a predictor."""

import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from anelab.errors import AnelabError
from anelab.export.slabs import Bucket, check_slab_size, in_slabs
from anelab.interruption import watched
from anelab.learning.base import SEQUENCES_AT_ONCE, Arrays, Predictor
from anelab.texts import printable

ROWS_AT_ONCE = 4096
MOST_REASON = 1000
"""Characters of what ONNX Runtime says."""
CPU = "CPUExecutionProvider"
SILENT = 4
"""ONNX Runtime's own log goes to the terminal as it is; what failed is in the exception, too."""
DTYPES = {"float": "float32", "double": "float64", "bool": "bool", "float16": "float16"}
DTYPES |= {f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
"""NumPy's names of ONNX Runtime's element types."""
PortFacts = tuple[str, str, tuple[int | None, ...]]


@dataclass(frozen=True)
class SessionPlan:
    """What a session is to run on. `rows` fixes the batch, for providers that want fixed shapes; `observe` records
    which provider takes which operator, which is not for sessions that are timed. `timeout_s`: to be opened in."""

    provider: str = CPU
    options: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    rows: int | None = None
    observe: bool = False
    timeout_s: float | None = None


@dataclass(frozen=True)
class Assignment:
    """Operators by execution provider, as ONNX Runtime assigned them; `partitions` are the pieces that went to
    another provider than the CPU's."""

    operators: dict[str, int]
    partitions: int


def open_session(path: Path, plan: SessionPlan) -> Any:
    """A session whose first provider is the plan's. Raises AnelabError if it cannot be made, or if ONNX Runtime
    falls back to another provider, which it does with no more than a warning."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = plan.threads
    options.log_severity_level = SILENT
    if plan.rows is not None:
        options.add_free_dimension_override_by_name("n", plan.rows)
    if plan.observe:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    chosen = [(plan.provider, dict(plan.options))] + ([(CPU, {})] if plan.provider != CPU else [])
    opening = watched(f"{path}: ONNX Runtime, which opens it,", plan.timeout_s)
    with errors_of(path, "load it"), warnings.catch_warnings(), opening:
        warnings.simplefilter("ignore")
        session = onnxruntime.InferenceSession(path, options, providers=chosen)
    if session.get_providers()[0] != plan.provider:
        raise AnelabError(f"{path}: ONNX Runtime fell back from {plan.provider} to {session.get_providers()[0]}")
    return session


@contextmanager
def errors_of(path: Path, doing: str) -> Iterator[None]:
    """Whatever ONNX Runtime raises, as an AnelabError that names the file."""
    try:
        yield
    except AnelabError:
        raise
    except Exception as error:  # onnxruntime's own exceptions have no common base
        raise AnelabError(f"{path}: ONNX Runtime cannot {doing}: {printable(error, MOST_REASON)}") from None


def assignment_of(session: Any) -> Assignment:
    """Of a session that was opened with `observe`."""
    parts = session.get_provider_graph_assignment_info()
    operators: Counter[str] = Counter()
    for part in parts:
        operators[part.ep_name] += len(part.get_nodes())
    return Assignment(dict(operators), sum(part.ep_name != CPU for part in parts))


def onnx_predictor(path: Path, threads: int = 1) -> Predictor:
    """Runs the model a few thousand rows at a time. Raises AnelabError if it cannot be loaded."""
    return session_predictor(open_session(path, SessionPlan(threads=threads)), path)


def session_predictor(
    session: Any, path: Path, batch_rows: int = ROWS_AT_ONCE, timeout_s: float | None = None
) -> Predictor:
    """Any number of rows through an open session, `batch_rows` a call at most, each of `timeout_s` seconds at most; a
    model of a fixed batch gets just that, the last one filled up.

    Raises AnelabError if ONNX Runtime refuses the rows, or the model does not answer each of them, or not in time."""
    outputs = [item.name for item in session.get_outputs()]
    shapes = {item.name: _shape(item) for item in session.get_inputs()}

    def run(arrays: Arrays) -> Arrays:
        options = onnxruntime.RunOptions()
        options.log_severity_level = SILENT
        running = watched(f"{path}: the model", timeout_s, lambda: setattr(options, "terminate", True))
        with errors_of(path, "run it on these rows"), running:
            answers = dict(zip(outputs, session.run(outputs, dict(arrays), options), strict=True))
        _check_answers(path, answers, len(arrays[next(iter(shapes))]))
        return answers

    if any(shape and shape[0] is not None for shape in shapes.values()):
        check_slab_size(shapes.values(), 8, f"{path}: the model")
        return in_slabs([Bucket(run, shapes)], f"{path}: the model")
    if any(None in shape[1:] for shape in shapes.values()):
        batch_rows = min(batch_rows, SEQUENCES_AT_ONCE)

    def predict(arrays: Arrays) -> Arrays:
        rows = len(arrays[next(iter(shapes))])
        slabs = [slice(start, start + batch_rows) for start in range(0, max(rows, 1), batch_rows)]
        parts = [run({name: arrays[name][slab] for name in shapes}) for slab in slabs]
        return (
            parts[0] if len(parts) == 1 else {name: np.concatenate([part[name] for part in parts]) for name in outputs}
        )

    return predict


def _check_answers(path: Path, answers: Mapping[str, Any], rows: int) -> None:
    """Raises AnelabError for an answer that is not one of each row: a single value would else be every row's."""
    for name, answer in answers.items():
        shape = getattr(answer, "shape", None)
        if not shape or shape[0] != rows:
            given = "no array" if shape is None else f"an array of shape {list(shape)}"
            raise AnelabError(
                f"{path}: the model answers {rows} rows with {given} as {printable(name, 80)}; its first axis must be "
                "the rows"
            )


def session_ports(session: Any, path: Path) -> tuple[list[PortFacts], list[PortFacts]]:
    """Name, NumPy dtype and shape of every input and output. Raises AnelabError for what is no array of numbers."""
    with errors_of(path, "tell its inputs and outputs"):
        sides = [[(item.name, _dtype(item, path), _shape(item)) for item in side] for side in _sides(session)]
    return sides[0], sides[1]


def session_metadata(session: Any, path: Path) -> dict[str, str]:
    """What the model says of itself. Raises AnelabError if that is no text."""
    with errors_of(path, "tell its metadata"):
        return dict(session.get_modelmeta().custom_metadata_map)


def _sides(session: Any) -> tuple[Any, Any]:
    return session.get_inputs(), session.get_outputs()


def _shape(item: Any) -> tuple[int | None, ...]:
    """Axes of no fixed size are None."""
    return tuple(size if isinstance(size, int) else None for size in item.shape)


def _dtype(item: Any, path: Path) -> str:
    kind = str(item.type).removeprefix("tensor(").removesuffix(")")
    if kind not in DTYPES:
        raise AnelabError(f"{path}: {item.name} is {item.type}; only arrays of numbers are taken")
    return DTYPES[kind]


def simplified(model: bytes) -> bytes:
    """An ONNX model after what ONNX Runtime does before it asks any provider: constants are computed, what does nothing
    is removed. As it is where ONNX Runtime cannot load it alone."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory(prefix="anelab-onnx-") as scratch:
        path = Path(scratch, "model.onnx")
        options.optimized_model_filepath = str(path)
        try:
            onnxruntime.InferenceSession(model, options, providers=[CPU])
            return path.read_bytes()
        except Exception:  # onnxruntime's have no common base: weights in other files, operators that it lacks
            return model


def providers() -> list[str]:
    """What this build of ONNX Runtime can run on."""
    return list(onnxruntime.get_available_providers())
