"""Core ML packages on the command line: where one is, and the rows it is fed."""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anelab.errors import AnelabError, UsageError
from anelab.files import replacing
from anelab.workspace import Workspace

if TYPE_CHECKING:
    from anelab.learning.base import Array, Arrays

REGISTERED = re.compile(r"(?P<model>[\w.-]+-coreml)(@(?P<alias>\w+)|/(?P<version>\d+))?")


@contextmanager
def opened_package(workspace: Workspace, reference: str) -> Iterator[Path]:
    """The path of a package: `reference` itself, or, for as long as the block lasts, a registered version's
    (mnist-coreml@champion, mnist-coreml/3). Raises UsageError if it is neither."""
    path, match = Path(reference), REGISTERED.fullmatch(reference)
    if path.exists() or not match:
        if not (path / "Manifest.json").is_file():
            allowed = "a .mlpackage, or a registered Core ML model like mnist-coreml@champion or mnist-coreml/3"
            absent = ", which is not there" if path.suffix == ".mlpackage" and not path.exists() else ""
            raise UsageError(f"PKG must be {allowed}, but got {reference}{absent}")
        yield path
        return
    from anelab.tracking.models import MAIN_FILES, download, resolve
    from anelab.tracking.store import open_store

    store = open_store(workspace)
    version = resolve(store, match["model"], match["alias"] or match["version"] or "champion")
    with tempfile.TemporaryDirectory() as scratch:
        yield download(store, version, Path(scratch)) / MAIN_FILES["coreml"]


def read_rows(path: Path, inputs: Sequence[str]) -> "dict[str, Array]":
    """Arrays by input name from a .npz, or the one input's from a .npy.

    Raises UsageError if the file is none of the two, or its names are not `inputs`.
    """
    import numpy as np

    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = {inputs[0]: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except FileNotFoundError:
        raise UsageError(f"--input {path}: there is no such file") from None
    except Exception as error:  # NumPy lets through what zipfile, zlib and tokenize raise
        raise UsageError(
            f"--input {path}: is no .npz or .npy of numbers, or damaged ({type(error).__name__})"
        ) from None
    if sorted(arrays) != sorted(inputs):
        asked = f"np.savez({path.stem!r}, {', '.join(f'{name}=...' for name in inputs)}) writes one"
        raise UsageError(
            f"--input {path}: has the arrays {', '.join(sorted(arrays)) or 'none'}, but the package takes "
            f"{', '.join(inputs)}; {asked}"
        )
    if any(array.ndim == 0 or array.dtype.kind not in "fiub" for array in arrays.values()):
        raise UsageError(f"--input {path}: every array must be of numbers, with one axis at least")
    return arrays


def check_output(path: Path | None) -> None:
    """Raises UsageError if the name does not end in .npz."""
    if path is not None and path.suffix != ".npz":
        raise UsageError(f"--output must end in .npz but got {path}")


Classes = Mapping[str, Sequence[str]]
"""A classifier's classes in the order of their probabilities, by the output that holds these."""


def with_classes(outputs: "Arrays", classes: Classes) -> "dict[str, Array]":
    """The outputs, and beside probabilities an array of their classes, named OUTPUT.classes."""
    import numpy as np

    return {**outputs, **{f"{name}.classes": np.array(names) for name, names in classes.items()}}


def labelled(array: "Array", classes: Sequence[str] | None) -> list[Any]:
    """An output for JSON: a dictionary for every row of probabilities."""
    if classes is None:
        return list(array.tolist())
    return [dict(zip(classes, row, strict=True)) for row in array.tolist()]


def outputs_as_text(outputs: "Arrays", classes: Classes) -> str:
    """Name, dtype, shape, the classes where there are some, and the values of each output."""
    lines = []
    for name, array in outputs.items():
        named = f": {', '.join(classes[name])}" if name in classes else ""
        lines += [f"{name} {array.dtype} {array.shape}{named}", str(array)]
    return "\n".join(lines)


def write_rows(path: Path, arrays: "Arrays") -> None:
    """Outputs by name as .npz. Raises AnelabError if the file cannot be written."""
    import numpy as np

    try:
        with replacing(path) as draft:
            np.savez(draft, **arrays)  # type: ignore[arg-type]  # the stub takes a name for an option
    except OSError as error:
        raise AnelabError(f"{path}: cannot be written ({error.strerror or error})") from None
