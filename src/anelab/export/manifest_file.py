"""manifest.json as it is read: names that stay in its folder, digests that are some."""

from pathlib import Path
from typing import Any

from anelab.errors import DamagedFileError
from anelab.files import read_json
from anelab.names import FILE, SHA256, fits
from anelab.texts import printable

MANIFEST = "manifest.json"
FACTS = {"format": str, "graph": str, "primary": bool, "sha256": str, "size_bytes": int, "variant": str}
"""What the manifest must say of each file, and its type."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """Of the folder of an export or of a version. Raises DamagedFileError if it is none; absence stays
    FileNotFoundError."""
    path = folder / MANIFEST
    content = read_json(path)
    try:
        _check(content)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DamagedFileError(f"{path}: is not of a model ({type(error).__name__}: {error})") from None
    found: dict[str, Any] = {"companions": {}, "golden": [], **content}
    return found


def _check(content: Any) -> None:
    for key, value in content["metadata"].items():
        if not isinstance(value, str):
            raise ValueError(f"metadata {printable(key, 40)} is no text")
    for name, entry in content["files"].items():
        _check_name(name, entry)
        for key, kind in FACTS.items():
            if not isinstance(entry[key], kind):
                raise ValueError(f"{key} of {printable(name, 80)} must be of type {kind.__name__}")
    for name, entry in content.get("companions", {}).items():
        _check_name(name, entry)
    if not isinstance(content.get("golden", []), list):
        raise ValueError("golden is no list")


def _check_name(name: str, entry: Any) -> None:
    if not fits(FILE, name):
        raise ValueError(f"{printable(name, 80)!r} is not a plain file name")
    if not fits(SHA256, entry["sha256"]):
        raise ValueError(f"the sha256 of {printable(name, 80)} is none")
