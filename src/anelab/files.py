"""Files that are whole or absent: written under a temporary name, then renamed. Standard library only."""

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anelab.errors import DamagedFileError
from anelab.names import FILE, fits
from anelab.texts import MOST_BYTES, parse_json, printable

CACHED = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?$")
"""An object of DVC's cache, which may be set to link files instead of copying them."""

_drafts = set[Path]()
os.register_at_fork(after_in_child=_drafts.clear)


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary path beside `target` that takes its place, file or folder, if the block succeeds.

    Raises IsADirectoryError if a file would take a folder's place, and OSError if anything would take that of a device
    or a pipe: nobody means that."""
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise OSError(errno.EINVAL, "is a device or a pipe; name a file", str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    holder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    _drafts.add(holder)
    try:
        draft = holder / target.name
        yield draft
        _swap(draft, target, holder / "old")
    finally:
        shutil.rmtree(holder, ignore_errors=True)
        _drafts.discard(holder)


def remove_drafts() -> None:
    """What is half written, by a process that ends at once."""
    for holder in list(_drafts):
        shutil.rmtree(holder, ignore_errors=True)


def _swap(draft: Path, target: Path, old: Path) -> None:
    if not target.is_dir() or target.is_symlink():
        draft.replace(target)
        return
    if not draft.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder; name a file", str(target))
    target.replace(old)
    try:
        draft.replace(target)
    except BaseException:
        old.replace(target)
        raise


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Like `replacing`, for a folder that exists and is empty when the block begins."""
    with replacing(target) as draft:
        draft.mkdir()
        yield draft


def write_text(target: Path, text: str) -> None:
    with replacing(target) as draft:
        draft.write_text(text, encoding="utf-8")


def json_text(value: Any, indent: int | None = None, ascii_only: bool = False) -> str:
    """JSON of a value, which may hold NumPy's numbers: sorted keys, no NaN. Raises TypeError for what is no JSON, and
    ValueError for NaN and infinity."""
    return json.dumps(value, sort_keys=True, indent=indent, ensure_ascii=ascii_only, allow_nan=False, default=_number)


def _number(value: Any) -> Any:
    """A NumPy scalar as Python's own."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{value!r:.80} is a {type(value).__name__}, which JSON does not have")


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: as `json_text`, with an indent of two spaces, and a newline at the end."""
    return json_text(value, indent=2) + "\n"


def write_json(target: Path, value: Any) -> None:
    write_text(target, canonical_json(value))


def read_json(path: Path) -> Any:
    """The file's content. Raises DamagedFileError if it is no JSON, or beyond the bounds of `parse_json`; absence stays
    FileNotFoundError."""
    try:
        return load_json(path)
    except ValueError as error:
        raise DamagedFileError(f"{path}: is damaged, it holds no JSON ({error}); make it again or restore it") from None


def load_json(path: Path) -> Any:
    """As `read_json`, but for ValueError with the reason alone."""
    with path.open("rb") as handle:
        return parse_json(handle.read(MOST_BYTES + 1))


def sha256_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, algorithm).hexdigest()


def path_digest(path: Path) -> str:
    """sha256 of a file, or of a folder's files with their names."""
    if path.is_file():
        return file_digest(path)
    files = {file.relative_to(path).as_posix(): file_digest(file) for file in path.rglob("*") if file.is_file()}
    return sha256_text(canonical_json(files))


def inside(folder: Path, name: str) -> Path:
    """The file or folder of that name in `folder`. Raises DamagedFileError if it is, or has in it, a link that leads
    out of the folder, or what is no file, such as a device."""
    path = folder / name
    if not fits(FILE, name):
        raise DamagedFileError(f"{folder}: {printable(name, 80)!r} is not a plain file name")
    check_members(path, folder)
    return path


def check_members(path: Path, folder: Path | None = None) -> None:
    """Raises DamagedFileError if `path`, or anything in it, is a link that leads out of `folder` (default: of `path`),
    or is no file, such as a device. Links into DVC's cache are what they stand for."""
    home = (folder or path).resolve()
    if folder is not None:
        _check_member(path, home)
    for place, folders, files in os.walk(path):
        for name in (*folders, *files):
            _check_member(Path(place, name), home)


def _check_member(path: Path, home: Path) -> None:
    try:
        target = path.resolve(strict=True)
        kind = target.stat().st_mode
    except (OSError, RuntimeError):  # a link in circles
        raise DamagedFileError(f"{path}: cannot be followed") from None
    if path.is_symlink() and not target.is_relative_to(home) and not CACHED.search(target.as_posix()):
        raise DamagedFileError(f"{path}: is a link that leads out of {home.name}; put the file itself there")
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise DamagedFileError(f"{path}: is no file, but a device or a pipe; put a file there")


def damaged_files(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Files of a manifest that are missing in `folder` or have another sha256."""
    listed = {**manifest["files"], **manifest["companions"]}
    return [
        name
        for name, entry in listed.items()
        if not (folder / name).exists() or path_digest(inside(folder, name)) != entry["sha256"]
    ]


def copy_path(source: Path, target: Path) -> None:
    """Copy a file, or a folder with all that is in it; folders above are made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def path_size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def dvc_md5(path: Path) -> str:
    """The md5 by which DVC knows a file or folder (a folder's ends in '.dir'), as in dvc.lock."""
    if path.is_file():
        return file_digest(path, "md5")
    entries = [
        {"md5": file_digest(file, "md5"), "relpath": file.relative_to(path).as_posix()}
        for file in path.rglob("*")
        if file.is_file() and not any(_ignored(part) for part in file.relative_to(path).parts)
    ]
    entries.sort(key=lambda entry: entry["relpath"])
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode()).hexdigest() + ".dir"


def _ignored(part: str) -> bool:
    """What .dvcignore leaves out."""
    return part == "__pycache__" or part.startswith(".")


def linked(source: Path | str, target: Path | str) -> None:
    """The same file at another place, which must only be read; a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
