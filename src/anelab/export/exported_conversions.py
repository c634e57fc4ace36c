"""Programs of torch.export converted to ONNX and Core ML."""

import io
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from torch.utils import _pytree as pytree

from anelab.errors import AnelabError
from anelab.export.coreml import LADDER, Converter, fixed_size
from anelab.export.exported_program import ExportedProgram, first_line
from anelab.learning.base import Arrays, Graph, Tensor
from anelab.learning.config import CoreMLConfig

OPSET = 17


class _Positional(torch.nn.Module):
    """The program as a module of tensors in, tensors out, for converters."""

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__()
        self.module, self.spec = program.module, program.program.call_spec.in_spec

    def forward(self, *tensors: torch.Tensor) -> Any:
        arguments, named = pytree.tree_unflatten(list(tensors), self.spec)
        leaves = tuple(one for one in pytree.tree_leaves(self.module(*arguments, **named)) if torch.is_tensor(one))
        return leaves if len(leaves) > 1 else leaves[0]

    def train(self, mode: bool = True) -> "_Positional":
        """An exported program is of one mode for good, and refuses to be told."""
        return self


def write_onnx(program: ExportedProgram, call: Arrays, target: Path) -> None:
    """For calls of that shape. Raises AnelabError if it cannot be converted."""
    found = program(call)
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Positional(program),
                program.tensors(call),
                buffer,  # type: ignore[arg-type]
                opset_version=OPSET,
                dynamo=False,
                input_names=[name for name, _, _ in program.inputs],
                output_names=list(found),
            )
    except Exception as error:  # torch raises whatever it likes
        raise AnelabError(f"torch cannot write it as ONNX: {first_line(error)}") from None
    onnx.save(onnx.load_model_from_string(buffer.getvalue()), target)


def write_package(program: ExportedProgram, call: Arrays, target: Path) -> None:
    """In 16 bits, for calls of that shape, by the first way that converts it. Raises AnelabError if none does."""
    found = program(call)
    graph = Graph("model", _tensors(call), _tensors(found))
    module = _Positional(program)
    converter = Converter({"fp16": module}, graph, CoreMLConfig(), {"workload": program.path.stem})
    reasons = []
    for rung in LADDER:
        try:
            converter.write(target, rung, fixed_size(graph), "fp16")
            return
        except Exception as error:  # coremltools and torch raise whatever they like
            reasons.append(f"{rung[0]}: {first_line(error)}")
    raise AnelabError(f"no way to Core ML works: {'; '.join(reasons)}")


def _tensors(arrays: Arrays) -> tuple[Tensor, ...]:
    return tuple(Tensor(name, str(array.dtype), tuple(array.shape)) for name, array in arrays.items())
