"""One rule that one operator breaks, and how rules read operators."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Severity = Literal["differs", "off", "disputed", "unsafe", "slow"]
"""differs: Core ML was measured to compute something else than it documents, or to refuse the operator; off: keeps
the operator off the Neural Engine; disputed: one source says that it does, another took the operator; unsafe: 16 bits
may break its numbers; slow: costs time."""
SEVERITIES: tuple[Severity, ...] = ("differs", "off", "disputed", "unsafe", "slow")


@dataclass(frozen=True)
class Finding:
    """`operator` is its name in the program, `kind` its type."""

    rule: str
    severity: Severity
    operator: str
    kind: str
    detail: str
    fix: str
    source: str


Rule = Callable[[Any], Iterator[Finding]]


def finding(operation: Any, rule: str, severity: Severity, detail: str, fix: str, source: str) -> Finding:
    return Finding(rule, severity, operation.name, operation.op_type, detail, fix, source)


def numbers(operation: Any, name: str) -> list[int]:
    """A constant input's; none if it is not there or computed."""
    variable = operation.inputs.get(name)
    return [] if variable is None or variable.val is None else [int(value) for value in np.ravel(variable.val)]


def sizes_text(sizes: Sequence[int | None]) -> str:
    return " x ".join("?" if size is None else str(size) for size in sizes)
