"""Rows on the command line: arrays by input name read from files, outputs written to them."""

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from anelab.errors import AnelabError, UsageError
from anelab.texts import MOST_LINE, check_standard_output, printable

if TYPE_CHECKING:
    from anelab.learning.base import Array, Arrays

OUT_HELP = "File for the outputs: .npz, or .npy if there is one output. - is standard output, as .npz."
STANDARD_STREAM = "-"


def read_rows(path: Path | str, inputs: Sequence[str], option: str = "--input") -> "dict[str, Array]":
    """Arrays by input name from a .npz, or the one input's from a .npy; "-" is standard input.

    Raises UsageError if the file is none of the two, or its names are not `inputs`.
    """
    import numpy as np

    from anelab.learning.arrays import check_unpacked

    where = f"{option} {path}"
    try:
        source = _opened(path)
        check_unpacked(source)
        if isinstance(source, io.BytesIO):
            source.seek(0)
        loaded = np.load(source, allow_pickle=False)
        arrays = {inputs[0]: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except FileNotFoundError:
        raise UsageError(f"{where}: there is no such file") from None
    except Exception as error:  # NumPy lets through what zipfile, zlib and tokenize raise
        reason = f"{type(error).__name__}: {printable(error, 100)}"
        raise UsageError(f"{where}: is not an .npz or .npy of numbers, or is damaged ({reason})") from None
    if sorted(arrays) != sorted(inputs):
        asked = f"np.savez('rows', {', '.join(f'{name}=...' for name in inputs)}) writes one"
        raise UsageError(
            f"{where}: has the arrays {', '.join(sorted(arrays)) or 'none'}, but the model takes "
            f"{', '.join(inputs)}; {asked}"
        )
    if any(array.ndim == 0 or array.dtype.kind not in "fiub" for array in arrays.values()):
        raise UsageError(f"{where}: every array must be of numbers, with one axis at least")
    return arrays


def read_rows_of(package: Path, path: Path | None, inputs: list[str]) -> "Arrays":
    """The rows of a file, or, if none is named, the example rows beside a package. Raises UsageError where there are
    none that fit."""
    if path is not None:
        return read_rows(path, inputs)
    from anelab.export.examples import EXAMPLES, read_examples

    beside = package.parent / EXAMPLES
    if not beside.is_file():
        raise UsageError(f"{package}: has no example rows beside it ({EXAMPLES}); give rows with --input")
    by_graph = read_examples(beside).split.inputs.values()
    found = next((named for named in by_graph if sorted(named) == sorted(inputs)), None)
    if found is None:
        raise UsageError(f"{beside}: has no rows for {', '.join(inputs)}; give rows with --input")
    return found


def _opened(path: Path | str) -> Path | io.BytesIO:
    """NumPy looks for the end of a .npz, which a pipe does not have."""
    return io.BytesIO(sys.stdin.buffer.read()) if str(path) == STANDARD_STREAM else Path(path)


def check_out(path: Path | None, outputs: Sequence[str] = ()) -> None:
    """Raises UsageError if `write_outputs` cannot write into it: what outputs the model has, if they are known."""
    if path is None or str(path) == STANDARD_STREAM:
        return
    if path.suffix not in (".npz", ".npy"):
        raise UsageError(f"--out must end in .npz or .npy, or be {STANDARD_STREAM}, but got {path}")
    if path.suffix == ".npy" and len(outputs) > 1:
        raise UsageError(f"{path}: holds one output, but the model has {', '.join(outputs)}; name an .npz")


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
        lines += [printable(f"{name} {array.dtype} {array.shape}{named}", MOST_LINE), str(array)]
    return "\n".join(lines)


def write_outputs(path: Path, arrays: "Arrays") -> None:
    """Outputs by name as .npz, or one output as .npy; "-" is standard output. Raises AnelabError if the file cannot be
    written, UsageError if several outputs are to go into one .npy."""
    import numpy as np

    check_out(path, list(arrays))
    if path.suffix == ".npy":
        _write(path, lambda handle: np.save(handle, next(iter(arrays.values()))))
    else:
        _write(path, lambda handle: _save_all(handle, arrays))


def _save_all(handle: IO[bytes], arrays: "Arrays") -> None:
    """As np.savez does, which takes some names for its own options. Raises AnelabError for a name that leads elsewhere
    when somebody unpacks the file."""
    import zipfile

    import numpy as np

    with zipfile.ZipFile(handle, "w") as archive:
        for name, array in arrays.items():
            if ".." in name.split("/") or "\\" in name or "\0" in name:
                raise AnelabError(f"the output {printable(name, 80)} cannot be the name of an array in an .npz")
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)  # type: ignore[no-untyped-call]


def _write(path: Path, save: Callable[[IO[bytes]], None]) -> None:
    if str(path) == STANDARD_STREAM:
        buffer = io.BytesIO()
        save(buffer)
        check_standard_output()
        sys.stdout.buffer.write(buffer.getvalue())
        sys.stdout.buffer.flush()
        return
    from anelab.files import replacing

    try:
        with replacing(path) as draft, draft.open("wb") as handle:
            save(handle)
    except OSError as error:
        raise AnelabError(f"{path}: cannot be written ({error.strerror or error})") from None
