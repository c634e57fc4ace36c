"""Where a model's files are: of a registered version, of an export, or a single file."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anelab.errors import AnelabError, DamagedFileError, UsageError
from anelab.export.formats import FORMAT_OF_SUFFIX, format_of
from anelab.export.manifest_file import MANIFEST, read_manifest
from anelab.files import inside, path_digest
from anelab.tracking.reference import FORMS, SUFFIXES, parse_reference
from anelab.workspace import Workspace

AGAIN = "copy the folder again, run `anelab sync`, or `anelab export` again"


@dataclass(frozen=True)
class Location:
    """`folder` holds the files; `single` is the only one that is meant, if one is. `manifest` is empty where there is
    none. `name` is what messages call the model. `failed_gates`: reasons by the gates that hold a registered
    version back."""

    name: str
    folder: Path
    manifest: Mapping[str, Any] = field(default_factory=dict)
    single: Path | None = None
    failed_gates: Mapping[str, str] = field(default_factory=dict)

    def file(self, format: str | None = None, graphs: tuple[str, ...] = ("model",), file: str | None = None) -> Path:
        """The file to open: the one of that name, or the model itself, of the first of `graphs` that has one.

        Raises UsageError if there is no such file, AnelabError if its content differs from the manifest.
        """
        if self.single is not None:
            if file not in (None, self.single.name):
                raise UsageError(f"{self.name} is a single file; --file chooses one of an export's folder or a version")
            return _of_format(self.single, self.name, format)
        chosen = self._named(file) if file else self._primary(format, graphs)
        if not (self.folder / chosen).exists():
            raise AnelabError(f"{self.folder / chosen}: is missing, but {MANIFEST} lists it; {AGAIN}")
        path = inside(self.folder, chosen)
        if path_digest(path) != self.manifest["files"][chosen]["sha256"]:
            raise AnelabError(f"{path}: is not the file that {MANIFEST} lists; {AGAIN}")
        return path

    def _named(self, file: str) -> str:
        if file not in self.manifest["files"]:
            raise UsageError(f"{self.name} has no file {file}; it has {', '.join(self.manifest['files'])}")
        return file

    def _primary(self, format: str | None, graphs: tuple[str, ...]) -> str:
        """The first of `graphs`, of the first format, that has a file: the one that is called after it, such as
        model.onnx, before other variants of it."""
        formats = [format] if format else list(FORMAT_OF_SUFFIX.values())
        for kind in formats:
            for graph in graphs:
                found = [
                    str(name)
                    for name, entry in self.manifest["files"].items()
                    if (entry["format"], entry["graph"]) == (kind, graph) and (entry["primary"] or graph != "model")
                ]
                if found:
                    return min(found, key=lambda name: (Path(name).stem != graph, found.index(name)))
        raise UsageError(f"{self.name} has no {' or '.join(formats)} model; it has {', '.join(self.manifest['files'])}")


def _of_format(path: Path, name: str, format: str | None) -> Path:
    if format is not None and format_of(path) != format:
        suffix = next(suffix for suffix, kind in FORMAT_OF_SUFFIX.items() if kind == format)
        raise UsageError(f"{name}: is not a {suffix} file; give one, or a registered version that has one")
    return path


@contextmanager
def located(workspace: Callable[[], Workspace], reference: str) -> Iterator[Location]:
    """Where the model that `reference` names is, for as long as the block lasts. The workspace is asked for only if it
    is a registered one. Raises UsageError if nothing has that name, AnelabError if files are gone or damaged."""
    found = parse_reference(reference)
    if isinstance(found, Path):
        yield _of_path(found)
        return
    from anelab.tracking.lookup import version_files

    with version_files(workspace(), found) as files:
        yield Location(str(found), files.folder, _manifest(files.folder), failed_gates=files.failed_gates)


@contextmanager
def opened_package(workspace: Callable[[], Workspace], reference: str) -> Iterator[Path]:
    """The Core ML package that `reference` names, for as long as the block lasts. Raises as `located` does."""
    with located(workspace, reference) as place:
        yield place.file("coreml")


def _of_path(path: Path) -> Location:
    if path.suffix in SUFFIXES:
        if not path.exists():
            raise UsageError(f"{path}: is not there; a model is {FORMS}, the folder of an export, or a single file")
        return Location(str(path), path.parent, _manifest_beside(path), single=path)
    if path.is_dir():
        return Location(str(path), path, _manifest(path))
    what = "is not a file of a model" if path.exists() else "is not there"
    raise UsageError(
        f"{path}: {what}; a model is {FORMS}, the folder of an export (it holds {MANIFEST}), or a single file that "
        f"ends in {', '.join(SUFFIXES)}"
    )


def _manifest(folder: Path) -> Mapping[str, Any]:
    if not (folder / MANIFEST).is_file():
        raise AnelabError(
            f"{folder}: holds no {MANIFEST}; give the folder of an export, or a file in it; for a registered model of "
            f"that name write models:/{folder.name}"
        )
    try:
        return read_manifest(folder)
    except DamagedFileError as error:
        raise AnelabError(f"{error}; {AGAIN}") from None
    except OSError as error:
        raise AnelabError(f"{folder / MANIFEST}: cannot be read ({error.strerror}); {AGAIN}") from None


def _manifest_beside(path: Path) -> Mapping[str, Any]:
    """The manifest beside a single file, if there is one that lists it. Raises AnelabError if it lists another of that
    name."""
    try:
        found: Mapping[str, Any] = _manifest(path.parent)
    except AnelabError:
        return {}
    entry = found["files"].get(path.name)
    if entry and entry["sha256"] != path_digest(path):
        raise AnelabError(f"{path}: is not the file that {MANIFEST} beside it lists; {AGAIN}, or move it elsewhere")
    return found if entry else {}
