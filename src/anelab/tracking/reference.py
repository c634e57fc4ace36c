"""How every command names a model: `NAME`, `NAME@alias` or `NAME/3` of the registry, or a path.

With `models:/` before it, as MLflow writes it, a name is always one of the registry. Without, what exists as a path, or
ends like a file, is that path.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from anelab.errors import UsageError
from anelab.export.formats import FORMAT_OF_SUFFIX

SCHEME = "models:/"
CHAMPION = "champion"
SUFFIXES = tuple(FORMAT_OF_SUFFIX)
"""Of single files of a model."""
PATTERN = re.compile(r"(?P<model>[A-Za-z0-9][\w.-]*)(@(?P<alias>[A-Za-z0-9][\w.-]*)|/(?P<number>[0-9]{1,9}))?")
FORMS = "NAME, NAME@alias or NAME/3 of a registered model"


@dataclass(frozen=True)
class VersionReference:
    """A version of a registered model. `selector` is an alias or a number, or empty if none was given."""

    model: str
    selector: str = ""

    @property
    def version(self) -> str:
        """The alias or number that is meant: the champion, unless another is named."""
        return self.selector or CHAMPION

    def __str__(self) -> str:
        return f"{self.model}{'/' if self.version.isdigit() else '@'}{self.version}"


def parse_reference(text: str) -> VersionReference | Path:
    """What `text` names. Raises UsageError if it is neither a path nor a name that a registered model may have."""
    match = PATTERN.fullmatch(text.removeprefix(SCHEME))
    if text.startswith(SCHEME):
        if match is None:
            raise UsageError(f"{SCHEME} takes {FORMS}, but got {text}")
        return VersionReference(match["model"], match["alias"] or match["number"] or "")
    path = Path(text).expanduser()
    if not text:
        raise UsageError(f"a model is {FORMS}, the folder of an export, or a single file, but got nothing")
    if match is None or path.exists() or path.suffix:
        return path
    return VersionReference(match["model"], match["alias"] or match["number"] or "")


def parse_version(text: str, version: str | None = None) -> VersionReference:
    """A version of the registry; its alias or number may stand apart. Raises UsageError for a path, and for two."""
    found = parse_reference(text)
    if isinstance(found, Path):
        raise UsageError(f"a registered model is named {FORMS}, but got the path {text}")
    if version is None:
        return found
    if found.selector and found.selector != version:
        raise UsageError(f"{text} names version {found.selector} already, but got {version} too; give one of them")
    return VersionReference(found.model, version)
