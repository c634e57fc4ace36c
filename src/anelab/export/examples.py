"""Rows of the real test set that go with a model, and what the trained module makes of them: enough to prove
and to time the model's files on a machine that has neither the data nor the module."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anelab.errors import AnelabError
from anelab.files import replacing
from anelab.learning.arrays import check_unpacked
from anelab.learning.base import Array, Arrays, Graph, Split

EXAMPLES = "examples.npz"
ROWS = 256


@dataclass(frozen=True)
class Examples:
    """`expected` are the trained module's outputs, by graph, for the rows of `split`. What belongs to the test set as
    a whole stays there: `whole` says whether the rows mean the same without it."""

    split: Split
    expected: Mapping[str, Arrays]
    whole: bool = True

    def write(self, path: Path) -> None:
        """Equal examples give equal bytes."""
        arrays: dict[str, Array] = {f"target/{name}": array for name, array in self.split.targets.items()}
        arrays |= {"groups": self.split.groups, "whole": np.array(self.whole)}
        for kind, by_graph in (("input", self.split.inputs), ("expected", self.expected)):
            for graph, named in by_graph.items():
                arrays |= {f"{kind}/{graph}/{name}": array for name, array in named.items()}
        with replacing(path) as draft:
            np.savez_compressed(draft, **arrays)  # type: ignore[arg-type]  # the stub takes a name for an option


def choose_examples(test: Split, expected: Callable[[Graph, Split], Arrays], graphs: tuple[Graph, ...]) -> Examples:
    """Up to ROWS rows, evenly spread over the test set."""
    rows = np.unique(np.linspace(0, len(test) - 1, min(ROWS, len(test))).astype(np.int64))
    chosen = test.take(rows)
    outputs = {graph.name: expected(graph, chosen) for graph in graphs}
    return Examples(chosen, outputs, whole=test.context is None)


def read_examples(path: Path) -> Examples:
    """Raises AnelabError if the file is not there or damaged."""
    inputs: dict[str, dict[str, Array]] = {}
    expected: dict[str, dict[str, Array]] = {}
    targets: dict[str, Array] = {}
    try:
        check_unpacked(path)
        with np.load(path, allow_pickle=False) as loaded:
            for key in loaded.files:
                kind, *where = key.split("/")
                if kind == "target":
                    targets[where[0]] = loaded[key]
                elif where:
                    {"input": inputs, "expected": expected}[kind].setdefault(where[0], {})[where[1]] = loaded[key]
            return Examples(Split(inputs, targets, loaded["groups"]), expected, bool(loaded["whole"]))
    except FileNotFoundError:
        raise AnelabError(
            f"{path}: there are no example rows; export the model again (`anelab export`), with export.ship_examples "
            "if it is to be measured on other machines"
        ) from None
    except Exception as error:  # NumPy lets through what zipfile and zlib raise
        raise AnelabError(f"{path}: is damaged ({type(error).__name__}); export the model again") from None
