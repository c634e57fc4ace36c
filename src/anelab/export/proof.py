"""Every artifact, by everything that can run it here, against the trained module."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anelab.errors import AnelabError, warn
from anelab.export.artifacts import FLOAT, HALF
from anelab.export.executors import APPLE, Executors, executors
from anelab.export.manifest import Artifact
from anelab.export.mil.blame import find_blame
from anelab.export.parity import Parity, compare, worst_examples
from anelab.learning.base import AnyWorkload, Arrays, Graph, Split
from anelab.learning.config import WorkloadConfig

Expected = Callable[[Graph], Arrays]
"""The trained module's outputs on the test set, for a graph."""


@dataclass(frozen=True)
class Measured:
    """One artifact run by one executor. `broken` says which tolerances it breaks; `rows` are the test set's."""

    artifact: Artifact
    executor: str
    parity: Parity
    rows: Arrays
    broken: list[str]
    examples: str

    @property
    def file(self) -> str:
        return self.artifact.file

    def as_json(self) -> dict[str, Any]:
        return {"broken": self.broken, "executor": self.executor, "file": self.file, **self.parity.as_json()}


def measure_all(
    workload: AnyWorkload,
    config: WorkloadConfig,
    artifacts: Sequence[Artifact],
    folder: Path,
    expected: Expected,
    test: Split,
    executors_of: Callable[[Path, Graph, str], Executors] = executors,
) -> Iterator[Measured]:
    """Every artifact by every executor on this host, or by those that `executors_of` names.

    What Core ML refuses or dies of is a warning and no figure."""
    wanted: dict[str, Arrays] = {}
    for artifact in artifacts:
        graph = artifact.graph.name
        if graph not in wanted:
            wanted[graph] = expected(artifact.graph)
        for executor, opened in executors_of(folder / artifact.file, artifact.graph, artifact.variant).items():
            try:
                found = opened()(test.inputs[graph])
            except AnelabError as error:
                if not executor.startswith(APPLE):
                    raise
                warn(f"{workload.name}: {artifact.file} was not measured on {executor}: {error}")
                continue
            parity = compare(workload, config, wanted[graph], found, test)
            for remark in parity.remarks():
                warn(f"{workload.name}: {artifact.file} ({executor}): {remark}")
            tolerance = config.export.tolerance(artifact.format, artifact.variant, executor)
            broken = parity.breaches(tolerance, config.sign)
            examples = worst_examples(artifact.file, parity, wanted[graph], found)
            yield Measured(artifact, executor, parity, workload.rows(found, test), broken, examples)


def require(measured: Measured, workload: AnyWorkload, config: WorkloadConfig, folder: Path, test: Split) -> None:
    """Raise AnelabError if the artifact should compute the module's own numbers and breaks a tolerance.

    16 bits, compressed weights and Core ML's own units change the numbers: a package that goes too far with them is
    a warning, with the operator to blame. If it is the main file of a version, the registry's parity gate holds it
    back.
    """
    if not measured.broken:
        return
    broken = "; ".join(measured.broken)
    if measured.executor.startswith(APPLE) or (
        measured.artifact.format == "coreml" and measured.artifact.variant != FLOAT
    ):
        blame = _blame(measured, config, folder, test)
        warn(f"{workload.name}: {measured.file} ({measured.executor}) is too far from the module: {broken}{blame}")
        return
    raise AnelabError(
        f"{measured.file} ({measured.executor}) does not match the trained module: {broken}\n{measured.examples}"
    )


def _blame(measured: Measured, config: WorkloadConfig, folder: Path, test: Split) -> str:
    """The operator that loses the numbers, where 16 bits do."""
    artifact, coreml = measured.artifact, config.export.coreml
    if artifact.variant != HALF or not artifact.primary or coreml is None:
        return ""
    worst = measured.parity.worst_rows[0]
    row = {name: array[worst : worst + 1] for name, array in test.inputs[artifact.graph.name].items()}
    return f"; {find_blame(folder / artifact.file, row, coreml.fp16_tolerance.max_absolute).advice()}"
