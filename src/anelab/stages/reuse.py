"""In DVC's copy of the project for an experiment: what the project itself has of a stage that nothing changed for.

The copy has only what git and DVC's cache have. Results that are not committed yet are not there, so DVC runs the
stage, although dvc.lock of the project says that its inputs are the same.
"""

from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anelab.errors import DamagedFileError
from anelab.files import copy_path, dvc_md5, replacing
from anelab.workspace import MARKER
from anelab.yaml_text import read_yaml

if TYPE_CHECKING:
    from anelab.stages.job import Job

LOCK, STAGES = "dvc.lock", "dvc.yaml"


def reuse_outputs(job: "Job", stage: str) -> bool:
    """Copy the project's outputs of the stage into the copy, if it is one, and if dependencies, parameters and outputs
    are those that the project's dvc.lock names. Whether it was done."""
    project, copy = job.workspace.store_root, job.workspace.root
    if not job.workspace.is_scratch:
        return False
    entry = _locked(project / LOCK, f"{stage}@{job.name}")
    if entry is None or not _same_parameters(entry, copy) or not _are_there(entry.get("deps", ()), copy):
        return False
    if not _same_file(project / STAGES, copy / STAGES) or not _are_there(entry["outs"], project):
        return False
    for out in entry["outs"]:
        with replacing(copy / out["path"]) as draft:
            copy_path(project / out["path"], draft)
    return _are_there(entry["outs"], copy)  # the project may have been at work meanwhile


def _same_file(one: Path, other: Path) -> bool:
    """Whether both are there and equal: an experiment may give a stage other dependencies."""
    return one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()


def _locked(lock: Path, name: str) -> dict[str, Any] | None:
    try:
        entry: dict[str, Any] = read_yaml(lock)["stages"][name]
        return entry if entry["outs"] else None
    except (OSError, DamagedFileError, LookupError, TypeError):
        return None


def _same_parameters(entry: Mapping[str, Any], folder: Path) -> bool:
    now = read_yaml(folder / MARKER)
    recorded = entry.get("params", {}).get(MARKER, {})
    return all(_value(now, name) == value for name, value in recorded.items())


def _value(tree: Any, name: str) -> Any:
    """Of a dotted key; None if it is not there."""
    return reduce(lambda branch, key: branch.get(key) if isinstance(branch, dict) else None, name.split("."), tree)


def _are_there(items: Any, folder: Path) -> bool:
    """Whether the folder has every file and folder, with the md5 that dvc.lock gives."""
    return all((folder / item["path"]).exists() and dvc_md5(folder / item["path"]) == item["md5"] for item in items)
