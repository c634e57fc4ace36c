"""The user's data files: paths, folders, globs and addresses in `<workload>.data.source`. Standard library only."""

import glob
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from anelab.errors import AnelabError, warn
from anelab.files import file_digest, read_json, replacing, write_json

SIMULATE = "simulate"
TIMEOUT_S = 60


def is_address(source: str) -> bool:
    return "://" in source


def file_name(address: str) -> str:
    """The name under which an address is stored."""
    return address.partition("#")[0].partition("?")[0].rstrip("/").rpartition("/")[2]


def expand(sources: Iterable[str], project: Path, key: str, or_simulate: bool = True) -> list[Path]:
    """Every file that `sources` name, in their order; a folder means the files in it, sorted.

    Relative paths start at the project; in a queued experiment's scratch copy, at the real project
    for what the copy lacks. Warns of folders in a folder. Raises AnelabError, naming `key`, for a
    pattern that matches nothing; `or_simulate`: the message also offers simulated data.
    """
    found = [path for source in sources for path in _matches(source, project, key, or_simulate)]
    return list(dict.fromkeys(found))


def _matches(pattern: str, project: Path, key: str, or_simulate: bool) -> list[Path]:
    roots = [project, *([Path(os.environ["DVC_ROOT"])] if "DVC_ROOT" in os.environ else [])]
    given = os.path.expanduser(pattern)  # noqa: PTH111  Path.expanduser raises for an unknown user
    for root in roots:
        literal = root / given
        hits = [literal] if literal.exists() else _glob(root, given)
        files = [file for hit in hits for file in _files(hit)]
        if files:
            _warn_of_folders(literal, key)
            return files
    raise AnelabError(
        f"{key}: {pattern!r} matches no file, looked for from {project}; "
        f"give a path, a folder or a glob that exists{f', or {SIMULATE}' if or_simulate else ''}"
    )


def _glob(root: Path, pattern: str) -> list[Path]:
    return [root / hit for hit in sorted(glob.glob(pattern, root_dir=root, recursive=True))]


def _files(path: Path) -> list[Path]:
    """The file, or the files of a folder. Warns of what is neither a file nor a folder."""
    inside = sorted(p for p in path.iterdir() if not p.name.startswith(".")) if path.is_dir() else [path]
    for odd in (p for p in inside if not p.is_file() and not p.is_dir()):
        what = "a broken link" if odd.is_symlink() else "no file; what is named by itself is read"
        warn(f"{odd}: is skipped: it is {what}")
    return [p for p in inside if p.is_file()]


def _warn_of_folders(path: Path, key: str) -> None:
    if not path.is_dir():
        return
    inside = sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    if inside:
        named = ", ".join(inside[:3]) + (", ..." if len(inside) > 3 else "")
        warn(f"{key}: the folders in {path} are not read ({named}); name them, or their files by a glob")


def fetch(address: str, folder: Path) -> Path:
    """Download 'https://host/file#sha256=...' (or #md5=...) into `folder`.

    Raises AnelabError without a checksum, if the download fails, or if the content is another one.
    """
    import urllib.request  # slow, and few sources are addresses
    from http.client import HTTPException

    url, _, fragment = address.partition("#")
    algorithm, _, wanted = fragment.partition("=")
    if algorithm not in ("sha256", "md5") or not wanted:
        raise AnelabError(f"{address}: an address needs its checksum: {url}#sha256=... or {url}#md5=...")
    target = folder / file_name(address)
    if target.exists():
        raise AnelabError(f"{address}: another address gives a file of the same name, {target.name}")
    try:
        with (
            replacing(target) as draft,
            urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer,
            draft.open("wb") as out,
        ):
            shutil.copyfileobj(answer, out)
    except (OSError, ValueError, HTTPException) as error:
        raise AnelabError(f"{url}: cannot be fetched ({error})") from None
    if (found := file_digest(target, algorithm)) != wanted.lower():
        target.unlink()
        raise AnelabError(f"{url}: its {algorithm} is {found}, but {wanted} was expected")
    return target


def manifest(files: list[Path], addresses: list[str], cache: Path) -> dict[str, Any]:
    """Name, size and sha256 of each file, without folders: moving the data changes nothing."""
    return {
        "addresses": addresses,
        "files": [
            {"name": path.name, "sha256": digest, "size_bytes": path.stat().st_size}
            for path, digest in zip(files, _digests(files, cache), strict=True)
        ],
        "simulated": not files and not addresses,
    }


def _digests(files: list[Path], cache: Path) -> list[str]:
    cached = _read_cache(cache)
    fresh = {str(path.resolve()): _digest(path, cached.get(str(path.resolve()))) for path in files}
    if any(cached.get(path) != entry for path, entry in fresh.items()):
        write_json(cache, cached | fresh)
    return [fresh[str(path.resolve())][2] for path in files]


def _digest(path: Path, cached: list[Any] | None) -> list[Any]:
    """[size, mtime in ns, sha256], read anew only if the file's size or mtime changed."""
    stat = path.stat()
    if cached and cached[:2] == [stat.st_size, stat.st_mtime_ns]:
        return cached
    return [stat.st_size, stat.st_mtime_ns, file_digest(path)]


def _read_cache(cache: Path) -> dict[str, list[Any]]:
    try:
        return dict(read_json(cache))
    except (OSError, ValueError):
        return {}
