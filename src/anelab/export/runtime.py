"""ONNX Runtime: sessions on a named execution provider, and the CPU's as a predictor."""

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from anelab.errors import AnelabError
from anelab.learning.base import Arrays, Predictor

ROWS_AT_ONCE = 4096
CPU = "CPUExecutionProvider"


@dataclass(frozen=True)
class SessionPlan:
    """What a session is to run on. `rows` fixes the batch, for providers that want fixed shapes; `observe`
    records which provider takes which operator, which is not for sessions that are timed."""

    provider: str = CPU
    options: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    rows: int | None = None
    observe: bool = False


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
    options.log_severity_level = 3
    if plan.rows is not None:
        options.add_free_dimension_override_by_name("n", plan.rows)
    if plan.observe:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    chosen = [(plan.provider, dict(plan.options))] + ([(CPU, {})] if plan.provider != CPU else [])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            session = onnxruntime.InferenceSession(path, options, providers=chosen)
    except Exception as error:  # onnxruntime's own exceptions have no common base
        raise AnelabError(f"{path}: ONNX Runtime cannot load it: {error}") from None
    if session.get_providers()[0] != plan.provider:
        raise AnelabError(f"{path}: ONNX Runtime fell back from {plan.provider} to {session.get_providers()[0]}")
    return session


def assignment_of(session: Any) -> Assignment:
    """Of a session that was opened with `observe`."""
    parts = session.get_provider_graph_assignment_info()
    operators: Counter[str] = Counter()
    for part in parts:
        operators[part.ep_name] += len(part.get_nodes())
    return Assignment(dict(operators), sum(part.ep_name != CPU for part in parts))


def onnx_predictor(path: Path, threads: int = 1) -> Predictor:
    """Runs the model a few thousand rows at a time. Raises AnelabError if it cannot be loaded."""
    session = open_session(path, SessionPlan(threads=threads))
    inputs = [item.name for item in session.get_inputs()]
    outputs = [item.name for item in session.get_outputs()]

    def predict(arrays: Arrays) -> Arrays:
        rows = len(arrays[inputs[0]])
        slabs = [slice(start, start + ROWS_AT_ONCE) for start in range(0, max(rows, 1), ROWS_AT_ONCE)]
        parts = [session.run(outputs, {name: arrays[name][slab] for name in inputs}) for slab in slabs]
        return {name: np.concatenate(column) for name, column in zip(outputs, zip(*parts, strict=True), strict=True)}

    return predict


def providers() -> list[str]:
    """What this build of ONNX Runtime can run on."""
    return list(onnxruntime.get_available_providers())
