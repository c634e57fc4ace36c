"""Programs that torch.export.save wrote, from their files."""

import logging
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from anelab.errors import AnelabError
from anelab.learning.base import Arrays
from anelab.texts import printable

Facts = tuple[str, str, tuple[int | None, ...]]


class ExportedProgram:
    """Arrays by name in, arrays by name out; outputs are called output, or output_0, output_1, ..."""

    def __init__(self, path: Path, program: Any) -> None:
        self.path, self.program = path, program
        self.module = program.module()
        self.inputs = _inputs(path, program)

    @torch.inference_mode()
    def __call__(self, arrays: Arrays) -> Arrays:
        """Raises AnelabError if torch does."""
        try:
            return self.named(self.run(self.tensors(arrays)))
        except Exception as error:  # an operator may raise anything
            raise AnelabError(f"{self.path}: torch cannot run it on these inputs: {first_line(error)}") from None

    def tensors(self, arrays: Arrays) -> tuple[torch.Tensor, ...]:
        return tuple(torch.from_numpy(np.ascontiguousarray(arrays[name])) for name, _, _ in self.inputs)

    def run(self, tensors: tuple[torch.Tensor, ...]) -> Any:
        arguments, named = pytree.tree_unflatten(list(tensors), self.program.call_spec.in_spec)
        return self.module(*arguments, **named)

    def named(self, found: Any) -> Arrays:
        values = [value.numpy() for value in pytree.tree_leaves(found) if isinstance(value, torch.Tensor)]
        return dict(zip(_output_names(len(values)), values, strict=True))

    def description(self) -> dict[str, Any]:
        kinds = Counter(str(node.target) for node in self.program.graph.nodes if node.op == "call_function")
        count = sum(value.numel() for value in self.program.state_dict.values())
        return {"operators": dict(sorted(kinds.items())), "parameters": count}


@contextmanager
def _silent() -> Iterator[None]:
    """torch logs and warns before it raises."""
    logger = logging.getLogger("torch.export")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def open_program(path: Path) -> ExportedProgram:
    """Raises AnelabError if torch cannot load it, or it takes other things than tensors."""
    try:
        with _silent():
            return ExportedProgram(path, torch.export.load(path))
    except AnelabError:
        raise
    except Exception as error:  # torch, zipfile and pickle raise without a common base
        raise AnelabError(
            f"{path}: is not a program of torch.export.save that torch {torch.__version__} loads: {first_line(error)}"
        ) from None


def _inputs(path: Path, program: Any) -> list[Facts]:
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    found: list[Facts] = []
    for name in program.graph_signature.user_inputs:
        value = values.get(name)
        if not isinstance(value, torch.Tensor):
            raise AnelabError(f"{path}: its input {name} is no tensor; export a program of tensors only")
        shape = tuple(int(size) if isinstance(size, int) else None for size in value.shape)
        found.append((str(name), str(value.dtype).removeprefix("torch."), shape))
    return found


def _output_names(count: int) -> list[str]:
    return ["output"] if count == 1 else [f"output_{number}" for number in range(count)]


def first_line(error: Exception) -> str:
    return printable(str(error).strip().partition("\n")[0][:200]) or type(error).__name__
