"""Which operator loses the numbers in 16 bits, and which operators must stay float32 to keep them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from anelab.export.mil.evaluator import Evaluator
from anelab.export.mil.operators import Value
from anelab.export.mil.program import Package, load_package
from anelab.learning.base import Arrays

CAST = "_cast_fp16"
"""coremltools' ending of what its 16-bit pass has renamed."""
MOST_OPERATORS = 64


@dataclass(frozen=True)
class Drift:
    """An operator whose 16-bit output is off, relative to the float32 one above one."""

    name: str
    kind: str
    error: float
    value: float
    exact: float


@dataclass(frozen=True)
class Blame:
    """`first` drifts beyond the tolerance before any other; None if nothing does. `keep` are the operators
    that, left in float32, bring the outputs within it: tried by the evaluator. None if none were found."""

    tolerance: float
    output_error: float
    first: Drift | None
    keep: tuple[str, ...] | None

    def advice(self) -> str:
        """What to do, in a sentence or two."""
        if self.first is None:
            return f"no operator drifts beyond {self.tolerance:g} in 16 bits"
        drift = self.first
        values = f"{drift.value:.6g} instead of {drift.exact:.6g}"
        lead = f"{drift.kind} {drift.name} is the first to drift in 16 bits: {values}"
        if not self.keep:
            return f"{lead}; keeping single operators in float32 does not mend it, so use the fp32 package"
        names = ", ".join(self.keep)
        return (
            f"{lead}; export.coreml.fp32_operators: [{names}] mends it (tried by the evaluator), in coremltools "
            f"FP16ComputePrecision(op_selector=lambda op: op.name not in {set(self.keep)!r})"
        )


def find_blame(path: Path, arrays: Arrays, tolerance: float, function: str | None = None) -> Blame:
    """Run the package on `arrays` (in its own fixed shape) in both modes and compare operator by operator."""
    package = load_package(path)
    exact = _Recorder()
    wanted = Evaluator(package, function, "fp32")(arrays, exact)
    error, first = _first_drift(package, function, arrays, frozenset(), tolerance, exact, wanted)
    if first is None:
        return Blame(tolerance, error, None, ())
    keep = _mended(package, function, arrays, tolerance, exact, wanted, first)
    return Blame(tolerance, error, first, tuple(map(_plain, keep)) if keep else None)


class _Recorder:
    """Outputs of every operation, by name, and what each reads."""

    def __init__(self) -> None:
        self.outputs: dict[str, tuple[str, list[torch.Tensor]]] = {}
        self.producers: dict[str, list[str]] = {}

    def __call__(self, operation: Any, arguments: Mapping[str, Any], outputs: Sequence[Value]) -> None:
        floats = [one for one in outputs if isinstance(one, torch.Tensor) and one.is_floating_point()]
        if operation.op_type == "cast" or not floats:
            return
        self.outputs[operation.name] = (operation.op_type, floats)
        self.producers[operation.name] = _producers(operation)


def _producers(operation: Any) -> list[str]:
    """Names of the operations whose outputs this one reads, casts passed over."""
    found = []
    for given in operation.inputs.values():
        for variable in given if isinstance(given, list | tuple) else [given]:
            source = variable.op if variable is not None else None
            while source is not None and source.op_type == "cast":
                source = source.inputs["x"].op
            if source is not None and source.op_type != "const":
                found.append(source.name)
    return found


def _first_drift(
    package: Package,
    function: str | None,
    arrays: Arrays,
    wide: frozenset[str],
    tolerance: float,
    exact: _Recorder,
    wanted: Arrays,
) -> tuple[float, Drift | None]:
    """The error of the function's outputs, and the first operator beyond the tolerance."""
    halves = _Recorder()
    found = Evaluator(package, function, "fp16", wide)(arrays, halves)
    error = max(_worst(torch.from_numpy(found[name]), torch.from_numpy(wanted[name]))[0] for name in wanted)
    for name, (kind, outputs) in halves.outputs.items():
        for ours, theirs in zip(outputs, exact.outputs[name][1], strict=True):
            drift, place = _worst(ours, theirs)
            if drift > tolerance:
                value, right = float(ours.reshape(-1)[place]), float(theirs.reshape(-1)[place])
                return error, Drift(name, kind, drift, value, right)
    return error, None


def _worst(ours: torch.Tensor, theirs: torch.Tensor) -> tuple[float, int]:
    """Largest error relative to the value, or to one where it is smaller, and its place."""
    if not ours.numel():
        return 0.0, 0
    error = (ours.float() - theirs.float()).abs() / theirs.float().abs().clamp(min=1)
    error = torch.where(error.isnan() & ~theirs.float().isnan(), torch.inf, error.nan_to_num(0.0, torch.inf))
    place = int(error.reshape(-1).argmax())
    return float(error.reshape(-1)[place]), place


def _mended(
    package: Package,
    function: str | None,
    arrays: Arrays,
    tolerance: float,
    exact: _Recorder,
    wanted: Arrays,
    first: Drift,
) -> list[str] | None:
    """Operators to keep, from the one that drifts backwards to those it reads, then on to the next."""
    keep, drift = [first.name], first
    while len(keep) <= MOST_OPERATORS:
        error, following = _first_drift(package, function, arrays, frozenset(keep), tolerance, exact, wanted)
        if error <= tolerance:
            return keep
        blamed = following or drift
        fresh = [blamed.name] if blamed.name not in keep else []
        fresh = fresh or [name for kept in keep for name in exact.producers.get(kept, []) if name not in keep][:1]
        if not fresh:
            return None
        keep, drift = [*keep, *fresh], blamed
    return None


def _plain(name: str) -> str:
    return name.removesuffix(CAST)
