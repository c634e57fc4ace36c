"""Which operator loses the numbers in 16 bits, and which operators must stay float32 to keep them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anelab.errors import UsageError
from anelab.export.comparison import differing_values, shared_values
from anelab.export.mil.evaluator import Evaluator
from anelab.export.mil.modes import Mode
from anelab.export.mil.operators import Value
from anelab.export.mil.program import Package, infinite_constants, load_package
from anelab.export.slabs import Bucket, in_slabs
from anelab.learning.base import Array, Arrays

CAST = "_cast_fp16"
"""coremltools' ending of what its 16-bit pass has renamed."""
MOST_OPERATORS = 64
MASK_ADVICE = "mask with -40000, which 16 bits hold"


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
    that, left in float32, bring the outputs within it: tried by the evaluator. None if none were found.

    By output, `not_finite` counts values that are NaN or infinite in 16 bits and not the same in float32;
    `shared_not_finite` those that are the same in both; `source` is the operator that gave the first of these in
    float32, and `infinite_constants` are operators with constants that the package stores as infinity, where
    the module may have had a large number.
    """

    tolerance: float
    output_error: float
    first: Drift | None
    keep: tuple[str, ...] | None
    not_finite: dict[str, int] = field(default_factory=dict)
    shared_not_finite: dict[str, int] = field(default_factory=dict)
    source: str | None = None
    infinite_constants: tuple[str, ...] = ()

    def remarks(self) -> list[str]:
        """A sentence for each output that has values which are not finite."""
        differing = [
            f"{count} values of {name} are NaN or infinite in 16 bits, unlike in float32"
            for name, count in self.not_finite.items()
        ]
        shared = [
            f"{count} values of {name} are NaN or infinite in float32 as in 16 bits, beginning at {self.source}"
            for name, count in self.shared_not_finite.items()
        ]
        if shared and self.infinite_constants:
            names = ", ".join(self.infinite_constants)
            shared.append(f"{names} has a constant that is stored as infinity; {MASK_ADVICE}")
        return differing + shared

    def advice(self) -> str:
        """What to do, in a sentence or two."""
        return "; ".join([self._precision_advice(), *self.remarks()])

    def _precision_advice(self) -> str:
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


def find_blame(path: Path, arrays: Arrays, tolerance: float, function: str | None = None, mode: Mode = "fp16") -> Blame:
    """Run the rows of `arrays` in float32 and in `mode`; where the outputs differ most, compare operator by operator.

    Raises AnelabError if the package cannot be evaluated or does not take the arrays, UsageError if the tolerance
    is no positive number.
    """
    if not 0 < tolerance < np.inf:
        raise UsageError(f"--tolerance must be a positive number but got {tolerance}")
    package = load_package(path)
    worst: _Comparison | None = None
    seen = _NotFinite()
    for comparison in _comparisons(package, function, arrays, mode):
        seen.add(comparison)
        if worst is None or comparison.output_error > worst.output_error:
            worst = comparison
    assert worst is not None  # arrays without rows are refused before
    first = worst.first_drift(frozenset(), tolerance)
    if first is None:
        return Blame(tolerance, worst.output_error, None, (), *seen.figures(package.function(function)))
    keep = worst.mended(first, tolerance)
    kept = tuple(map(_plain, keep)) if keep else None
    return Blame(tolerance, worst.output_error, first, kept, *seen.figures(package.function(function)))


class _NotFinite:
    """Counts of values that are NaN or infinite, over all slabs."""

    def __init__(self) -> None:
        self.differing, self.shared = Counter[str](), Counter[str]()
        self.source: str | None = None

    def add(self, comparison: "_Comparison") -> None:
        found, wanted = comparison.rows_of(comparison.found), comparison.rows_of(comparison.wanted)
        shared = shared_values(found, wanted)
        self.differing.update(differing_values(found, wanted))
        self.shared.update(shared)
        if shared and self.source is None:
            self.source = comparison.first_not_finite()

    def figures(self, program: Any) -> tuple[dict[str, int], dict[str, int], str | None, tuple[str, ...]]:
        """The last fields of `Blame`."""
        suspects = {_plain(operator) for operator, _ in infinite_constants(program)} if self.shared else ()
        return dict(self.differing), dict(self.shared), self.source, tuple(sorted(suspects))


def _comparisons(package: Package, function: str | None, arrays: Arrays, mode: Mode) -> Iterator["_Comparison"]:
    """One for each slab of rows that the function takes at once."""
    exact = Evaluator(package, function, "fp32")
    slabs: list[Arrays] = []

    def keep(slab: Arrays) -> Arrays:
        slabs.append(slab)
        return {"row": np.zeros(len(next(iter(slab.values()))))}

    in_slabs([Bucket(keep, {port.name: port.shape for port in exact.inputs})], exact.title)(arrays)
    left = len(next(iter(arrays.values())))
    for slab in slabs:
        size = len(next(iter(slab.values())))
        yield _Comparison(package, function, mode, exact, slab, filled=max(0, size - left))
        left -= size


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


class _Comparison:
    """One slab of rows, in float32 once and in a mode of 16 bits as often as it takes."""

    def __init__(
        self, package: Package, function: str | None, mode: Mode, evaluator: Evaluator, arrays: Arrays, filled: int
    ) -> None:
        """`filled` rows at the end are copies that filled the slab up."""
        self.package, self.function, self.mode = package, function, mode
        self.arrays, self.filled = arrays, filled
        self.exact = _Recorder()
        evaluator.reset_states()
        self.wanted = _numbers(evaluator(arrays, self.exact))
        self.found, self.halves = self._rounded(frozenset())
        self.output_error = self._error(self.found)

    def _rounded(self, wide: frozenset[str]) -> tuple[Arrays, _Recorder]:
        """The outputs, and what every operator gave, if those in `wide` stay float32."""
        recorder = _Recorder()
        return _numbers(Evaluator(self.package, self.function, self.mode, wide)(self.arrays, recorder)), recorder

    def _error(self, found: Arrays) -> float:
        """The largest of an output, relative above one. 0 of a package that gives labels only."""
        errors = [_worst(torch.from_numpy(found[name]), torch.from_numpy(self.wanted[name]))[0] for name in found]
        return max(errors, default=0.0)

    def rows_of(self, outputs: Arrays) -> Arrays:
        """Without the rows that filled the slab up."""
        return {name: array[: len(array) - self.filled] if self.filled else array for name, array in outputs.items()}

    def first_not_finite(self) -> str | None:
        """The first operator whose float32 output has NaN, or infinity where none has NaN, as "kind name"."""
        for lost in (torch.isnan, torch.isinf):
            for name, (kind, outputs) in self.exact.outputs.items():
                if any(bool(lost(one).any()) for one in outputs):
                    return f"{kind} {_plain(name)}"
        return None

    def first_drift(self, wide: frozenset[str], tolerance: float) -> Drift | None:
        """The first operator beyond the tolerance, if those in `wide` stay float32."""
        recorder = self._rounded(wide)[1] if wide else self.halves
        both = [name for name in recorder.outputs if name in self.exact.outputs]  # a branch may differ
        for name in both:
            kind, outputs = recorder.outputs[name]
            for ours, theirs in zip(outputs, self.exact.outputs[name][1], strict=True):
                error, place = _worst(ours, theirs)
                if error > tolerance:
                    value, right = float(ours.reshape(-1)[place]), float(theirs.reshape(-1)[place])
                    return Drift(name, kind, error, value, right)
        return None

    def mended(self, first: Drift, tolerance: float) -> list[str] | None:
        """Operators to keep, from the one that drifts backwards to those it reads, then on to the next."""
        keep = [first.name]
        while len(keep) <= MOST_OPERATORS:
            if self._error(self._rounded(frozenset(keep))[0]) <= tolerance:
                return keep
            following = self.first_drift(frozenset(keep), tolerance)
            fresh = [following.name] if following and following.name not in keep else []
            fresh = fresh or [name for kept in keep for name in self.exact.producers.get(kept, []) if name not in keep]
            if not fresh:
                return None
            keep.append(fresh[0])
        return None


def _worst(ours: torch.Tensor, theirs: torch.Tensor) -> tuple[float, int]:
    """Largest error relative to the value, or to one where it is smaller, and its place. Equal infinities are
    no error; a value that is not a number, where the other is one, is an infinite one."""
    if not ours.numel():
        return 0.0, 0
    ours, theirs = ours.double(), theirs.double()
    error = (ours - theirs).abs() / theirs.abs().clamp(min=1)
    same = (ours == theirs) | (ours.isnan() & theirs.isnan())
    error = torch.where(same, 0.0, error.nan_to_num(torch.inf, torch.inf)).reshape(-1)
    place = int(error.argmax())
    return float(error[place]), place


def _numbers(outputs: Arrays) -> dict[str, Array]:
    """Without the labels of a classifier, which follow from its probabilities."""
    return {name: array for name, array in outputs.items() if array.dtype.kind in "fiub"}


def _plain(name: str) -> str:
    return name.removesuffix(CAST)
