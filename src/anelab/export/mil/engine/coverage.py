"""What mode ane knows of a package's operators, in words."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from anelab.export.mil.engine.operators import APPROXIMATE, EXACT, KEPT
from anelab.export.mil.program import declared_type

NOTES: Mapping[str, str] = {
    "exact": "bit for bit (seen on an M6; on an M4 too: the 32-bit sum, infinity from 32768 on, subnormals, ties)",
    "approximate": "by tables of an M6, nearly",
    "unknown": "rounded to 16 bits, for nothing was published",
    "not 16 bits": "not declared 16 bits, so not for the Neural Engine",
}


def coverage(programs: Iterable[Any]) -> dict[str, list[str]]:
    """Kinds of operators by what is known of them: the keys of `NOTES`. Those that compute nothing are left out."""
    found: dict[str, set[str]] = {key: set() for key in NOTES}
    for program in programs:
        for operation in _computing(program):
            found[_key(operation)].add(operation.op_type)
    return {key: sorted(kinds) for key, kinds in found.items() if kinds}


def coverage_text(programs: Iterable[Any]) -> str:
    parts = [f"{', '.join(kinds)}: {NOTES[key]}" for key, kinds in coverage(programs).items()]
    return f"mode ane computes as published, which warns and proves nothing. {'; '.join(parts) or 'nothing to compute'}"


def _computing(block: Any) -> Iterator[Any]:
    for operation in block.operations:
        kind = operation.op_type
        if kind not in KEPT and kind not in ("const", "cast") and not kind.startswith("constexpr_"):
            yield operation
        for inner in operation.blocks:
            yield from _computing(inner)


def _key(operation: Any) -> str:
    if any(declared_type(output) != "fp16" for output in operation.outputs):
        return "not 16 bits"
    kind = operation.op_type
    return "exact" if kind in EXACT else "approximate" if kind in APPROXIMATE else "unknown"
