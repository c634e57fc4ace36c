"""Workspaces that are made once for all tests, by whichever worker comes first, and copied."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

from tests.commands import SETTINGS, WIDE, anelab


def copy_mnist(target: Path) -> Path:
    """mnist with a champion, of the settings SETTINGS and WIDE."""
    return _copied("mnist", lambda folder: _run(folder, "mnist", *SETTINGS, *WIDE), target)


def copy_read_quality(target: Path) -> Path:
    """read_quality with a champion, of the settings SETTINGS."""
    return _copied("read_quality", lambda folder: _run(folder, "read_quality", *SETTINGS), target)


def _run(folder: Path, workload: str, *settings: str) -> None:
    done = anelab(folder, "run", workload, *settings)
    assert done.returncode == 0, done.stderr


def _copied(name: str, make: Callable[[Path], None], target: Path) -> Path:
    """A copy of what `make` writes, in the empty folder `target`; its store mends the addresses when it is opened."""
    root = next(folder for folder in target.parents if re.fullmatch(r"pytest-\d+", folder.name))
    made = root / "shared" / name
    with FileLock(root / f"{name}.lock"):
        if not made.is_dir():
            draft = root / "shared" / f"{name}.draft"
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            make(draft)
            draft.rename(made)
    shutil.copytree(made, target, dirs_exist_ok=True)
    _artifact_repos_cache.clear()  # by the ids of runs, which every copy has
    return target
