"""How many pieces of an ONNX file ONNX Runtime's Core ML provider would take, and what it leaves to the CPU."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from anelab.export.coreml_provider.nodes import Node, read_graph
from anelab.export.coreml_provider.rules import VERSION, refusal

TRIVIAL = frozenset({"Cast", "Ceil", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Tile", "Transpose"})
"""A piece of these alone stays on the CPU."""
FEW_PARTITIONS = 3
"""More cost more than they gain: 87 took 8 times as long as the CPU alone (immich-video-memory-generator, pull request
811), 97 took 3 to 4 times (vexor, issue 7)."""


@dataclass(frozen=True)
class Left:
    """A node that the CPU keeps."""

    kind: str
    name: str
    reason: str


@dataclass(frozen=True)
class ProviderReport:
    """`taken` of `nodes` in so many `partitions`; `left` with reasons."""

    nodes: int
    taken: int
    partitions: int
    left: tuple[Left, ...]

    @property
    def verdict(self) -> str:
        if not self.taken:
            return "the Core ML provider would take nothing"
        pieces = f"{self.partitions} partition{'s' if self.partitions > 1 else ''}"
        text = f"the Core ML provider would take {self.taken} of {self.nodes} nodes, in {pieces}"
        return f"{text}; each change between it and the CPU costs time" if self.partitions > FEW_PARTITIONS else text

    def by_reason(self) -> Mapping[tuple[str, str], int]:
        """Counts by the kind of node and the reason."""
        return Counter((one.kind, one.reason) for one in self.left)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "kind": "predicted", "provider": f"ONNX Runtime {VERSION}", "verdict": self.verdict}


def inspect_onnx(path: Path, rows: int | None = None) -> ProviderReport:
    """With `rows`, that many of them and static shapes only, as anelab's own arm opens a file; else as the file is and
    as the provider is by default. Raises AnelabError if the file cannot be read."""
    nodes = read_graph(path, rows)
    reasons = {number: refusal(node, static=rows is not None) for number, node in enumerate(nodes)}
    groups = _groups(nodes, reasons)
    kept = [group for group in groups if any(nodes[number].kind not in TRIVIAL for number in group)]
    taken = {number for group in kept for number in group}
    left = [
        Left(node.kind, node.name, reasons[number] or "stands alone, and only moves values")
        for number, node in enumerate(nodes)
        if number not in taken
    ]
    return ProviderReport(len(nodes), len(taken), len(kept), tuple(left))


def _groups(nodes: Sequence[Node], reasons: Mapping[int, str]) -> list[list[int]]:
    """Nodes that are taken, as ONNX Runtime puts them together: in an order in which what a node reads comes first, a
    group goes on until only nodes are left that read it and are not taken."""
    makers = {value.name: number for number, node in enumerate(nodes) for value in node.outputs}
    reads = [{makers[v.name] for v in node.inputs if v is not None and v.name in makers} for node in nodes]
    readers: dict[int, list[int]] = {number: [] for number in range(len(nodes))}
    for number, sources in enumerate(reads):
        for source in sources:
            readers[source].append(number)
    waiting = [len(sources) for sources in reads]
    queue = deque(number for number, count in enumerate(waiting) if not count)
    groups: list[list[int]] = []
    group: list[int] = []
    later: list[int] = []
    while queue:
        number = queue.popleft()
        taken = not reasons[number]
        if taken:
            group.append(number)
        elif reads[number] & set(group):
            later.append(number)
        if taken or number not in later:
            for reader in readers[number]:
                waiting[reader] -= 1
                if not waiting[reader]:
                    queue.append(reader)
        if not queue:
            groups.append(group)
            queue, group, later = deque(later), [], []
    return [group for group in groups if group]
