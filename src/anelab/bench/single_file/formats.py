"""Model files that are timed alone: what they take, what they answer, and the folder that arms run them from."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anelab.bench.single_file.calls import Calls, Port
from anelab.errors import AnelabError
from anelab.export.formats import format_of
from anelab.files import linked, path_digest, path_size
from anelab.learning.base import Arrays

Answer = Callable[[Arrays], Arrays]
"""Of one call: arrays by name in, arrays by name out."""


class ModelFile(ABC):
    """An opened file. `reference` says what computes the answers that arms are judged by."""

    reference: str

    def __init__(self, path: Path) -> None:
        self.path = path
        self.remarks: list[str] = []

    @property
    @abstractmethod
    def ports(self) -> list[Port]:
        """The inputs."""

    @abstractmethod
    def answer(self, arrays: Arrays) -> Arrays: ...

    @abstractmethod
    def write_into(self, folder: Path, calls: Calls) -> dict[str, dict[str, Any]]:
        """The files that arms run, written into the folder; their entries in the manifest, by name."""

    def expected(self, calls: Calls) -> Arrays:
        """[calls, ...] by output."""
        count = len(next(iter(calls.arrays.values())))
        found = [self.answer({name: array[call, ...] for name, array in calls.arrays.items()}) for call in range(count)]
        return {name: np.stack([np.asarray(one[name]) for one in found]) for name in found[0]}


def opened_file(path: Path) -> ModelFile:
    """Raises AnelabError if it cannot be read."""
    found: dict[str, Callable[[Path], ModelFile]] = {"onnx": OnnxFile, "coreml": CoreMLFile, "pt2": ExportedFile}
    return found[format_of(path)](path)


def entry_of(path: Path, source: Path, variant: str, described: dict[str, Any]) -> dict[str, Any]:
    """`described`: what the format tells. The digest is the source's, which its owner knows."""
    return {
        "format": format_of(path),
        "graph": "model",
        "primary": True,
        "sha256": path_digest(source),
        "size_bytes": path_size(source),
        "variant": variant,
        **described,
    }


class OnnxFile(ModelFile):
    reference = "ONNX Runtime on the CPU, one thread"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        from anelab.export.runtime import SessionPlan, open_session, session_ports

        self._session = open_session(path, SessionPlan())
        self._ports = [Port(*facts) for facts in session_ports(self._session, path)[0]]
        self._outputs = [item.name for item in self._session.get_outputs()]

    @property
    def ports(self) -> list[Port]:
        return self._ports

    def answer(self, arrays: Arrays) -> Arrays:
        from anelab.export.runtime import errors_of

        with errors_of(self.path, "run it on these inputs"):
            return dict(zip(self._outputs, self._session.run(self._outputs, dict(arrays)), strict=True))

    def write_into(self, folder: Path, calls: Calls) -> dict[str, dict[str, Any]]:
        """With the calls' own shapes fixed, which Core ML's provider wants, for every arm alike."""
        from anelab.export.coreml_provider.partitions import inspect_onnx
        from anelab.export.onnx_shapes import describe_onnx, write_fixed

        target = folder / self.path.name
        write_fixed(self.path, calls.shapes, target)
        described = describe_onnx(target)
        self.remarks.append(f"predicted, on a Mac: {inspect_onnx(target, 1).verdict} (`anelab model lint` says why)")
        return {target.name: entry_of(target, self.path, described.pop("variant"), described)}


class CoreMLFile(ModelFile):
    reference = "the evaluator of ML programs, in the package's own types"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        from anelab.export.mil.evaluator import Evaluator

        self._evaluator = Evaluator(path)

    @property
    def ports(self) -> list[Port]:
        types = {"fp16": "float32", "fp32": "float32", "fp64": "float64"}
        return [Port(one.name, types.get(one.dtype, "int32"), one.shape) for one in self._evaluator.inputs]

    def answer(self, arrays: Arrays) -> Arrays:
        return self._evaluator(arrays)

    def write_into(self, folder: Path, calls: Calls) -> dict[str, dict[str, Any]]:
        target = folder / self.path.name
        shutil.copytree(self.path, target, copy_function=linked)
        return {target.name: _package_entry(target, self.path)}


def _package_entry(path: Path, source: Path) -> dict[str, Any]:
    from anelab.export.manifest import DESCRIBED

    described = DESCRIBED["coreml"](path)
    variant = "fp32" if described["precision"] == "fp32" else "fp16"
    return entry_of(path, source, variant, described)


class ExportedFile(ModelFile):
    """Of torch.export.save. Also timed as ONNX and as a Core ML package, where it can be converted."""

    reference = "the exported program by torch"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        from anelab.export.exported_program import open_program

        self._program = open_program(path)

    @property
    def ports(self) -> list[Port]:
        return [Port(*facts) for facts in self._program.inputs]

    def answer(self, arrays: Arrays) -> Arrays:
        return self._program(arrays)

    def write_into(self, folder: Path, calls: Calls) -> dict[str, dict[str, Any]]:
        from anelab.export.exported_conversions import write_onnx, write_package

        entries = {self.path.name: entry_of(self.path, self.path, "fp32", self._program.description())}
        linked(self.path, folder / self.path.name)
        first = {name: array[0, ...] for name, array in calls.arrays.items()}
        converted: Sequence[tuple[str, Callable[..., None], Callable[[Path], dict[str, Any]]]] = (
            ("model.onnx", write_onnx, _onnx_entry),
            ("model.mlpackage", write_package, lambda made: _package_entry(made, made)),
        )
        for name, write, entry in converted:
            try:
                write(self._program, first, folder / name)
            except AnelabError as error:
                self.remarks.append(f"not timed as {name}: {error}")
                continue
            entries[name] = entry(folder / name)
        return entries


def _onnx_entry(path: Path) -> dict[str, Any]:
    from anelab.export.onnx_shapes import describe_onnx

    described = describe_onnx(path)
    return entry_of(path, path, described.pop("variant"), described)
