"""What the Neural Engine takes, by two sources: the rules of readiness, and what Core ML's compiler refused on an
M4."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from anelab.export.findings import Finding, finding
from anelab.export.operations import Operation
from anelab.export.placement.support import STUDY, refusal

REFUSED = "do it outside the model, or with operators and sizes that are taken (docs/placement.md)"


def weighed(
    operations: Sequence[Any], findings: Sequence[Finding], records: Sequence[Operation], doubted: frozenset[str]
) -> Iterator[Finding]:
    """The findings, where the sources in `doubted` keep an operator off and the compiler took it: disputed, with both
    named. What only the compiler refused is added. `records` are the same operators as plain records."""
    refused = _refusals(operations, records)
    for found in findings:
        if found.severity != "off" or found.source not in doubted or found.operator not in refused:
            yield found
        elif refused[found.operator]:
            yield replace(found, source=f"{found.source}; {STUDY}")
        else:
            yield replace(found, severity="disputed", detail=f"{found.detail}; taken on an M4 by {STUDY}")
    off = {found.operator for found in findings if found.severity == "off"}
    for operation in operations:
        if operation.name not in off and (reason := refused.get(operation.name)):
            yield finding(operation, "refused", "off", reason, REFUSED, STUDY)


def _refusals(operations: Sequence[Any], records: Sequence[Operation]) -> Mapping[str, str]:
    """By the operator's name: why it is refused, empty where it is taken."""
    by_output = {record.outputs[0].name: record for record in records if record.outputs}
    return {
        operation.name: refusal(by_output[operation.outputs[0].name])
        for operation in operations
        if operation.outputs and operation.outputs[0].name in by_output
    }
